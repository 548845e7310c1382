//! What the commands that look at a pair or change it have in common.

use std::sync::Arc;

use backstay_pair::Pair;
use backstay_watch::{Sources, WatchStatus, World};

use crate::args::{ControlFlags, PairFlag};
use crate::{Exit, print_error};

/// Reads the pair's file; or says why that is impossible.
pub fn pair(flag: &PairFlag) -> Result<Pair, Exit> {
    Pair::read(&flag.file, std::env::vars_os()).map_err(|error| {
        print_error(&error.to_string());
        Exit::Failed
    })
}

/// Connects to the pair; or says why that is impossible.
pub async fn connect(flags: &ControlFlags) -> Result<Arc<World>, Exit> {
    let sources = Sources {
        pair: pair(&flags.pair)?,
        dns: flags.dns,
        in_cluster: flags.in_cluster,
    };
    match sources.connect().await {
        Ok(world) => Ok(Arc::new(world)),
        Err(error) => {
            print_error(&error.to_string());
            Err(Exit::Failed)
        }
    }
}

/// A status as text for people.
pub fn status_text(status: &WatchStatus) -> String {
    let mut lines = vec![format!("state        {}", code_name(&status.state))];
    for reason in &status.reasons {
        lines.push(format!(
            "             {} [{}]",
            reason.sentence,
            code_name(&reason.code)
        ));
        if let Some(next) = &reason.next {
            lines.push(format!("             next: {next}"));
        }
    }
    for (title, region) in ["primary", "secondary"].iter().zip(&status.regions) {
        let serves = if region.serves {
            "the global name points here"
        } else {
            "-"
        };
        lines.push(format!("{title:<12} {:<16} {serves}", region.region));
        for (what, said) in [
            ("status", &region.answers),
            ("endpoint", &region.endpoint),
            ("cluster", &region.cluster),
        ] {
            if let Some(said) = said {
                lines.push(format!("             {what}: {said}"));
            }
        }
        for it in &region.degraded {
            lines.push(format!(
                "             degraded: {} [{}]: {} (by {})",
                it.what,
                it.reason,
                it.detail,
                it.nodes.join(", ")
            ));
        }
    }
    let name: Vec<String> = status.name.iter().map(ToString::to_string).collect();
    lines.push(format!("global name  {}", or_unknown(&name.join(", "))));
    for observation in &status.observations {
        lines.push(format!(
            "seen         by {}: {}",
            observation.from, observation.saw
        ));
    }
    let term = status.term.map(|it| code_name(&it)).unwrap_or_default();
    lines.push(format!("term         {}", or_unknown(&term)));
    let endpoint = status.endpoint.map(|it| code_name(&it)).unwrap_or_default();
    lines.push(format!(
        "endpoint     the primary's is {}",
        or_unknown(&endpoint)
    ));
    if let Some(since) = status.degraded_since {
        let left = status.holdoff_left_ms.unwrap_or(0).div_ceil(1000);
        lines.push(format!("holdoff      since {since}, {left} s left"));
    }
    if let Some(run) = &status.run {
        let how = if run.done { "done" } else { "under way" };
        lines.push(format!(
            "run          {} {how}, begun {}",
            run.id, run.began
        ));
    }
    if let Some(lock) = &status.lock {
        lines.push(format!("lock         {lock}"));
    }
    for what in &status.readiness_blockers {
        lines.push(format!("standby      {what}"));
    }
    for pending_failure in &status.pending_failures {
        lines.push(format!(
            "not done     {}: {}",
            pending_failure.step.words(),
            pending_failure.why
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "not known" } else { text }
}

/// The word that stands for it in JSON too.
pub fn code_name(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
