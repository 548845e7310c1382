//! `backstay verify`.

use std::time::Duration;

use backstay_verify::{Options, World, verify};

use crate::args::{Output, VerifyFlags};
use crate::{Exit, complain, control, json, say};

/// Looks whether the standby is able, and says what it has found.
pub async fn run(flags: &VerifyFlags, output: Output) -> Exit {
    let pair = match control::pair(&flags.pair) {
        Ok(pair) => pair,
        Err(exit) => return exit,
    };
    let options = Options {
        deep: flags.deep,
        sample: usize::try_from(flags.sample).unwrap_or(usize::MAX),
        seed: flags.seed.unwrap_or_else(rand::random),
        strict: flags.strict,
        patience: Duration::from_secs(flags.patience),
    };
    let world = World::of(&pair, flags.in_cluster).await;
    let report = tokio::select! {
        report = verify(&pair, &world, options) => report,
        () = crate::stopped() => {
            complain("stopped before all was looked at");
            return Exit::Failed;
        }
    };
    let said = match output {
        Output::Text => say(report.text().as_bytes()),
        Output::Json => json(&report),
        Output::Prometheus => match report.prometheus() {
            Ok(text) => say(text.as_bytes()),
            Err(error) => {
                complain(&format!("cannot write the metrics: {error}"));
                Exit::Failed
            }
        },
    };
    match (said, report.able) {
        (Exit::Done, false) => Exit::No,
        (said, _) => said,
    }
}
