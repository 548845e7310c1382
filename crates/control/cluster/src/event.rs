//! Events on the operator's Deployment: what `kubectl describe` shows of a failover.
//!
//! They are events of `core/v1`; kube-rs's own recorder writes those of `events.k8s.io`, which takes
//! another permission than the failover's role has.

use backstay_retry::Deadline;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use uuid::Uuid;

use crate::{ClusterError, Operator, Region};

/// The longest message that Kubernetes takes of an event.
const MAX_MESSAGE_BYTES: usize = 1024;

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// Someone should look.
    Warning,
}

/// What is to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// One word, such as `FailoverStarted`.
    pub reason: String,
    /// What a person reads.
    pub message: String,
    /// How serious it is.
    pub severity: Severity,
}

impl Region {
    /// Writes an event about a Deployment.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn record(
        &self,
        about: &Operator,
        note: &Note,
        deadline: Deadline,
    ) -> Result<(), ClusterError> {
        let now = Some(Time(Timestamp::now()));
        // The name is chosen once: an attempt whose answer was lost makes no second event.
        let name = format!("{}.{}", about.name, Uuid::new_v4().simple());
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(self.namespace().to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: Some("Deployment".to_owned()),
                name: Some(about.name.clone()),
                namespace: Some(self.namespace().to_owned()),
                uid: Some(about.uid.clone()),
                ..ObjectReference::default()
            },
            reason: Some(note.reason.clone()),
            message: Some(shortened(&note.message).to_owned()),
            type_: Some(format!("{:?}", note.severity)),
            source: Some(EventSource {
                component: Some("backstay".to_owned()),
                ..EventSource::default()
            }),
            count: Some(1),
            first_timestamp: now.clone(),
            last_timestamp: now,
            ..Event::default()
        };
        let api = self.api::<Event>();
        let parameters = PostParams::default();
        let made = self
            .call("create", "events", &about.name, deadline, || {
                api.create(&parameters, &event)
            })
            .await;
        match made {
            Ok(_) => Ok(()),
            // It is there, by an attempt whose answer was lost.
            Err(ClusterError::Contended { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// As much of a message as an event takes.
fn shortened(message: &str) -> &str {
    let ends = message
        .char_indices()
        .map(|(at, letter)| at + letter.len_utf8());
    let end = ends.take_while(|end| *end <= MAX_MESSAGE_BYTES).last();
    message.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{MAX_MESSAGE_BYTES, shortened};

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(shortened(""), "");
        assert_eq!(shortened("the primary is down"), "the primary is down");
        let long = format!("{}é", "x".repeat(MAX_MESSAGE_BYTES - 1));
        assert_eq!(shortened(&long), "x".repeat(MAX_MESSAGE_BYTES - 1));
        let fits = format!("{}é", "x".repeat(MAX_MESSAGE_BYTES - 2));
        assert_eq!(shortened(&fits), fits);
    }
}
