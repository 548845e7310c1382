//! From the kill of a primary until it is served again, with nobody's help, compared with Patroni.
//!
//! Ours: a lab of its own for each run (`backstay lab up`), `backstay watch` with no holdoff and a
//! probe each second, clients that ingest through the global name, and `backstay lab kill-region
//! primary`. The peer: two PostgreSQL nodes under Patroni with synchronous replication, and a client
//! that inserts into whichever takes writes; see [`patroni`] for its settings. In turn, each from
//! scratch. Both kills are SIGKILL to all processes of one side at once, on the machine on which the
//! clients are: a connection to a killed process is refused at once, which is kinder to both than a
//! region that has gone silent.
//!
//! *Detection* ends when the dead one is called down: with us when enough looks have seen it down;
//! with Patroni when the leader's key ends in etcd, since until then nobody may take its place. What
//! comes after that is compared by itself, because the time that detection takes is a setting, not
//! merit: three looks that are a second apart here, a `ttl` of 20 s there, which is the least that
//! Patroni allows. A longer detection forgives longer interruptions.
//!
//! A run fails the benchmark when something that was acknowledged is not found afterwards.

mod http;
mod ours;
mod patroni;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::measure::{median, worst};
use crate::process::program;
use crate::table::{Ratio, Report, Row};
use crate::{Failure, note};
use patroni::Programs;

/// Acknowledgements before the kill, so that nothing is just starting.
const MIN_ACKNOWLEDGED: u64 = 200;
/// How often a condition is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Longest wait for anything; only a hang takes so long.
const HANG_TIMEOUT: Duration = Duration::from_secs(120);
/// What is not detection may take this long.
const MAX_TAKEOVER: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often each of the two is measured.
    #[arg(long, default_value_t = 20, env = "BACKSTAY_BENCH_ROUNDS", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of our holdoff: how long a primary that is seen down may still come back.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=60))]
    holdoff: u32,
    /// The `backstay` binary; by default the one next to this program.
    #[arg(long, env = "BACKSTAY_BIN")]
    program: Option<PathBuf>,
}

/// How long what took, from the kill.
#[derive(Debug)]
struct Run {
    /// Until something was acknowledged again.
    ack: Duration,
    /// Until a search found everything.
    search: Duration,
    /// Until the dead one was called down, and a holdoff that was asked for was over.
    detection: Duration,
    /// The parts, by its own report or log.
    phases: Vec<(String, Duration)>,
}

impl Run {
    /// Until both are served again.
    fn total(&self) -> Duration {
        self.ack.max(self.search)
    }

    /// What of that is not detection.
    fn rest(&self) -> Duration {
        self.total().saturating_sub(self.detection)
    }
}

pub(crate) async fn run(options: &Options) -> Result<Report, Failure> {
    // What was started ends when it is dropped, so not even an interruption may end this process.
    tokio::select! {
        report = measure(options) => report,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(Failure::Failed("interrupted".to_owned()))
        }
    }
}

async fn measure(options: &Options) -> Result<Report, Failure> {
    let program = program(options.program.as_deref())?;
    let peer = Programs::find();
    let load = load();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let run = ours::fail_over(&program, options.holdoff, round).await?;
        tell(round, "backstay", &run);
        ours.push(run);
        if let Some(peer) = &peer {
            let run = patroni::fail_over(peer, round).await?;
            tell(round, "patroni", &run);
            theirs.push(run);
        }
    }
    let mut report = report(options, &ours, &theirs, peer.as_ref());
    report.notes.push(format!(
        "load average when it began: {load}, when it ended: {}",
        self::load()
    ));
    Ok(report)
}

fn tell(round: u32, who: &str, run: &Run) {
    let millis = |it: Duration| format!("{} ms", it.as_millis());
    let phases = run.phases.iter();
    let phases: Vec<String> = phases
        .map(|(name, took)| format!("{name} {}", millis(*took)))
        .collect();
    note(&format!(
        "round {round}: {who}: first acknowledgement after {}, complete search after {}, {} of that not \
         detection; {}",
        millis(run.ack),
        millis(run.search),
        millis(run.rest()),
        phases.join(", ")
    ));
}

