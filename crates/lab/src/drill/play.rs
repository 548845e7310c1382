//! The story, step by step.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_pair::Side;
use chrono::Utc;
use tempfile::TempDir;
use tokio::sync::watch;

use super::region::{admin_token, fail_over, nodes, segments};
use super::report::{Measured, OldPrimary, Report, Segments};
use super::stage::{Clock, Lines, PARTITIONS, Wait, lab_options, source};
use super::traffic::Lookup;
use super::{DrillError, Failure, Options, Progress, report};
use crate::client::{ClientError, NodeClient};
use crate::up::Lab;
use crate::up::disaster::Disaster;
use crate::up::sweep::sweep;
use crate::workload::RunName;
use crate::workload::feed::{Feed, body};
use crate::workload::ledger::Ledger;
use crate::workload::lines::stamp;
use crate::workload::sender::{Address, Senders, Sending};
use crate::workload::verdict::{Tally, Verdict, judge};

/// The repository of the drill.
const REPOSITORY: &str = "drill";

/// How often a condition is looked at.
const TICK: Duration = Duration::from_millis(2);

/// How often a bucket is listed, or a search tried, while waiting.
const SLOW_TICK: Duration = Duration::from_millis(25);

/// Interval of the report's rate.
const RATE_INTERVAL_MS: u64 = 50;

/// Parts of a hundred of all events: sent at full speed before segments are waited for; sent at
/// most while they are waited for; acknowledged when the kill comes, beyond those.
const HISTORY: u64 = 30;
const TRICKLE_TO: u64 = 60;
const BEFORE_KILL: u64 = 8;

/// Batches that the old primary is offered once it says that it is fenced.
const OFFERS: u64 = 3;

/// Runs a drill. `stop` ends it early.
///
/// # Errors
/// When it comes to no verdict. A verdict that is bad is a [`Report`] with `ok` false.
pub async fn run(
    options: &Options,
    progress: &Progress,
    stop: impl Future<Output = ()>,
) -> Result<Report, Failure> {
    let failure = |error| Failure {
        error,
        work_dir: None,
    };
    let folder = std::env::temp_dir();
    let work = tempfile::Builder::new()
        .prefix("backstay-drill-")
        .tempdir_in(&folder)
        .map_err(|source| {
            failure(DrillError::Folder {
                path: folder,
                source,
            })
        })?;
    let ended = tokio::select! {
        ended = play(options, progress, work.path()) => ended,
        () = stop => Err(DrillError::Interrupted),
    };
    progress.end();
    // The lab went with the play; what ended in the midst of starting one is swept up.
    sweep(&work.path().canonicalize().unwrap_or_default().join("lab"));
    let interrupted = matches!(ended, Err(DrillError::Interrupted));
    let failed = !interrupted && !matches!(&ended, Ok(report) if report.ok);
    let keep = options.keep || failed;
    let work_dir = leave(work, keep);
    match ended {
        Ok(mut report) => {
            report.work_dir = work_dir;
            Ok(report)
        }
        Err(error) => Err(Failure { error, work_dir }),
    }
}

fn leave(work: TempDir, keep: bool) -> Option<PathBuf> {
    if keep {
        return Some(work.keep());
    }
    let path = work.path().to_owned();
    if let Err(error) = work.close() {
        tracing::warn!(%error, path = %path.display(), "the working folder was left behind");
    }
    None
}

fn call(side: Side) -> impl Fn(ClientError) -> DrillError {
    move |source| DrillError::Call { side, source }
}

async fn play(options: &Options, progress: &Progress, work: &Path) -> Result<Report, DrillError> {
    let (lines, events, source) = source(options)?;
    let run = RunName::new(options.seed, Utc::now().timestamp_millis());
    let batch = (events / 200).clamp(1, 500);
    let ledger = Arc::new(Ledger::new(Instant::now(), events, batch));
    let mut clock = Clock::new(ledger.clone(), progress);

    clock.begin("start both regions", None);
    let (lab_options, _claim) = lab_options(options, work)?;
    let lab = Lab::start(&lab_options, &|what| progress.note(what)).await?;
    let played = in_lab(options, &lab, &run, &mut clock, lines).await;
    let remove = !options.keep
        && matches!(&played, Ok((measured, verdict)) if report::judge(measured.clone(), verdict.clone()).ok);
    lab.stop(remove).await;
    let (mut measured, verdict) = played?;
    clock.end();
    measured.phases = clock.phases;
    measured.duration_ms = ledger.now_ms();
    measured.seed = options.seed;
    measured.source = source;
    Ok(report::judge(measured, verdict))
}

