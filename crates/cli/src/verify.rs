//! `backstay verify`.

use std::time::Duration;

use backstay_verify::{Options, World, alert_chain, verify, whole_of};

use crate::args::{Output, VerifyFlags};
use crate::{Exit, control, print_bytes, print_error, print_json, print_result};

/// Azure takes so long at most to say what became of a test notification, as far as its samples show.
const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(180);

/// Looks whether the standby is able, and says what it has found.
pub async fn run(flags: &VerifyFlags, output: Output) -> Exit {
    let options = Options {
        deep: flags.deep,
        sample: usize::try_from(flags.sample).unwrap_or(usize::MAX),
        seed: flags.seed.unwrap_or_else(rand::random),
        strict: flags.strict,
        patience: Duration::from_secs(flags.patience),
    };
    if flags.bucket {
        return bucket(options, output).await;
    }
    let pair = match control::pair(&flags.pair) {
        Ok(pair) => pair,
        Err(exit) => return exit,
    };
    let world = World::of(&pair, flags.in_cluster).await;
    let verified = async {
        let chain = async {
            match flags.notify {
                true => Some(
                    alert_chain(
                        &pair,
                        &world.azure,
                        options.patience.max(NOTIFICATION_TIMEOUT),
                    )
                    .await,
                ),
                false => None,
            }
        };
        let (report, chain) = tokio::join!(verify(&pair, &world, options), chain);
        match chain {
            Some(finding) => report.with(finding, options.strict),
            None => report,
        }
    };
    let report = tokio::select! {
        report = verified => report,
        () = crate::stopped() => {
            print_error("stopped before all was looked at");
            return Exit::Failed;
        }
    };
    let said = match output {
        Output::Text => print_bytes(report.text().as_bytes()),
        Output::Json | Output::Ndjson => print_json(&report),
        Output::Prometheus => match report.prometheus() {
            Ok(text) => print_bytes(text.as_bytes()),
            Err(error) => {
                print_error(&format!("cannot write the metrics: {error}"));
                Exit::Failed
            }
        },
    };
    match (said, report.able) {
        (Exit::Done, false) => Exit::No,
        (said, _) => said,
    }
}

/// Whether one bucket is whole.
async fn bucket(options: Options, output: Output) -> Exit {
    if output == Output::Prometheus {
        print_error("verify --bucket has no metrics; use --output text or json");
        return Exit::Usage;
    }
    let read = |name: &str| std::env::var(name).ok();
    let looked = tokio::select! {
        looked = whole_of(&read, options) => looked,
        () = crate::stopped() => {
            print_error("stopped before all was looked at");
            return Exit::Failed;
        }
    };
    let found = match looked {
        Ok(Some(found)) => found,
        Ok(None) => {
            print_error(
                "no bucket is named; set the variables that the cluster's nodes have, such as AZURE_STORAGE_BUCKET, or LOCAL_STORAGE_PATH",
            );
            return Exit::Usage;
        }
        Err(error) => {
            print_error(&error.to_string());
            return Exit::Usage;
        }
    };
    let said = print_result(output, &found, || found.text());
    match (said, found.ok) {
        (Exit::Done, false) => Exit::No,
        (said, _) => said,
    }
}
