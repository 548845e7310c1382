//! The failover, which nobody types: the watch sees it, waits out the holdoff, and acts; the standby
//! recovers from the primary's bucket; the clients follow the name.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use backstay_failover::timing::PhaseName;
use backstay_pair::Side;
use serde_json::Value;

use super::Play;
use crate::drill::DrillError;
use crate::drill::clients::FAILOVER_PERCENT;
use crate::drill::clock::{POLL_INTERVAL, SLOW_POLL_INTERVAL, Wait};
use crate::drill::watcher::Timing;

/// How often the watch is asked what it sees.
const STATUS_INTERVAL: Duration = Duration::from_millis(200);

/// On a pair that is no lab another watch may have acted; one of ours says so at once.
const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The phases of its report, and what they are called here.
const PHASES: [(PhaseName, &str); 6] = [
    (PhaseName::Detection, "detection"),
    (PhaseName::Holdoff, "holdoff"),
    (PhaseName::Act, "act"),
    (PhaseName::PodStart, "pod start"),
    (PhaseName::Recovery, "recovery"),
    (PhaseName::Traffic, "traffic"),
];

impl Play<'_> {
    /// Waits until the secondary serves the clients, and for the watch's word on how that went.
    pub(in crate::drill) async fn failover(&mut self) -> Result<(), DrillError> {
        self.clock.announce("the watch detects it", None);
        let segments = self.scene.segments(Side::Primary).await?;
        self.measured.primary_segments_at_kill = segments.unwrap_or_default();
        let first_search_ms = self.served().await?;
        let ledger = self.clients.ledger.clone();
        self.measured.first_search_ms = first_search_ms;
        self.measured.first_ack_ms = ledger
            .first_ack_ms(Side::Secondary)
            .unwrap_or(first_search_ms);
        match self.timing().await? {
            Some(timing) => self.add_phases(&timing),
            None => self.measured.by_another_watch = true,
        }

        let part = self.clients.part(FAILOVER_PERCENT);
        self.clock.begin("the secondary takes events", Some(part));
        self.settle(part, "the acknowledgement of what was sent")
            .await?;
        self.scene
            .ready_side(Side::Secondary, self.clock.progress)
            .await?;
        self.clock.begin("new segments are written", None);
        let wait = Wait::new("a segment in the secondary's bucket");
        let none = |found: Option<BTreeSet<String>>| found.is_some_and(|it| it.is_empty());
        while none(self.scene.segments(Side::Secondary).await?) {
            wait.tick(SLOW_POLL_INTERVAL, || self.known()).await?;
        }
        self.clock.end();
        Ok(())
    }

    /// Waits for the secondary's first acknowledgement and its first complete search, and returns when
    /// the search ended. Complete is a search that counts as many events as had been acknowledged;
    /// whether they are the same ones is told by the check at the end.
    async fn served(&mut self) -> Result<u64, DrillError> {
        let ledger = self.clients.ledger.clone();
        let acknowledged = self.measured.acknowledged_before_kill;
        // On a pair that is no lab the holdoff alone takes minutes.
        let wait = Wait::patient(
            "the secondary's first acknowledgement and its first complete search",
            self.scene.patience(),
        );
        let (mut searched, mut admin): (Option<u64>, Option<String>) = (None, None);
        let mut looked: Option<Instant> = None;
        loop {
            self.clients.senders.finished()?;
            if looked.is_none_or(|at| at.elapsed() > STATUS_INTERVAL) {
                looked = Some(Instant::now());
                let status = self.watch.status().await?;
                if let Some(what) = words(&status) {
                    self.clock.progress.note(&what);
                }
            }
            let mut last = "it has not acknowledged any event".to_owned();
            let address = self.clients.name.borrow().clone();
            if address.side == Side::Primary {
                "the global name still points to the primary".clone_into(&mut last);
            } else if searched.is_none() {
                if admin.is_none() {
                    admin = self.scene.admin_token(Side::Secondary).await.ok();
                }
                let token = admin.as_deref().unwrap_or_default();
                match address.node.count(token, &self.clients.repository).await {
                    Ok(count) if count >= acknowledged => searched = Some(ledger.now_ms()),
                    Ok(count) => last = format!("it finds {count} of {acknowledged} events"),
                    Err(error) => last = error.to_string(),
                }
            }
            if let (Some(at), Some(_)) = (searched, ledger.first_ack_ms(Side::Secondary)) {
                return Ok(at);
            }
            wait.tick(POLL_INTERVAL, || format!("{last}; {}", self.scene.look()))
                .await?;
        }
    }

    /// The watch's report, which comes when it has marked its run as done. Nothing, where another watch
    /// of the pair has acted and has the report.
    async fn timing(&mut self) -> Result<Option<Timing>, DrillError> {
        let wait = Wait::new("the watch's report on its failover");
        let mut over: Option<Instant> = None;
        loop {
            if let Some(timing) = self.watch.timing() {
                return Ok(Some(timing));
            }
            let status = self.watch.status().await?;
            if status["state"] == "failed-over" {
                let since = over.get_or_insert_with(Instant::now);
                if !self.scene.is_lab() && since.elapsed() > REPORT_TIMEOUT {
                    return Ok(None);
                }
            }
            wait.tick(SLOW_POLL_INTERVAL, || status.to_string()).await?;
        }
    }

    /// What the report says, in the drill's time.
    fn add_phases(&mut self, timing: &Timing) {
        let kill_ms = self.measured.kill_ms;
        for (phase, name) in PHASES {
            let Some((from, to)) = timing.phase(phase) else {
                continue;
            };
            let (mut from, to) = (self.clock.at(from), self.clock.at(to));
            match phase {
                // It counts from the primary's last answer; here it is known when it was struck.
                PhaseName::Detection => {
                    from = kill_ms;
                    let began = self.clock.at(timing.began_ms);
                    self.measured.detection_ms = detected(kill_ms, to, began);
                }
                PhaseName::Holdoff => self.measured.holdoff_ms = Some(to.saturating_sub(from)),
                _ => {}
            }
            self.clock.add(name, from, to);
        }
        let ended = self
            .clock
            .phases
            .last()
            .map(|it| it.start_ms + it.duration_ms);
        let recovered = self
            .measured
            .first_ack_ms
            .max(self.measured.first_search_ms);
        // They need not wait for the watch's last look.
        if let Some(ended) = ended.filter(|at| *at < recovered) {
            self.clock.add("clients move over", ended, recovered);
        }
    }
}