/// The story itself.
async fn in_lab(
    options: &Options,
    lab: &Lab,
    run: &RunName,
    clock: &mut Clock<'_>,
    lines: Lines,
) -> Result<(Measured, Verdict), DrillError> {
    let (ledger, progress) = (clock.ledger.clone(), clock.progress);
    let events = ledger.events();
    lab.ready(&|what| progress.note(what)).await?;
    let ingress = lab.ingress(Side::Primary);
    let base = format!("http://{}:{}/", lab.pair().global_host, ingress.port());
    let (_lookup, name) =
        Lookup::start(lab.names(), &base, ingress_ips(lab)).map_err(call(Side::Primary))?;
    let admin = admin_token(lab, Side::Primary).await?;
    let primary = name.borrow().node.clone();
    primary
        .create_repository(&admin, REPOSITORY)
        .await
        .map_err(call(Side::Primary))?;
    let token: Arc<str> = primary
        .create_ingest_token(&admin, REPOSITORY, "drill")
        .await
        .map_err(call(Side::Primary))?
        .into();

    let (allow, allowed) = watch::channel(events * HISTORY / 100);
    let sending = Sending {
        run: run.clone(),
        token: token.clone(),
        feed: Feed::new(run.clone(), ledger.clone(), lines),
        ledger: ledger.clone(),
        name: name.clone(),
        allowed,
    };
    let mut senders = Senders::start(options.senders, &sending);
    ingest_history(clock, lab, &mut senders, &allow).await?;
    let (kill_ms, in_flight_at_kill) = kill_in_mid_ingest(clock, lab, &mut senders, &allow).await?;

    clock.begin("fail over", None);
    let at_kill = segments(lab, Side::Primary).await?;
    let acknowledged_before_kill = ledger.acknowledged_events();
    fail_over(lab).await?;
    clock.begin("standby recovers", None);
    lab.ready_side(Side::Secondary, &|what| progress.note(what))
        .await?;

    clock.begin("clients move over", None);
    let admin = admin_token(lab, Side::Secondary).await?;
    let first_search_ms =
        moved_over(clock, &name, &mut senders, &admin, acknowledged_before_kill).await?;
    let first_ack_ms = ledger
        .first_ack_ms(Side::Secondary)
        .unwrap_or(first_search_ms);

    clock.begin("ingest the rest", Some(events));
    let wait = Wait::new("the acknowledgement of all events");
    while !senders.finished()? {
        progress.at(ledger.acknowledged_events());
        wait.tick(TICK, || known(&ledger, lab)).await?;
    }
    clock.begin("new segments are written", None);
    let wait = Wait::new("a segment in the standby's bucket");
    while segments(lab, Side::Secondary).await?.is_empty() {
        wait.tick(SLOW_TICK, || known(&ledger, lab)).await?;
    }

    clock.begin("the old primary returns", None);
    lab.restore(Some(Side::Primary)).await?;
    let old_primary = offer_to_all(lab, run, &token, events).await?;

    clock.begin("check every event", Some(events));
    let standby = name.borrow().node.clone();
    let mut tally = Tally::new(&ledger);
    let rows = standby
        .query(&admin, REPOSITORY, "*")
        .await
        .map_err(call(Side::Secondary))?;
    let seen = |count| progress.at(count);
    tally
        .take(run, &ledger, rows, &seen)
        .await
        .map_err(call(Side::Secondary))?;
    let verdict = judge(run, &ledger, &tally);
    let found = compare(
        &at_kill,
        &segments(lab, Side::Primary).await?,
        &segments(lab, Side::Secondary).await?,
    );
    clock.end();

    let (requests, failed_requests) = ledger.requests();
    let measured = Measured {
        sent: ledger.sent_events(),
        planned: events,
        requests,
        failed_requests,
        acknowledged_before_kill,
        in_flight_at_kill,
        kill_ms,
        first_ack_ms,
        first_search_ms,
        segments: found,
        old_primary,
        rate: ledger.rate(RATE_INTERVAL_MS),
        rate_interval_ms: RATE_INTERVAL_MS,
        store: lab.store(),
        ..Measured::default()
    };
    Ok((measured, verdict))
}

