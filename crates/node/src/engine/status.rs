//! Whether a node should get traffic: a decision over what the parts say of themselves.

use std::time::Instant;

use super::api::{Phase, Status, StatusPart};
use super::running::Running;

/// The status of a node in `phase`.
pub(crate) fn status(phase: &Phase, running: Option<&Running>) -> Status {
    let mut parts = vec![StatusPart {
        name: "phase",
        ok: *phase == Phase::Ready,
        detail: phase.to_string(),
    }];
    let mut reason = (*phase != Phase::Ready).then(|| phase.to_string());
    if let Some(running) = running {
        let journal = journal(running, Instant::now());
        if !journal.ok && reason.is_none() {
            reason = Some(journal.detail.clone());
        }
        parts.push(journal);
        parts.push(partitions(running));
        parts.push(background(running));
    }
    Status {
        ok: reason.is_none(),
        reason,
        parts,
    }
}

/// A node that could not have acknowledged anything for the grace time counts as down: heartbeats
/// and batches both prove that it could.
fn journal(running: &Running, now: Instant) -> StatusPart {
    let grace = running.config.tuning.status_grace;
    let proof = running.last_proof();
    let silent = now.saturating_duration_since(proof);
    let owned = running.all_owned();
    let stuck = owned
        .iter()
        .filter(|owned| {
            let waiting = owned.writer().health().waiting_since;
            waiting.is_some_and(|since| now.saturating_duration_since(since) > grace)
        })
        .count();
    let (ok, detail) = if silent > grace {
        (
            false,
            format!(
                "nothing could be acknowledged for {} s; check that the bucket can be reached and written",
                silent.as_secs()
            ),
        )
    } else if stuck > 0 && stuck == owned.len() {
        (
            false,
            format!(
                "no partition has acknowledged anything for {} s; check that the bucket can be written",
                grace.as_secs()
            ),
        )
    } else {
        (true, format!("last durable {} s ago", silent.as_secs()))
    };
    StatusPart {
        name: "journal",
        ok,
        detail,
    }
}

fn partitions(running: &Running) -> StatusPart {
    let mut all_ok = true;
    let mut texts = Vec::new();
    for owned in running.all_owned() {
        let health = owned.writer().health();
        let mut text = format!(
            "{}: term {}, {} bytes wait",
            owned.id, owned.term, health.backlog_bytes
        );
        if let Some(fence) = health.fenced {
            all_ok = false;
            text.push_str(&format!(", fenced: {fence}"));
        }
        if let Some(error) = health.last_error {
            all_ok = false;
            text.push_str(&format!(", {error}"));
        }
        texts.push(text);
    }
    StatusPart {
        name: "partitions",
        ok: all_ok,
        detail: if texts.is_empty() {
            "none".to_owned()
        } else {
            texts.join("; ")
        },
    }
}

fn background(running: &Running) -> StatusPart {
    let troubles = running.troubles.lock();
    let texts: Vec<String> = troubles
        .iter()
        .map(|(step, error)| format!("{step}: {error}"))
        .collect();
    StatusPart {
        name: "background",
        ok: texts.is_empty(),
        detail: if texts.is_empty() {
            "nothing failed".to_owned()
        } else {
            texts.join("; ")
        },
    }
}
