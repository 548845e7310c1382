//! Whether an alert reaches whoever is to be woken: the receivers of the action group are sent a test
//! notification, and must answer.
//!
//! It is not part of [`crate::verify`], because it calls out. Nobody acts on it: it is Azure's sample
//! of an alert, of a rule and a subscription that do not exist, and the watch knows it.

use std::time::{Duration, Instant};

use backstay_azure::{AzureError, Client, ReceiverStatus, TestStatus};
use backstay_pair::Pair;
use backstay_retry::Deadline;

use crate::finding::{Check, Finding};
use crate::world::NoAccess;

/// The first pause before what has become of it is asked, and the longest; it doubles each time.
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(50);
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(2);
const RECEIVER: &str =
    "let it call `backstay watch` or the function, in the common alert schema: docs/alerts.md";

/// Sends a test notification through the pair's action group, and waits for the answers of its
/// receivers. Azure takes a minute or two.
pub async fn alert_chain(
    pair: &Pair,
    azure: &Result<Client, NoAccess>,
    patience: Duration,
) -> Finding {
    let check = Check::AlertChain;
    let client = match azure {
        Ok(client) => client,
        Err(why) => return Finding::unknown(check, why.to_string()),
    };
    match notified(pair, client, Deadline::after(patience)).await {
        Ok(finding) => finding,
        Err(error @ (AzureError::NotFound { .. } | AzureError::Refused { .. })) => {
            Finding::fails(check, error.to_string(), RECEIVER)
        }
        Err(error) => Finding::unknown(check, error.to_string()),
    }
}

async fn notified(pair: &Pair, client: &Client, deadline: Deadline) -> Result<Finding, AzureError> {
    let (check, name) = (Check::AlertChain, &pair.traffic_manager.action_group);
    let id = pair.action_group_id().parse()?;
    let group = client.action_group(&id, deadline).await?;
    if !group.enabled {
        let next = "enable it: az monitor action-group enable";
        return Ok(Finding::fails(check, format!("{name} is disabled"), next));
    }
    if group.receivers().is_empty() {
        let sentence = format!("{name} calls nobody");
        return Ok(Finding::fails(check, sentence, RECEIVER));
    }
    let began = Instant::now();
    let test = client.test_notification(&group, deadline).await?;
    let mut pause = FIRST_POLL_INTERVAL;
    loop {
        let status = client.test_status(&test, deadline).await?;
        if let Some(finding) = judge(&status, began.elapsed()) {
            return Ok(finding);
        }
        if deadline.left() < pause {
            return Ok(Finding::unknown(
                check,
                format!(
                    "no answer to the test notification within {:.0} s: {}",
                    began.elapsed().as_secs_f64(),
                    waiting(&status)
                ),
            ));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_POLL_INTERVAL);
    }
}

/// What is known by now, if it is enough.
fn judge(status: &TestStatus, took: Duration) -> Option<Finding> {
    let check = Check::AlertChain;
    let failed: Vec<String> = status
        .receivers
        .iter()
        .filter_map(|ReceiverStatus { receiver, taken }| match taken {
            Some(Err(why)) => Some(format!("'{receiver}' could not be told: {why}")),
            Some(Ok(())) | None => None,
        })
        .collect();
    let all = status.receivers.iter().all(|it| it.taken.is_some());
    if !failed.is_empty() && (all || status.over) {
        let next = "look at the receiver's log, its address and its secret: docs/alerts.md";
        return Some(Finding::fails(check, failed.join("; "), next));
    }
    if status.receivers.is_empty() || !all {
        let unsaid = || {
            format!(
                "the test notification is over, and nothing is known of {}",
                waiting(status)
            )
        };
        return status.over.then(|| Finding::unknown(check, unsaid()));
    }
    let names: Vec<String> = status
        .receivers
        .iter()
        .map(|it| format!("'{}'", it.receiver))
        .collect();
    Some(Finding::ok(
        check,
        format!(
            "a test notification was taken by {} within {:.2} s",
            names.join(", "),
            took.as_secs_f64()
        ),
    ))
}

fn waiting(status: &TestStatus) -> String {
    let open = status.receivers.iter().filter(|it| it.taken.is_none());
    let names: Vec<String> = open.map(|it| format!("'{}'", it.receiver)).collect();
    match names.as_slice() {
        [] => "any receiver".to_owned(),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests;
