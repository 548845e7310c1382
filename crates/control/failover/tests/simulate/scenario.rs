//! What goes wrong in a run, all of it drawn from its seed before it starts.

use std::time::Duration;

use backstay_failover::settings::Settings;
use backstay_failover::takeover::Barrier;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// The time at which a run starts, in seconds since 1970.
pub const START: u64 = 1_700_000_000;

/// So long after the calm there may still be a `terraform apply`, or marks that are lost.
pub const LATE: u64 = 30_000;

/// Somebody who can be cut off from somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    WatchA,
    WatchB,
    /// The standby's region: its API server and its node.
    Standby,
    Primary,
    Dns,
    /// The Resource Manager and the traffic manager.
    Arm,
    BucketP,
    BucketS,
}

impl Node {
    const ALL: [Self; 8] = [
        Self::WatchA,
        Self::WatchB,
        Self::Standby,
        Self::Primary,
        Self::Dns,
        Self::Arm,
        Self::BucketP,
        Self::BucketS,
    ];

    pub fn watch(who: usize) -> Self {
        if who == 0 { Self::WatchA } else { Self::WatchB }
    }
}

/// From when until when, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: u64,
    pub to: u64,
}

impl Span {
    pub fn holds(&self, at: u64) -> bool {
        (self.from..self.to).contains(&at)
    }
}

/// Nothing gets from one to the other, or neither way.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    from: Node,
    to: Node,
    both_ways: bool,
    when: Span,
}

impl Cut {
    fn between(from: Node, to: Node, when: Span) -> Self {
        Self {
            from,
            to,
            both_ways: true,
            when,
        }
    }
}

/// How the primary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Up,
    /// Its processes are gone: connections are refused.
    Killed,
    /// Its region is gone: nobody answers.
    Silent,
    /// Its processes are stopped, and go on later.
    Frozen,
    /// It answers 503.
    Broken,
    /// It answers for so long, then is gone for so long, again and again.
    CrashLoop {
        up: u64,
        down: u64,
    },
}

/// How it ends with the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Lives,
    Dies,
    CrashLoops,
}

/// A fault of the Resource Manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArmFault {
    /// 429 or 500: nothing is done.
    Refuses,
    /// It is done, but no answer comes.
    Mute,
    /// It says yes and does not do it.
    Lies,
}

/// A run's world and its mishaps.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub settings: Settings,
    pub barrier: Barrier,
    pub probe_timeout: u64,
    pub fate: Fate,
    /// From when on the primary is how; sorted.
    pub primary: Vec<(u64, Health)>,
    pub cuts: Vec<Cut>,
    pub arm_faults: Vec<(ArmFault, Span)>,
    /// The standby's API server's clock is stepped by so many seconds.
    pub steps: Vec<(u64, i64)>,
    /// An instance is killed, and started again at the end of the span (or never).
    pub deaths: Vec<(usize, Span)>,
    pub freezes: Vec<(usize, Span)>,
    pub alerts: Vec<(u64, usize)>,
    pub terraform: Vec<u64>,
    /// Somebody makes the operator's Deployment again: the marks are lost.
    pub losses: Vec<u64>,
    pub unable: Vec<Span>,
    pub pauses: Vec<Span>,
    /// What is in the annotations at the start.
    pub annotations: Vec<(&'static str, String)>,
    /// When the failover before this one really was, in milliseconds before the start.
    pub earlier_failover: Option<u64>,
    pub wall_skew: [i64; 2],
    pub drift: [f64; 2],
    pub slow_percent: u32,
    pub pod_start: u64,
    pub pod_crashes: u32,
    pub stale_secrets: bool,
    pub monitor_interval: u64,
    /// From then on, nothing new goes wrong, and it must come to its end by [`Scenario::end`].
    pub calm: u64,
    pub end: u64,
    /// If the primary dies, a run must have begun by then.
    pub begin_by: u64,
}

impl Scenario {
    pub fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let r = &mut random;
        let seconds = Duration::from_secs;
        let spacing = r.random_range(3..=10);
        let holdoff = *[20, 40, 60, 90, 180].choose(r).unwrap();
        let recovered = r.random_range(20..=60);
        let unwatched = r.random_range(spacing * 3..=spacing * 3 + 40);
        let probe_timeout = r.random_range(1_000..=8_000);
        let mut settings = Settings {
            holdoff: seconds(holdoff),
            failures: r.random_range(1..=3),
            spacing: seconds(spacing),
            recovered: seconds(recovered),
            crash_loop: Some(seconds(holdoff + recovered + r.random_range(30..=120))),
            unwatched: seconds(unwatched),
            look: seconds(30),
            cooldown: seconds(*[0, 60, 120].choose(r).unwrap()),
            ..Settings::default()
        };
        // All but the primary's own end: a third are quiet worlds.
        let busy = r.random_range(0..3u32);
        let chaos = r.random_range(120_000..=420_000);
        let span = |r: &mut SmallRng, longest: u64| {
            let from = r.random_range(0..chaos);
            let to = (from + r.random_range(500..=longest)).min(chaos);
            Span { from, to }
        };
        let some = |r: &mut SmallRng, most: u32| r.random_range(0..=most * busy);

