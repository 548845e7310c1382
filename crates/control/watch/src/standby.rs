//! Whether the standby is able to take over, as far as can be seen in a moment.

use std::time::{Duration, Instant};

use backstay_failover::observation::Known;
use backstay_failover::verdict::ReadinessBlocker;
use backstay_verify::{Finding, Outcome, keeps_from_failover, readiness};

use crate::world::World;

/// That it is able is good to know for so long.
const READY_TTL: Duration = Duration::from_secs(30);
/// That it is not, for so long: somebody may be mending it.
const NOT_READY_TTL: Duration = Duration::from_secs(3);

/// What was found, and when.
#[derive(Debug)]
pub(crate) struct Kept {
    at: Instant,
    found: Known<Vec<ReadinessBlocker>>,
}

impl World {
    /// What keeps the standby from taking over.
    pub(crate) async fn able(&self) -> Known<Vec<ReadinessBlocker>> {
        let kept = self.standby_was.lock().as_ref().and_then(|kept| {
            let able = kept.found.known().is_some_and(Vec::is_empty);
            let fresh = kept.at.elapsed() < if able { READY_TTL } else { NOT_READY_TTL };
            fresh.then(|| kept.found.clone())
        });
        if let Some(found) = kept {
            return found;
        }
        let found = self.readiness_blockers().await;
        *self.standby_was.lock() = Some(Kept {
            at: Instant::now(),
            found: found.clone(),
        });
        found
    }

    async fn readiness_blockers(&self) -> Known<Vec<ReadinessBlocker>> {
        let found = readiness(&self.pair, &self.standby, Self::soon()).await;
        let against = found.iter().filter(|it| keeps_from_failover(it));
        Known::Is(against.map(readiness_blocker).collect())
    }
}

fn readiness_blocker(finding: &Finding) -> ReadinessBlocker {
    let unknown = match finding.outcome {
        Outcome::Unknown => "not known: ",
        Outcome::Ok | Outcome::Fails => "",
    };
    let remedy = Some(finding.next.clone());
    ReadinessBlocker {
        what: format!("{}: {unknown}{}", finding.check, finding.sentence),
        remedy: remedy.filter(|it| !it.is_empty()),
    }
}
