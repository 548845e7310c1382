//! The standby verified by a schedule, each time in a process of its own.
//!
//! A rehearsal loads a whole state into memory and reads contents; none of that may slow a round down
//! or outlive the rehearsal, so it is `backstay verify` that is started, and its metrics that are kept.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// Longest verification.
const VERIFICATION_TIMEOUT: Duration = Duration::from_secs(3600);

/// What is run, and how often.
#[derive(Debug)]
pub struct Verification {
    /// `backstay verify … --output prometheus`; it inherits our environment.
    pub command: Command,
    /// From the end of one to the beginning of the next.
    pub every: Duration,
}

/// Verifies again and again; `shown` has what the last one had for Prometheus.
pub(crate) async fn run(mut verification: Verification, shown: Arc<Mutex<String>>) {
    verification
        .command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    loop {
        match timeout(VERIFICATION_TIMEOUT, verification.command.output()).await {
            Ok(Ok(output)) => {
                // 0: able. 3: not able. All else is no verdict, and the old figures have their date.
                match output.status.code() {
                    Some(0) => tracing::info!("the standby is able to take over"),
                    Some(3) => tracing::warn!("the standby could not take over: backstay verify"),
                    _ => tracing::warn!(ended = %output.status, "the verification has failed"),
                }
                if matches!(output.status.code(), Some(0 | 3)) {
                    *shown.lock() = String::from_utf8_lossy(&output.stdout).into_owned();
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "the verification cannot be started"),
            Err(_) => tracing::warn!("the verification has taken too long, and was ended"),
        }
        sleep(verification.every).await;
    }
}
