//! A look, as an instance makes it out of what it has gathered; and the planted bugs that change
//! what the decision is given.

use backstay_failover::clock::Epoch;
use backstay_failover::lock::{Lease, Lock};
use backstay_failover::marks::Reading;
use backstay_failover::observation::{Control, Known, Observation, OurSide, Ours, Saw};
use backstay_failover::verdict::{Demand, Endpoint, Look, ReadinessBlocker};
use backstay_pair::Side;

use crate::bug::Bug;
use crate::instance::Instance;
use crate::scenario::{START, Scenario};

/// What a look has gathered so far.
#[derive(Default)]
pub struct Gathered {
    pub began: u64,
    pub probe: Option<Saw>,
    pub answered: Option<u64>,
    pub dns: bool,
    pub network: bool,
    pub monitor: Option<(Endpoint, bool)>,
    pub reading: Option<Reading>,
    pub lease: Option<Option<Lease>>,
    pub able: bool,
    pub term: Option<Side>,
    pub written: bool,
}

fn unknown<T>() -> Known<T> {
    Known::Unknown("no answer in time".to_owned())
}

impl Instance {
    /// What has been found so far.
    pub fn look(&mut self, scenario: &Scenario, at: u64) -> Look {
        let got = &self.gathered;
        let bug = |it: Bug| self.bug == Some(it);
        let control = |works: bool| match works || bug(Bug::OurOutagesCount) {
            true => Control::Works,
            false => Control::Fails,
        };
        let probe = match got.probe {
            Some(saw) => saw,
            None if !got.dns && !bug(Bug::OurOutagesCount) => Saw::Nothing(Ours::Dns),
            None => Saw::TimedOut,
        };
        let monitor = match got.monitor {
            Some((Endpoint::Enabled, true)) => Some(Saw::StillTrusted),
            Some((Endpoint::Enabled, false)) => Some(Saw::GivenUp),
            // It does not watch an endpoint that is disabled.
            Some((Endpoint::Disabled, _)) => None,
            None => Some(Saw::Nothing(Ours::Network)),
        };
        let mut observations = vec![("here", probe)];
        observations.extend(monitor.map(|it| ("traffic manager", it)));
        if bug(Bug::TrustIgnored) {
            observations.retain(|it| it.1 != Saw::StillTrusted);
        }
        if bug(Bug::AlertsDecide) && at < self.alarmed_until {
            observations = vec![("alert", Saw::GivenUp)];
        }
        let mono = self.mono(at);
        let lasts = scenario.settings.lease;
        let lock = match &got.lease {
            Some(lease) => {
                let me = format!("{}{}", ["a", "b"][self.who], self.incarnation);
                let lock = self.leases.judge(lease.as_ref(), &me, mono, lasts);
                Known::Is(match lock {
                    Lock::Held(_) if bug(Bug::LockIgnored) => {
                        Lock::Free(lease.as_ref().map(|it| it.revision.clone()))
                    }
                    lock => lock,
                })
            }
            None => unknown(),
        };
        let mut reading = got.reading.clone();
        if let Some(reading) = &mut reading {
            if bug(Bug::OwnWallClock) {
                let skew = scenario.wall_skew[self.who];
                reading.now = Epoch((START + at / 1_000).saturating_add_signed(skew));
            }
            if bug(Bug::PauseIgnored) {
                reading.marks.paused = None;
            }
        }
        let able = got.able || bug(Bug::UnableIgnored);
        Look {
            began: if bug(Bug::OldLooksCount) {
                mono
            } else {
                self.mono(got.began)
            },
            mono,
            observations: observations
                .into_iter()
                .map(|(from, saw)| Observation {
                    from: from.to_owned(),
                    saw,
                })
                .collect(),
            ours: OurSide {
                dns: control(got.dns),
                network: control(got.network),
            },
            standby: match (&reading, able) {
                (None, _) => unknown(),
                (Some(_), true) => Known::Is(Vec::new()),
                (Some(_), false) => Known::Is(vec![ReadinessBlocker {
                    what: "the snapshot cannot be loaded".to_owned(),
                    remedy: None,
                }]),
            },
            reading: reading.map_or_else(unknown, Known::Is),
            lock,
            endpoint: got.monitor.map_or_else(unknown, |it| Known::Is(it.0)),
            term: got.term.map_or_else(unknown, Known::Is),
            demand: Demand::Watch,
            run_id: format!("run-{}-{at}", self.me()),
        }
    }
}
