//! Kafka, as strimzi-cluster-operator shows it.

use backstay_kinds::{KAFKA, STRIMZI_VERSIONS};
use backstay_report::excerpt;
use backstay_retry::Deadline;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use crate::{ClusterError, Region};

const KAFKAS: &str = KAFKA.resource;

/// A Kafka as a failover sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// `metadata.name`.
    pub name: String,
    /// Its Ready condition.
    pub ready: bool,
    /// What that condition says.
    pub message: String,
}

impl Kafka {
    fn read(object: &DynamicObject) -> Self {
        let conditions = object.data.pointer("/status/conditions");
        let conditions = conditions.and_then(Value::as_array);
        let text = |condition: &Value, field: &str| {
            let text = condition.get(field).and_then(Value::as_str);
            excerpt(text.unwrap_or_default())
        };
        let ready = conditions
            .into_iter()
            .flatten()
            .find(|it| text(it, "type") == "Ready");
        Self {
            name: object.name_any(),
            ready: ready.is_some_and(|it| text(it, "status") == "True"),
            message: match ready {
                Some(condition) => text(condition, "message"),
                None => "its operator has not said anything about it yet".to_owned(),
            },
        }
    }
}

impl Region {
    /// Reads a Kafka.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn kafka(&self, name: &str, deadline: Deadline) -> Result<Kafka, ClusterError> {
        let [old, new] = STRIMZI_VERSIONS.map(|version| {
            let kind = GroupVersionKind::gvk(KAFKA.group, version, KAFKA.kind);
            let resource = ApiResource::from_gvk(&kind);
            Api::<DynamicObject>::namespaced_with(self.client(), self.namespace(), &resource)
        });
        let read = self.call("get", KAFKAS, name, deadline, || old.get(name));
        let read = match read.await {
            // There is no such Kafka, or no such version.
            Err(ClusterError::NotFound { .. }) => {
                self.call("get", KAFKAS, name, deadline, || new.get(name))
                    .await
            }
            answered => answered,
        };
        Ok(Kafka::read(&read?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::json;

    use super::*;

    fn kafka(conditions: Value) -> Kafka {
        let object = json!({
            "apiVersion": "kafka.strimzi.io/v1beta2",
            "kind": "Kafka",
            "metadata": { "name": "logscale" },
            "spec": {},
            "status": { "conditions": conditions },
        });
        Kafka::read(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn ready_is_what_its_condition_says() {
        let warning = json!({ "type": "Warning", "status": "True" });
        let ready = |status: &str| json!({ "type": "Ready", "status": status, "message": "m" });
        assert!(kafka(json!([warning, ready("True")])).ready);
        let not = kafka(json!([ready("False")]));
        assert_eq!((not.ready, not.message.as_str()), (false, "m"));
        for nothing in [json!([warning]), json!([]), Value::Null, json!("x")] {
            assert!(!kafka(nothing).ready);
        }
    }
}