fn ingress_ips(lab: &Lab) -> [(Side, IpAddr); 2] {
    Side::BOTH.map(|side| (side, lab.ingress(side).ip()))
}

fn known(ledger: &Ledger, lab: &Lab) -> String {
    format!(
        "{} of {} events are acknowledged; the regions' logs are in {}",
        ledger.acknowledged_events(),
        ledger.events(),
        lab.place().folder.display(),
    )
}

/// Sends a part at full speed, and then a trickle until enough of it is in segments.
async fn ingest_history(
    clock: &mut Clock<'_>,
    lab: &Lab,
    senders: &mut Senders,
    allow: &watch::Sender<u64>,
) -> Result<(), DrillError> {
    let ledger = clock.ledger.clone();
    let (events, batch) = (ledger.events(), ledger.batch_size());
    let history = events * HISTORY / 100;
    // A batch that reaches beyond the allowed part is held back whole.
    let goal = history - history % batch;
    clock.begin("ingest", Some(goal));
    let wait = Wait::new("the acknowledgement of the first events");
    while ledger.acknowledged_events() < goal {
        senders.finished()?;
        clock.progress.at(ledger.acknowledged_events());
        wait.tick(TICK, || known(&ledger, lab)).await?;
    }
    clock.begin("history goes into segments", None);
    let most = events * TRICKLE_TO / 100;
    let step = ((most - history) / 100).max(batch);
    let wait = Wait::new("history in segments");
    let mut still = 0;
    loop {
        senders.finished()?;
        let count = segments(lab, Side::Primary).await?.len();
        // More segments than partitions: some partition is at its second, so that its first is
        // not only uploaded but published.
        if count > PARTITIONS || (count > 0 && still > 80) {
            return Ok(());
        }
        let now = *allow.borrow();
        if now >= most {
            still += 1;
        }
        allow.send_replace((now + step).min(most));
        wait.tick(SLOW_TICK, || known(&ledger, lab)).await?;
    }
}

/// Lets the senders go, and kills the primary while they wait for answers. Returns when that was
/// and how many waited.
async fn kill_in_mid_ingest(
    clock: &mut Clock<'_>,
    lab: &Lab,
    senders: &mut Senders,
    allow: &watch::Sender<u64>,
) -> Result<(u64, u64), DrillError> {
    let ledger = clock.ledger.clone();
    let events = ledger.events();
    let goal = ledger.acknowledged_events() + events * BEFORE_KILL / 100;
    clock.begin("ingest until SIGKILL", Some(goal));
    allow.send_replace(events);
    let wait = Wait::new("the acknowledgement of the events before the kill");
    loop {
        senders.finished()?;
        let in_flight = ledger.in_flight();
        if ledger.acknowledged_events() >= goal && in_flight > 0 {
            let kill_ms = ledger.now_ms();
            lab.befall(Side::Primary, Disaster::Kill).await?;
            return Ok((kill_ms, in_flight));
        }
        clock.progress.at(ledger.acknowledged_events());
        wait.tick(TICK, || known(&ledger, lab)).await?;
    }
}

