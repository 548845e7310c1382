//! `backstay status`.

use std::io::IsTerminal;
use std::time::Duration;

use backstay_failover::verdict::{Demand, Endpoint, State};
use backstay_pair::Side;
use backstay_watch::{WatchStatus, Watcher};

use crate::args::{Output, StatusFlags};
use crate::{Exit, control, print_result, stopped};

/// Between two looks that are shown one after the other.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// Clears a terminal, and goes to its first line (ECMA-48).
const CLEAR_SCREEN: &str = "\x1b[2J\x1b[H";

/// Shows how it stands.
pub async fn run(flags: &StatusFlags, output: Output) -> Exit {
    let world = match control::connect(&flags.control).await {
        Ok(world) => world,
        Err(exit) => return exit,
    };
    let mut watcher = Watcher::new(world, Demand::Watch);
    let stop = stopped();
    tokio::pin!(stop);
    loop {
        let (status, _) = tokio::select! {
            looked = watcher.look() => looked,
            () = &mut stop => return Exit::Done,
        };
        let told = print_result(output, &status, || {
            let live = flags.watch && std::io::stdout().is_terminal();
            let clear = if live { CLEAR_SCREEN } else { "" };
            format!("{clear}{}", control::status_text(&status))
        });
        if told != Exit::Done {
            return told;
        }
        if !flags.watch {
            return match well(&status) {
                true => Exit::Done,
                false => Exit::No,
            };
        }
        tokio::select! {
            () = tokio::time::sleep(REFRESH_INTERVAL) => {}
            () = &mut stop => return Exit::Done,
        }
    }
}

/// Whether it is as it should be: in peace, or failed over with nothing left to do.
fn well(status: &WatchStatus) -> bool {
    let settled = match status.state {
        State::Healthy => status.endpoint == Some(Endpoint::Enabled),
        State::FailedOver => {
            status.endpoint == Some(Endpoint::Disabled) && status.term != Some(Side::Primary)
        }
        _ => false,
    };
    let whole = status.regions.iter().all(|it| it.degraded.is_empty());
    settled && whole && status.readiness_blockers.is_empty() && status.pending_failures.is_empty()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use backstay_watch::{Degraded, RegionView};

    use super::*;

    #[test]
    fn a_degraded_region_is_shown_and_is_not_as_it_should_be() {
        let region = |degraded: Vec<Degraded>| RegionView {
            region: "westus".to_owned(),
            answers: Some("answers".to_owned()),
            degraded,
            ..RegionView::default()
        };
        let mut status = WatchStatus {
            endpoint: Some(Endpoint::Enabled),
            regions: vec![region(vec![]), region(vec![])],
            ..WatchStatus::default()
        };
        assert!(well(&status), "{status:?}");
        status.regions[0].degraded = vec![Degraded {
            reason: "partition".to_owned(),
            what: "partition 3".to_owned(),
            detail: "restore journal/3/7".to_owned(),
            nodes: vec!["node-0".to_owned(), "node-1".to_owned()],
        }];
        assert!(!well(&status));
        let text = control::status_text(&status);
        let line = "degraded: partition 3 [partition]: restore journal/3/7 (by node-0, node-1)";
        assert!(text.contains(line), "{text}");
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["regions"][0]["degraded"][0]["reason"], "partition");
        assert_eq!(json["regions"][1]["degraded"], serde_json::json!([]));
    }
}