        let fate = *[Fate::Lives, Fate::Dies, Fate::Dies, Fate::CrashLoops]
            .choose(r)
            .unwrap();
        let sure = u64::from(settings.failures) * (spacing * 1_000 + 3 * probe_timeout + 8_000);
        let down = sure + spacing * 2_000 + r.random_range(15_000..=40_000);
        let primary = Self::primary(r, fate, chaos, recovered, down);
        let last_change = primary.last().map_or(0, |it| it.0);

        let mut cuts = Vec::new();
        for _ in 0..some(r, 4) {
            let a = *Node::ALL.choose(r).unwrap();
            let b = *Node::ALL.choose(r).unwrap();
            cuts.push(Cut {
                both_ways: r.random_bool(0.6),
                ..Cut::between(a, b, span(r, 150_000))
            });
        }
        // A watcher's whole network, or the standby's API server, is away.
        for _ in 0..some(r, 1) {
            let lonely = *[Node::WatchA, Node::WatchB, Node::Standby, Node::Arm]
                .choose(r)
                .unwrap();
            let when = span(r, 90_000);
            let spared = *Node::ALL.choose(r).unwrap();
            let others = Node::ALL
                .iter()
                .filter(|it| **it != lonely && **it != spared);
            cuts.extend(others.map(|it| Cut::between(lonely, *it, when)));
        }
        // The primary is well, but alone with its bucket; perhaps nobody else reaches that.
        if busy > 0 && r.random_bool(0.2) {
            let when = span(r, 300_000);
            let watchers = [Node::WatchA, Node::WatchB];
            cuts.push(Cut::between(Node::Primary, Node::Arm, when));
            cuts.extend(watchers.map(|it| Cut::between(Node::Primary, it, when)));
            if r.random_bool(0.5) {
                cuts.extend(watchers.map(|it| Cut::between(Node::BucketP, it, when)));
            }
        }
        let faults = [ArmFault::Refuses, ArmFault::Mute, ArmFault::Lies];
        let arm_faults = (0..some(r, 2))
            .map(|_| (*faults.choose(r).unwrap(), span(r, 90_000)))
            .collect();
        let steps: Vec<_> = if busy == 2 && fate != Fate::CrashLoops && r.random_bool(0.2) {
            (0..3)
                .map(|_| (r.random_range(0..chaos), r.random_range(-200..=200)))
                .collect()
        } else {
            Vec::new()
        };
        if !steps.is_empty() {
            // So that the judge need not reckon with a bound that is stepped over.
            settings.crash_loop = None;
        }
        let mut deaths: Vec<(usize, Span)> = (0..some(r, 2))
            .map(|_| (r.random_range(0..2), span(r, 60_000)))
            .collect();
        if busy == 2 && r.random_bool(0.3) {
            let when = span(r, 150_000);
            deaths.extend([(0, when), (1, when)]);
        }
        // The other one never comes back.
        if r.random_bool(0.3) {
            let from = r.random_range(0..chaos);
            deaths.push((r.random_range(0..2), Span { from, to: u64::MAX }));
        }
        let freezes = (0..some(r, 2))
            .map(|_| (r.random_range(0..2), span(r, 100_000)))
            .collect();
        let alerts = (0..some(r, 6))
            .map(|_| (r.random_range(0..chaos * 2), r.random_range(0..2)))
            .collect();
        let terraform = (0..some(r, 1))
            .map(|_| r.random_range(0..chaos + 400_000))
            .collect();
        let losses: Vec<u64> = match busy > 0 && r.random_bool(0.1) {
            true => vec![r.random_range(0..chaos + LATE)],
            false => Vec::new(),
        };
        let unable = (0..some(r, 1)).map(|_| span(r, 200_000)).collect();
        let pauses: Vec<Span> = (0..some(r, 1)).map(|_| span(r, 200_000)).collect();
        let (annotations, earlier_failover) = Self::annotations(r, busy, &settings);

