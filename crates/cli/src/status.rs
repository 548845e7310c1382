//! `backstay status`.

use std::io::IsTerminal;
use std::time::Duration;

use backstay_failover::sight::Side;
use backstay_failover::verdict::{Demand, Endpoint, State};
use backstay_watch::{Picture, Watcher};

use crate::args::{Output, StatusFlags};
use crate::{Exit, control, json, say, stopped};

/// Between two pictures.
const AGAIN: Duration = Duration::from_secs(1);
/// Clears a terminal, and goes to its first line (ECMA-48).
const CLEAR: &str = "\x1b[2J\x1b[H";

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
        let (picture, _) = tokio::select! {
            looked = watcher.look() => looked,
            () = &mut stop => return Exit::Done,
        };
        let told = match output {
            Output::Json => json(&picture),
            Output::Text | Output::Prometheus => {
                let live = flags.watch && std::io::stdout().is_terminal();
                let clear = if live { CLEAR } else { "" };
                say(format!("{clear}{}", control::shown(&picture)).as_bytes())
            }
        };
        if told != Exit::Done {
            return told;
        }
        if !flags.watch {
            return match well(&picture) {
                true => Exit::Done,
                false => Exit::No,
            };
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = &mut stop => return Exit::Done,
        }
    }
}

/// Whether it is as it should be: in peace, or failed over with nothing left to do.
fn well(picture: &Picture) -> bool {
    let settled = match picture.state {
        State::Healthy => picture.endpoint == Some(Endpoint::Enabled),
        State::FailedOver => {
            picture.endpoint == Some(Endpoint::Disabled) && picture.term != Some(Side::Primary)
        }
        _ => false,
    };
    settled && picture.shortcomings.is_empty() && picture.wounds.is_empty()
}
