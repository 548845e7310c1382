//! The story, step by step.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tempfile::TempDir;
use tokio::sync::watch;

use super::report::{Measured, OldPrimary, Report, Segments};
use super::stage::{Clock, PARTITIONS, PATIENCE, Wait, regions, source, spec};
use super::{DrillError, Failure, Options, Progress, report};
use crate::client::ClientError;
use crate::region::Region;
use crate::supervisor::NodeProcess;
use crate::workload::RunName;
use crate::workload::feed::{Feed, body};
use crate::workload::ledger::Ledger;
use crate::workload::lines::stamp;
use crate::workload::sender::{Address, Senders, Sending};
use crate::workload::verdict::{Tally, judge};

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
    let mut made = Vec::new();
    let ended = tokio::select! {
        ended = play(options, progress, work.path(), &mut made) => ended,
        () = stop => Err(DrillError::Interrupted),
    };
    progress.end();
    let interrupted = matches!(ended, Err(DrillError::Interrupted));
    let failed = !interrupted && !matches!(&ended, Ok(report) if report.ok);
    let keep = options.keep || failed;
    if !keep {
        remove(&made).await;
    }
    let work_dir = leave(work, keep);
    match ended {
        Ok(mut report) => {
            report.work_dir = work_dir;
            Ok(report)
        }
        Err(error) => Err(Failure { error, work_dir }),
    }
}

async fn remove(regions: &[Region]) {
    for region in regions {
        if let Err(error) = region.remove().await {
            tracing::warn!(%error, region = region.name(), "a bucket of the drill was left behind");
        }
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

fn call<'a>(node: &'a NodeProcess) -> impl Fn(ClientError) -> DrillError + 'a {
    |source| DrillError::Call {
        node: node.name().to_owned(),
        source,
    }
}

async fn play(
    options: &Options,
    progress: &Progress,
    work: &Path,
    made: &mut Vec<Region>,
) -> Result<Report, DrillError> {
    let (lines, events, source) = source(options)?;
    let run = RunName::new(options.seed, Utc::now().timestamp_millis());
    let batch = (events / 200).clamp(1, 500);
    let ledger = Arc::new(Ledger::new(Instant::now(), events, batch));
    let mut clock = Clock::new(ledger.clone(), progress);

    clock.begin("provision the primary", None);
    let (primary_region, standby_region) = regions(options, &run, work, made).await?;
    let primary_spec = spec(options, work, "primary", primary_region.own());
    let mut primary = NodeProcess::start(&primary_spec)?;
    primary.ready(PATIENCE).await?;
    let admin = primary.admin_token()?;
    primary
        .client()
        .create_repository(&admin, REPOSITORY)
        .await
        .map_err(call(&primary))?;
    let token: Arc<str> = primary
        .client()
        .create_ingest_token(&admin, REPOSITORY, "drill")
        .await
        .map_err(call(&primary))?
        .into();

    let (name, resolver) = watch::channel(Address {
        generation: 0,
        node: primary.client().clone(),
    });
    let (allow, allowed) = watch::channel(events * HISTORY / 100);
    let sending = Sending {
        run: run.clone(),
        token: token.clone(),
        feed: Feed::new(run.clone(), ledger.clone(), lines),
        ledger: ledger.clone(),
        name: resolver,
        allowed,
    };
    let mut senders = Senders::start(options.senders, &sending);

    ingest_history(
        &mut clock,
        &mut primary,
        &mut senders,
        &primary_region,
        &allow,
    )
    .await?;
    let (kill_ms, in_flight_at_kill) =
        kill_in_mid_ingest(&mut clock, &mut primary, &mut senders, &allow).await?;

    clock.begin("standby recovers", None);
    let at_kill = segment_keys(&primary_region).await?;
    let env = standby_region
        .own()
        .into_iter()
        .chain(primary_region.recover_from(&standby_region));
    let standby_spec = spec(options, work, "secondary", env.collect());
    let mut standby = NodeProcess::start(&standby_spec)?;
    standby.ready(PATIENCE).await?;
    let acknowledged_before_kill = ledger.acknowledged_events();

    clock.begin("clients move over", None);
    name.send_replace(Address {
        generation: 1,
        node: standby.client().clone(),
    });
    let standby_admin = standby.admin_token()?;
    let first_search_ms = moved_over(
        &ledger,
        &mut standby,
        &mut senders,
        &standby_admin,
        acknowledged_before_kill,
    )
    .await?;
    let first_ack_ms = ledger.first_ack_ms(1).unwrap_or(first_search_ms);

    clock.begin("ingest the rest", Some(events));
    let wait = Wait::new("the acknowledgement of all events");
    while !senders.finished()? {
        standby.must_run()?;
        progress.at(ledger.acknowledged_events());
        wait.tick(TICK, || known(&ledger, &standby)).await?;
    }
    clock.begin("new segments are written", None);
    let wait = Wait::new("a segment in the standby's bucket");
    while segment_keys(&standby_region).await?.is_empty() {
        standby.must_run()?;
        wait.tick(SLOW_TICK, || known(&ledger, &standby)).await?;
    }

    clock.begin("the old primary returns", None);
    let mut returned = NodeProcess::start(&primary_spec)?;
    let old_primary = offer_to(&mut returned, &run, &token, events).await?;

    clock.begin("check every event", Some(events));
    let mut tally = Tally::new(&ledger);
    let rows = standby
        .client()
        .query(&standby_admin, REPOSITORY, "*")
        .await
        .map_err(call(&standby))?;
    let seen = |count| progress.at(count);
    tally
        .take(&run, &ledger, rows, &seen)
        .await
        .map_err(call(&standby))?;
    let verdict = judge(&run, &ledger, &tally);
    let segments = compare(
        &at_kill,
        &segment_keys(&primary_region).await?,
        &segment_keys(&standby_region).await?,
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
        segments,
        old_primary,
        phases: clock.phases,
        rate: ledger.rate(RATE_INTERVAL_MS),
        rate_interval_ms: RATE_INTERVAL_MS,
        duration_ms: ledger.now_ms(),
        seed: options.seed,
        source,
        store: if options.azurite.is_some() {
            "azurite"
        } else {
            "folder"
        },
    };
    returned.kill().await?;
    standby.kill().await?;
    Ok(report::judge(measured, verdict))
}