        let calm = chaos.max(last_change);
        let pod_start = r.random_range(500..=15_000);
        let pod_crashes = r.random_range(0..=2);
        let monitor_interval = r.random_range(3..=10) * 1_000;
        let crash_loop = settings.crash_loop.map_or(0, |it| it.as_secs());
        let waits = settings.cooldown.as_secs() + unwatched + recovered + 15 + 60;
        let waits = waits
            + if fate == Fate::CrashLoops {
                crash_loop + unwatched
            } else {
                holdoff
            };
        let monitor = monitor_interval * 8 + probe_timeout * 5;
        let looks = sure + (down + recovered * 1_000) * 2;
        // Each wait that there is, once, and a minute for what is slow.
        let from = calm.max(losses.iter().copied().max().unwrap_or(0));
        let waits_for = settings.cooldown.as_secs() + unwatched + holdoff + 2 * spacing + 15;
        let begin_by = from + waits_for * 1_000 + sure + monitor + 60_000;
        let end = calm + waits * 1_100 + monitor + looks + (pod_start + 5_000) * 4 + 120_000;
        Self {
            barrier: *[Barrier::SealByEither, Barrier::SealByUs]
                .choose(r)
                .unwrap(),
            wall_skew: [r.random_range(-600..=600), r.random_range(-600..=600)],
            drift: [
                r.random_range(-0.001..=0.001),
                r.random_range(-0.001..=0.001),
            ],
            slow_percent: *[0, 2, 10].choose(r).unwrap(),
            stale_secrets: r.random_bool(0.3),
            settings,
            probe_timeout,
            fate,
            primary,
            cuts,
            arm_faults,
            steps,
            deaths,
            freezes,
            alerts,
            terraform,
            losses,
            unable,
            pauses,
            annotations,
            earlier_failover,
            pod_start,
            pod_crashes,
            monitor_interval,
            calm,
            end,
            begin_by,
        }
    }

    /// Up and down until the calm, and then its fate.
    fn primary(
        r: &mut SmallRng,
        fate: Fate,
        chaos: u64,
        recovered: u64,
        down: u64,
    ) -> Vec<(u64, Health)> {
        let mut primary = vec![(0, Health::Up)];
        let mut at = r.random_range(0..chaos / 2);
        let longest = *[10_000, 60_000, 250_000].choose(r).unwrap();
        let crash_loop = Health::CrashLoop {
            up: r.random_range(500..=recovered * 500),
            down,
        };
        while at < chaos {
            let ill = [
                Health::Killed,
                Health::Silent,
                Health::Frozen,
                Health::Broken,
                crash_loop,
            ];
            let last = primary.last().map(|it: &(u64, Health)| it.1);
            let health = match last {
                Some(Health::Up) => *ill.choose(r).unwrap(),
                _ => Health::Up,
            };
            primary.push((at, health));
            at += r.random_range(1_000..=longest);
        }
        let end = match fate {
            Fate::Lives => Health::Up,
            Fate::CrashLoops => crash_loop,
            Fate::Dies => *[
                Health::Killed,
                Health::Silent,
                Health::Frozen,
                Health::Broken,
            ]
            .choose(r)
            .unwrap(),
        };
        let at = r.random_range(chaos / 2..chaos);
        primary.retain(|it| it.0 < at);
        primary.push((at, end));
        primary
    }

    fn annotations(
        r: &mut SmallRng,
        busy: u32,
        settings: &Settings,
    ) -> (Vec<(&'static str, String)>, Option<u64>) {
        use backstay_failover::marks::{DEGRADED_SINCE, LAST_FAILOVER};
        let mut annotations = Vec::new();
        let mut earlier = None;
        if busy > 0 && r.random_bool(0.3) {
            let odd = [
                "1000000000".to_owned(),
                (START * 1_000).to_string(),
                "soon".to_owned(),
                (START + 400).to_string(),
            ];
            annotations.push((DEGRADED_SINCE, odd.choose(r).unwrap().clone()));
        }
        if !settings.cooldown.is_zero() && r.random_bool(0.4) {
            let ago = r.random_range(0..=200);
            if r.random_bool(0.2) {
                annotations.push((LAST_FAILOVER, (START * 1_000).to_string()));
                earlier = Some(0);
            } else {
                annotations.push((LAST_FAILOVER, (START - ago).to_string()));
                earlier = Some(ago * 1_000);
            }
        }
        (annotations, earlier)
    }

    /// Whether something sent from one arrives at the other.
    pub fn linked(&self, from: Node, to: Node, at: u64) -> bool {
        !self.cuts.iter().any(|cut| {
            let there = cut.from == from && cut.to == to;
            let back = cut.both_ways && cut.from == to && cut.to == from;
            (there || back) && cut.when.holds(at)
        })
    }

    /// How the primary is at that time, its crash loop resolved.
    pub fn primary_at(&self, at: u64) -> Health {
        let place = self.primary.partition_point(|it| it.0 <= at);
        let Some((from, health)) = place.checked_sub(1).map(|place| self.primary[place]) else {
            return Health::Up;
        };
        match health {
            Health::CrashLoop { up, down } if (at - from) % (up + down) >= down => Health::Up,
            Health::CrashLoop { .. } => Health::Killed,
            other => other,
        }
    }
}