/// How long it took from the disaster until the watch called the primary down; nothing, where it
/// has failed over before. On a machine that is too busy for probes to be answered in time it may have
/// been called down a moment earlier, which is no failover yet.
fn detected(disaster_ms: u64, called_down_ms: u64, failover_began_ms: u64) -> Option<u64> {
    (failover_began_ms >= disaster_ms).then(|| called_down_ms.saturating_sub(disaster_ms))
}

/// What a status of the watch says, in words for whoever waits.
fn words(status: &Value) -> Option<String> {
    Some(match status["state"].as_str()? {
        "holding" => "holdoff".to_owned(),
        "failing-over" => {
            let steps = status["steps"].as_array().into_iter().flatten();
            let now = steps
                .filter(|it| it["now"] == true)
                .filter_map(|it| it["what"].as_str());
            let now: Vec<&str> = now.collect();
            format!("the watch fails over: {}", now.join(", "))
        }
        "failed-over" => "clients move over".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::detected;

    #[test]
    fn only_a_failover_before_the_disaster_is_one_that_was_not_called_for() {
        for (down, began, expected) in [
            (3_500, 6_500, Some(2_500)),
            (1_000, 1_000, Some(0)),
            // Called down before it died, and failed over when it was dead.
            (400, 3_400, Some(0)),
            (100, 900, None),
            (0, 999, None),
        ] {
            assert_eq!(detected(1_000, down, began), expected, "{down} {began}");
        }
    }
}