fn report(options: &Options, ours: &[Run], theirs: &[Run], peer: Option<&Programs>) -> Report {
    let mut rows = rows("backstay", ours);
    rows.extend(self::rows("patroni", theirs));
    let of = |runs: &[Run], what: fn(&Run) -> Duration| median(runs.iter().map(what).collect());
    let rest = of(ours, Run::rest);
    let worst = worst(ours.iter().map(Run::rest));
    let mut ratios = vec![
        Ratio::of("what is not detection, to 2 s", rest, MAX_TAKEOVER).at_most(1.0),
        Ratio::of("the worst of it, to 2 s", worst, MAX_TAKEOVER),
    ];
    let mut notes = vec![format!(
        "medians and worsts of {} runs; backstay: holdoff {} s, probes 1 s apart, three failures",
        options.rounds, options.holdoff
    )];
    if let Some(peer) = peer {
        let theirs_detect = of(theirs, |run| run.detection);
        ratios.extend([
            Ratio::of(
                "kill to first acknowledgement, to patroni",
                of(ours, |run| run.ack),
                of(theirs, |run| run.ack),
            )
            .at_most(1.0),
            Ratio::of(
                "kill to first complete search, to patroni",
                of(ours, |run| run.search),
                of(theirs, |run| run.search),
            )
            .at_most(1.0),
            Ratio::of(
                "kill to both, if ours took patroni's time to detect, to patroni",
                theirs_detect + rest,
                of(theirs, Run::total),
            )
            .at_most(1.0),
            Ratio::of(
                "what is not detection, to patroni",
                rest,
                of(theirs, Run::rest),
            ),
        ]);
        notes.push(format!(
            "{}: ttl {} s, loop_wait {} s, retry_timeout {} s, the least that are allowed; synchronous_mode",
            peer.versions(),
            patroni::TTL,
            patroni::LOOP_WAIT,
            patroni::RETRY_TIMEOUT
        ));
        notes.push(
            "detection is a setting: patroni's cannot be as short as ours, ours can be as long as \
             patroni's (--holdoff); so the ratio with patroni's time for both is computed, not measured"
                .to_owned(),
        );
    } else {
        notes.push("there is no peer on this machine".to_owned());
    }
    Report {
        bench: "failover",
        subject: "from SIGKILL of a primary until it is served again, with nobody's help"
            .to_owned(),
        peer: "two PostgreSQL nodes under Patroni, one etcd, synchronous replication".to_owned(),
        rows,
        ok: ratios.iter().all(Ratio::holds),
        ratios,
        notes,
    }
}

/// The figures of one of the two.
fn rows(who: &str, runs: &[Run]) -> Vec<Row> {
    // A phase that one run could not tell is in another.
    let Some(told) = runs.iter().max_by_key(|run| run.phases.len()) else {
        return Vec::new();
    };
    let mut figures: Vec<(String, Vec<Duration>)> = [
        (
            "kill to first acknowledgement",
            (|run| run.ack) as fn(&Run) -> Duration,
        ),
        ("kill to first complete search", |run| run.search),
        ("kill to called down", |run| run.detection),
        ("what is not detection", Run::rest),
    ]
    .into_iter()
    .map(|(name, what)| (name.to_owned(), runs.iter().map(what).collect()))
    .collect();
    for (name, _) in &told.phases {
        let of = runs.iter().flat_map(|run| &run.phases);
        let times = of.filter(|it| it.0 == *name).map(|it| it.1).collect();
        figures.push((name.clone(), times));
    }
    let rows = figures.into_iter().flat_map(|(name, times)| {
        let worst = worst(times.iter().copied());
        [
            Row::time(format!("{who}: {name}"), median(times)),
            Row::time(format!("{who}: {name}, worst"), worst),
        ]
    });
    rows.collect()
}

/// Another point of everybody's intervals in each round.
fn offset(round: u32) -> Duration {
    Duration::from_millis(300 + u64::from(round % 7) * 137)
}

/// Waits until it holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Result<(), Failure> {
    let begun = Instant::now();
    while !holds().await {
        if begun.elapsed() > HANG_TIMEOUT {
            return Err(Failure::Failed(format!("{what} has not come")));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// The load average, where the kernel tells.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
