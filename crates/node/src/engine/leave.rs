//! The orderly end of a node, so that nobody who sends to it or through it notices.
//!
//! Whoever is told to end does not know who still sends to it: a load balancer hears of it as late
//! as the node, and clients later. So it first *retires*: it says in `global` that it ends, and
//! serves on; its status is 503 once whoever is told of the end by Kubernetes must have heard of it.
//! The others take its partitions over, which ends its own writing there by a seal; a batch that
//! comes too late for that is passed on to the new owner. When nothing is asked any more it *drains*:
//! settles, flushes if it is to, and writes the state down.
//!
//! Where there is nobody to take over there is nothing to wait for. So a cluster that is stopped as
//! a whole, as in a failback, does not lose the time: its nodes say that they end, see that all do,
//! and drain at once.

use std::time::{Duration, Instant};

use backstay_failpoint::hit;
use futures::future::join_all;
use tokio::time::timeout;

use super::api::Phase;
use super::running::Running;
use super::{Engine, view};

/// How often it is looked whether others have taken over.
const TAKEOVER_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// A node retires for at most so many times the silence that it waits for.
const MAX_SILENCES: u32 = 10;

impl Engine {
    /// Hands over to the others and serves on until nobody asks anything any more. Does nothing
    /// where there are no others. Whether there were any.
    pub async fn retire(&self) -> bool {
        let Some(running) = self.inner.running.get() else {
            return false;
        };
        let silence = self.inner.config.tuning.lame_duck;
        let others = || !running.peers(|_| true).is_empty();
        if self.phase() != Phase::Ready || silence.is_zero() || !others() {
            return others();
        }
        let began = *self.inner.retires.get_or_init(Instant::now);
        self.enter(Phase::Leaving);
        self.stop_background().await;
        let handing_over = async {
            let result = running.host_down().await;
            running.note("host_down", &result);
            loop {
                let asked = self.inner.asked.lock().map_or(began, |at| at.max(began));
                let handed_over = running.all_owned().is_empty()
                    || running.peers(|peer| peer.ingests && peer.stays).is_empty();
                if !others() || (handed_over && asked.elapsed() >= silence) {
                    return;
                }
                tokio::time::sleep(TAKEOVER_POLL_INTERVAL).await;
                let result = running.global.refresh().await;
                running.note("refresh", &result);
                running.give_up_lost();
            }
        };
        let flushing = async {
            // What has to be written is written while there is nothing to do but wait.
            if running.global.read(view::flush_on_shutdown) {
                flush(running).await;
            }
            std::future::pending::<()>().await;
        };
        let ended = async {
            tokio::select! {
                () = handing_over => {}
                () = flushing => {}
            }
        };
        if timeout(silence * MAX_SILENCES, ended).await.is_err() {
            tracing::warn!(
                "requests still come (BACKSTAY_LAME_DUCK_MS); they are refused from now on"
            );
        }
        true
    }

    /// Takes no more events, settles what was taken, and, with the dynamic configuration
    /// `FlushSegmentsAndGlobalOnShutdown`, writes all segments and a snapshot. After this the
    /// engine does nothing more.
    pub async fn drain(&self) {
        let serving = matches!(self.phase(), Phase::Ready | Phase::Leaving);
        if serving {
            self.enter(Phase::Draining);
        }
        self.stop_background().await;
        let Some(running) = self.inner.running.get().filter(|_| serving) else {
            return;
        };
        let limit = self.inner.config.tuning.drain;
        if timeout(limit, leave(running)).await.is_err() {
            tracing::error!(
                ?limit,
                "not drained in time (BACKSTAY_DRAIN_SECONDS); what was acknowledged is in the journal"
            );
        }
    }

    /// Whether those may still send here who will hear of its end by themselves, as an ingress of
    /// Kubernetes does. Probes of what is behind it are among what it sends, so the status stays
    /// good for so long. Whoever goes by the status alone has the other half of the time.
    pub(super) fn is_in_rotation(&self) -> bool {
        let half = self.inner.config.tuning.lame_duck * MAX_SILENCES / 2;
        let retires = self.inner.retires.get();
        retires.is_some_and(|at| at.elapsed() < half)
    }

    async fn stop_background(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        if let Some(running) = self.inner.running.get() {
            // What is not ours now will not be ours any more: a batch that waits for it is passed on.
            running.take_nothing_more();
        }
    }
}

/// The orderly end: settle, flush if asked to, say goodbye, write the state down.
async fn leave(running: &Running) {
    let owned = running.all_owned();
    let closed = join_all(owned.iter().map(|owned| owned.writer().close())).await;
    for (owned, result) in owned.iter().zip(closed) {
        if let Err(error) = result {
            tracing::warn!(partition = owned.id, %error, "closed");
        }
    }
    hit("node.drain.after_close");
    let flushes = running.global.read(view::flush_on_shutdown);
    if flushes {
        flush(running).await;
        hit("node.drain.after_flush");
    }
    let result = running.host_down().await;
    running.note("host_down", &result);
    let result = if flushes {
        running.snapshot().await
    } else {
        running.mirror().await
    };
    running.note("snapshot", &result);
    hit("node.drain.after_snapshot");
}

async fn flush(running: &Running) {
    // Side by side: what hangs in one partition keeps no other from being written.
    let all = running.all_owned();
    let flushed = all.iter().map(|owned| async {
        let result = running.publish(owned, true).await;
        running.note_in("publish", Some(owned.id), &result);
    });
    join_all(flushed).await;
}