/// Waits for the standby's first acknowledgement and its first complete search, and returns when
/// the search ended. Complete is a search that counts as many events as had been acknowledged;
/// whether they are the same ones is told by the check at the end.
async fn moved_over(
    clock: &Clock<'_>,
    name: &watch::Receiver<Address>,
    senders: &mut Senders,
    admin: &str,
    acknowledged: u64,
) -> Result<u64, DrillError> {
    let ledger = &clock.ledger;
    let wait = Wait::new("the standby's first acknowledgement and its first complete search");
    let mut searched: Option<u64> = None;
    loop {
        senders.finished()?;
        let mut last = "it has not acknowledged any event".to_owned();
        let address = name.borrow().clone();
        if address.side == Side::Primary {
            "the global name still points to the primary".clone_into(&mut last);
        } else if searched.is_none() {
            match address.node.count(admin, REPOSITORY).await {
                Ok(count) if count >= acknowledged => searched = Some(ledger.now_ms()),
                Ok(count) => last = format!("it finds {count} of {acknowledged} events"),
                Err(error) => last = error.to_string(),
            }
        }
        if let (Some(at), Some(_)) = (searched, ledger.first_ack_ms(Side::Secondary)) {
            return Ok(at);
        }
        wait.tick(TICK, || last).await?;
    }
}

/// Offers batches to every node of the old primary, past its ingress. What came of it is that of
/// the worst of them.
async fn offer_to_all(
    lab: &Lab,
    run: &RunName,
    token: &str,
    events: u64,
) -> Result<OldPrimary, DrillError> {
    let wait = Wait::new("the old primary's return");
    let found = loop {
        // Its API comes back with it.
        match nodes(lab, Side::Primary).await {
            Ok(found) if !found.is_empty() => break found,
            Ok(_) => wait.tick(SLOW_TICK, || "it has no pods".to_owned()).await?,
            Err(error) => wait.tick(SLOW_TICK, || error.to_string()).await?,
        }
    };
    let mut all = OldPrimary {
        says_fenced: true,
        ..OldPrimary::default()
    };
    for (pod, node) in found {
        let one = offer_to(&pod, &node, run, token, events + all.offered).await?;
        all.offered += one.offered;
        all.accepted += one.accepted;
        all.says_fenced &= one.says_fenced;
        all.last_answer = one.last_answer;
    }
    Ok(all)
}

/// Offers batches to a node of the old primary until it says that it is fenced, and some more.
/// Their identities are in no ledger: found anywhere, they are phantoms.
async fn offer_to(
    pod: &str,
    node: &NodeClient,
    run: &RunName,
    token: &str,
    first: u64,
) -> Result<OldPrimary, DrillError> {
    let wait = Wait::new("the old primary's word that it is fenced");
    let mut old = OldPrimary::default();
    let mut offers_left = OFFERS;
    while offers_left > 0 {
        match node.status().await {
            Ok(answer) => {
                old.says_fenced |= !answer.ok && answer.body.to_lowercase().contains("fenced");
                old.last_answer = answer.to_string();
            }
            // It has not started yet.
            Err(error) => old.last_answer = error.to_string(),
        }
        let identity = run.identity(first + old.offered);
        let text = stamp("offered to the old primary", &identity);
        let batch = body(Utc::now().timestamp_millis(), &[("offer", identity, text)]);
        let key = format!("{}-offer-{}", run.as_str(), first + old.offered);
        old.offered += 1;
        if node.ingest(token, &key, batch).await.is_ok() {
            old.accepted += 1;
        }
        if old.says_fenced || old.accepted > 0 {
            offers_left -= 1;
        }
        wait.tick(SLOW_TICK, || format!("{pod} answers {}", old.last_answer))
            .await?;
    }
    Ok(old)
}

/// Where segments are and went.
fn compare(
    at_kill: &BTreeSet<String>,
    primary: &BTreeSet<String>,
    standby: &BTreeSet<String>,
) -> Segments {
    let id = |key: &String| key.rsplit('/').next().unwrap_or_default().to_owned();
    let ids: BTreeSet<String> = primary.iter().map(id).collect();
    Segments {
        primary_at_kill: at_kill.len() as u64,
        primary_added_later: primary.difference(at_kill).count() as u64,
        primary_removed_later: at_kill.difference(primary).count() as u64,
        standby: standby.len() as u64,
        in_both: standby.iter().filter(|key| ids.contains(&id(key))).count() as u64,
    }
}