fn known(ledger: &Ledger, node: &NodeProcess) -> String {
    format!(
        "{} of {} events are acknowledged; the {} node's log ends with:\n{}",
        ledger.acknowledged_events(),
        ledger.events(),
        node.name(),
        node.log_tail(12)
    )
}

async fn segment_keys(region: &Region) -> Result<BTreeSet<String>, DrillError> {
    Ok(region.keys("segments/").await?.into_iter().collect())
}

/// Sends a part at full speed, and then a trickle until enough of it is in segments.
async fn ingest_history(
    clock: &mut Clock<'_>,
    primary: &mut NodeProcess,
    senders: &mut Senders,
    region: &Region,
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
        primary.must_run()?;
        senders.finished()?;
        clock.progress.at(ledger.acknowledged_events());
        wait.tick(TICK, || known(&ledger, primary)).await?;
    }
    clock.begin("history goes into segments", None);
    let most = events * TRICKLE_TO / 100;
    let step = ((most - history) / 100).max(batch);
    let wait = Wait::new("history in segments");
    let mut still = 0;
    loop {
        primary.must_run()?;
        senders.finished()?;
        let segments = segment_keys(region).await?.len();
        // More segments than partitions: some partition is at its second, so that its first is
        // not only uploaded but published.
        if segments > PARTITIONS || (segments > 0 && still > 80) {
            return Ok(());
        }
        let now = *allow.borrow();
        if now >= most {
            still += 1;
        }
        allow.send_replace((now + step).min(most));
        wait.tick(SLOW_TICK, || known(&ledger, primary)).await?;
    }
}

/// Lets the senders go, and kills the primary while they wait for answers. Returns when that was
/// and how many waited.
async fn kill_in_mid_ingest(
    clock: &mut Clock<'_>,
    primary: &mut NodeProcess,
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
        primary.must_run()?;
        senders.finished()?;
        let in_flight = ledger.in_flight();
        if ledger.acknowledged_events() >= goal && in_flight > 0 {
            let kill_ms = ledger.now_ms();
            primary.kill().await?;
            return Ok((kill_ms, in_flight));
        }
        clock.progress.at(ledger.acknowledged_events());
        wait.tick(TICK, || known(&ledger, primary)).await?;
    }
}

/// Waits for the standby's first acknowledgement and its first complete search, and returns when
/// the search ended. Complete is a search that counts as many events as had been acknowledged;
/// whether they are the same ones is told by the check at the end.
async fn moved_over(
    ledger: &Ledger,
    standby: &mut NodeProcess,
    senders: &mut Senders,
    admin: &str,
    acknowledged: u64,
) -> Result<u64, DrillError> {
    let wait = Wait::new("the standby's first acknowledgement and its first complete search");
    let mut searched: Option<u64> = None;
    loop {
        standby.must_run()?;
        senders.finished()?;
        let mut last = "it has not acknowledged any event".to_owned();
        if searched.is_none() {
            match standby.client().count(admin, REPOSITORY).await {
                Ok(count) if count >= acknowledged => searched = Some(ledger.now_ms()),
                Ok(count) => last = format!("it finds {count} of {acknowledged} events"),
                Err(error) => last = error.to_string(),
            }
        }
        if let (Some(at), Some(_)) = (searched, ledger.first_ack_ms(1)) {
            return Ok(at);
        }
        wait.tick(TICK, || {
            format!("{last}; its log ends with:\n{}", standby.log_tail(12))
        })
        .await?;
    }
}

/// Offers batches to the old primary from its start until it says that it is fenced, and some
/// more. Their identities are in no ledger: found anywhere, they are phantoms.
async fn offer_to(
    node: &mut NodeProcess,
    run: &RunName,
    token: &str,
    events: u64,
) -> Result<OldPrimary, DrillError> {
    let wait = Wait::new("the old primary's word that it is fenced");
    let mut old = OldPrimary::default();
    let mut offers_left = OFFERS;
    while offers_left > 0 {
        let ended = node.exited()?;
        if let Some(status) = ended {
            old.last_answer = format!("it ended by itself ({status})");
            old.says_fenced |= node.log_tail(40).to_lowercase().contains("fenced");
        } else if let Ok(answer) = node.client().status().await {
            old.says_fenced |= !answer.ok && answer.body.to_lowercase().contains("fenced");
            old.last_answer = answer.to_string();
        }
        let identity = run.identity(events + old.offered);
        let text = stamp("offered to the old primary", &identity);
        let batch = body(Utc::now().timestamp_millis(), &[("offer", identity, text)]);
        let key = format!("{}-offer-{}", run.as_str(), old.offered);
        old.offered += 1;
        if node.client().ingest(token, &key, batch).await.is_ok() {
            old.accepted += 1;
        }
        if old.says_fenced || ended.is_some() || old.accepted > 0 {
            offers_left -= 1;
        }
        wait.tick(SLOW_TICK, || {
            format!(
                "it answers {}; its log ends with:\n{}",
                old.last_answer,
                node.log_tail(12)
            )
        })
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
