//! What crashed writers leave in a bucket that is a folder.

use std::time::Duration;

use super::running::Running;

/// The objects of a cluster, and the folders of the others; see `ARCHITECTURE.md`. `probes` is where a
/// bucket tries what it can do.
const STAGING_FOLDERS: [&str; 8] = [
    "cluster.json",
    "credentials",
    "globalsnapshots",
    "journal",
    "probes",
    "segments",
    "trimmed",
    "windows",
];
/// No writer rests for so long in the middle of an object.
const MAX_WRITER_PAUSE: Duration = Duration::from_secs(3600);

/// Removes it now and then. A node that crashed and starts at once finds its own only later.
pub(super) async fn clean_loop(running: &Running) {
    loop {
        match running
            .bucket
            .clean_staging(&STAGING_FOLDERS, MAX_WRITER_PAUSE)
            .await
        {
            Ok(0) => {}
            Ok(files) => {
                tracing::info!(files, "removed what crashed writers had left in the bucket")
            }
            Err(error) => tracing::warn!(%error, "cannot remove what crashed writers have left"),
        }
        tokio::time::sleep(MAX_WRITER_PAUSE).await;
    }
}
