//! Whether one region can recover from the other one's bucket: a recovery that is rehearsed, with its
//! segments counted.
//!
//! It is asked in both directions: a standby must be able to take the primary over, and before a
//! failback deletes the primary's snapshots, the primary must be able to take the secondary over.
//! The steps, and what is found at each, are the same; whose variables, secrets and bucket they are
//! follows from the side that recovers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backstay_bucket::{Bucket, BucketConfig, Error, Role};
use backstay_cluster::Region;
use backstay_global::recovery::{LoadError, NotAReplacement, RecoverFrom, Replace, outside};
use backstay_global::{Pending, State, identity, snapshot};
use backstay_pair::{Derived, Dr, Pair, Side, derive};
use backstay_retry::Deadline;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;

use crate::census::{self, Counted};
use crate::checks;
use crate::contents;
use crate::environment::{Environment, EnvironmentError, effective};
use crate::fact::Fact;
use crate::finding::{Check, Finding, Outcome};
use crate::pending;
use crate::recovery::{self, Carried, OwnBucket, seconds};
use crate::rehearsal::{Rehearsed, rehearse};
use crate::report::{Figures, Report};
use crate::verification::Options;
use crate::world;

/// Whether the region on the side `into` can recover from the other one's bucket now. Nothing is
/// written anywhere but into a temporary folder, and nothing is sealed.
///
/// `region` is the cluster whose nodes will recover: its secrets count, and what its HumioCluster
/// declares. Variables of the recovery that it does not declare yet are taken as they are derived,
/// because whoever lets it recover gives it those first; one that it declares otherwise fails.
///
/// `before` is what an earlier call has seen: segments that it has found are not looked for again, so
/// that it takes time for what has come since, not for all that there is.
pub async fn recoverable(
    pair: &Pair,
    into: Side,
    region: &Region,
    options: Options,
    before: Option<&Seen>,
) -> (Report, Option<Seen>) {
    let derived = recovering(pair, into);
    let deadline = Deadline::after(options.patience);
    let at = Utc::now();
    let (declared, secrets) = futures::join!(
        world::variables(region, &pair.region(into).cluster, deadline),
        world::secrets(region, &derived, deadline),
    );
    let declared = match declared {
        Fact::Is(declared) => Fact::Is(effective(&derived, &declared)),
        other => other,
    };
    let mut findings = vec![
        checks::recovery_variables(&derived, &declared),
        checks::secrets(&derived, &secrets),
    ];
    let declared = declared.known().map_or(&[][..], Vec::as_slice);
    let variables = effective(&derived, declared);
    let environment =
        Environment::read(region, &variables, Deadline::after(options.patience)).await;
    let way = Way {
        pair,
        into,
        environment: &environment,
        begins_anew: true,
        found_before: before,
    };
    let (chain, mut figures, seen) = of_recovery(way, &findings, options).await;
    findings.extend(chain);
    figures.at_ms = at.timestamp_millis();
    (Report::new(findings, figures, options.strict), seen)
}

/// A state all of whose segments were found.
#[derive(Clone)]
pub struct Seen(Arc<State>);

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = self.0.segments.len();
        f.debug_struct("Seen").field("segments", &segments).finish()
    }
}

/// What a region is told when it is to recover: a standby always is, a primary in a failback. No
/// certificate belongs to it.
fn recovering(pair: &Pair, into: Side) -> Derived {
    let mut derived = match into {
        Side::Secondary => derive(pair, into, Dr::Standby, false),
        Side::Primary => derive(pair, into, Dr::Active, false).keep_recovery(pair),
    };
    let tls = pair.tls_secret.as_deref();
    derived.secrets.retain(|it| tls != Some(it.name.as_str()));
    derived
}

/// Which recovery is rehearsed.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) pair: &'a Pair,
    /// Whose nodes recover.
    pub(crate) into: Side,
    /// What they are told.
    pub(crate) environment: &'a Environment,
    /// Whether it is to give up for it what it has itself. A standby that is only looked at is
    /// not: after a failover it has more than its source.
    pub(crate) begins_anew: bool,
    /// What an earlier rehearsal has seen.
    pub(crate) found_before: Option<&'a Seen>,
}

/// What the buckets say, by the variables of the region that recovers. `before`: what was found of
/// those.
pub(crate) async fn of_recovery(
    way: Way<'_>,
    before: &[Finding],
    options: Options,
) -> (Vec<Finding>, Figures, Option<Seen>) {
    let (into, environment) = (way.into, way.environment);
    let (own, mut at_home) =
        own_bucket(way.pair, into, environment, before, options.patience).await;
    let from = match recover_from(environment, options.patience) {
        Ok(Some(from)) => from,
        Ok(None) => {
            let mut findings = recovery::no_source(into, None, before);
            findings.push(at_home);
            return (findings, Figures::default(), None);
        }
        Err(error) => {
            let mut findings = recovery::no_source(into, Some(&error), before);
            findings.push(at_home);
            return (findings, Figures::default(), None);
        }
    };
    let own_id = own.as_ref().and_then(|(_, id)| id.as_deref());
    let mut seen = None;
    let (mut findings, figures) = match rehearse(&from, own_id).await {
        Ok(done) => {
            let own = own.as_ref().map(|(bucket, _)| bucket);
            let places = Places::new(&done, own, own_id);
            let mut findings = recovery::rehearsed(into, &done, &carried(&places).await);
            let whole = findings.iter().all(|it| it.outcome == Outcome::Ok);
            let (segments, figures) = of_segments(way, &places, options).await;
            if whole && segments.iter().all(|it| it.outcome == Outcome::Ok) {
                seen = Some(Seen(Arc::clone(&done.state)));
            }
            findings.extend(segments);
            if let (true, Some(own)) = (way.begins_anew, own) {
                at_home = given_up(into, own, own_id, &done.from_cluster).await;
            }
            (findings, figures)
        }
        Err(why) => (recovery::unrehearsed(into, &why), Figures::default()),
    };
    findings.push(at_home);
    (findings, figures, seen)
}

/// Whether a recovery would have all that this bucket's own cluster has: the source has ended its
/// journal, or it has never begun.
async fn given_up(into: Side, own: &Bucket, own_id: Option<&str>, source: &str) -> Finding {
    let looked = async {
        let holder = outside::holder(own).await?;
        let newest = snapshot::newest(own, own_id).await?;
        Ok::<_, LoadError>((holder, newest.is_some()))
    };
    match looked.await {
        Ok((holder, has_snapshots)) => recovery::given_up(into, &holder, has_snapshots, source),
        Err(error) if error.is_retryable() => Finding::unknown(Check::OwnBucket, error.to_string()),
        Err(error) => Finding::fails(Check::OwnBucket, error.to_string(), ""),
    }
}

/// An own bucket, and the cluster that it belongs to, if any.
pub(crate) type Owned = (Bucket, Option<String>);

/// The bucket of the region that recovers, opened to be read, with the cluster that it belongs to.
pub(crate) async fn own_bucket(
    pair: &Pair,
    into: Side,
    environment: &Environment,
    before: &[Finding],
    patience: Duration,
) -> (Option<Owned>, Finding) {
    let behind = before.iter().find(|it| it.outcome != Outcome::Ok);
    let config = match (environment.bucket(Role::Own), behind) {
        (Ok(Some(config)), _) => config,
        (_, Some(first)) => {
            let why = Err(OwnBucket::Behind(first.check));
            return (None, recovery::own_bucket(pair, into, why));
        }
        (Ok(None), None) => return (None, recovery::own_bucket(pair, into, Err(OwnBucket::None))),
        (Err(error), None) => {
            let why = Err(OwnBucket::Variables(&error));
            return (None, recovery::own_bucket(pair, into, why));
        }
    };
    let config = BucketConfig {
        deadline: patience,
        ..config
    };
    let opened = async {
        let guessable = config.guessable_key();
        let bucket = match (Bucket::open_to_read(config).await, guessable) {
            // A node would not begin a cluster in it.
            (Err(Error::NoContainer { .. }), Some(error)) => return Err(error),
            (opened, _) => opened?,
        };
        let id = match identity::read(&bucket).await {
            // A node would not begin a cluster with it.
            Ok(None) => match bucket.config().guessable_key() {
                Some(error) => return Err(error),
                None => None,
            },
            Ok(id) => id,
            Err(identity::IdentityError::Bucket(error)) => return Err(error),
            // It is told by whoever needs it.
            Err(identity::IdentityError::Content(_)) => None,
        };
        Ok((bucket, id))
    };
    match opened.await {
        Ok(open) => (Some(open), recovery::own_bucket(pair, into, Ok(()))),
        Err(error) => (
            None,
            recovery::own_bucket(pair, into, Err(OwnBucket::Bucket(&error))),
        ),
    }
}

/// As a node would read it.
fn recover_from(
    environment: &Environment,
    patience: Duration,
) -> Result<Option<RecoverFrom>, EnvironmentError> {
    let Some(bucket) = environment.bucket(Role::RecoverFrom)? else {
        return Ok(None);
    };
    let replace = |what: &str| -> Result<Option<Replace>, EnvironmentError> {
        let variable = format!("{}REPLACE_{what}", bucket.variable_prefix());
        let value = environment
            .get(&variable)
            .map_err(|why| EnvironmentError::Unresolved {
                variable: variable.clone(),
                source: why.clone(),
            })?;
        let text = value
            .map(|it| it.expose_secret())
            .filter(|it| !it.is_empty());
        let replace = text.map(str::parse::<Replace>).transpose();
        replace.map_err(|error: NotAReplacement| {
            EnvironmentError::Bucket(backstay_bucket::Error::Config {
                variable,
                problem: error.to_string(),
            })
        })
    };
    let (replace_region, replace_bucket) = (replace("REGION")?, replace("BUCKET")?);
    Ok(Some(RecoverFrom {
        bucket: BucketConfig {
            deadline: patience,
            ..bucket
        },
        replace_region,
        replace_bucket,
        without_seal: true,
    }))
}

/// The buckets of the state that was rehearsed.
struct Places<'a> {
    done: &'a Rehearsed,
    own: Option<&'a Bucket>,
    /// The entity of the cluster's own bucket. After a failover or a failback, history is there, too.
    ours: Option<u32>,
}

impl<'a> Places<'a> {
    fn new(done: &'a Rehearsed, own: Option<&'a Bucket>, own_id: Option<&str>) -> Self {
        let mut buckets = done.state.buckets.iter();
        let ours = buckets.find(|it| own_id.is_some() && it.cluster_id.as_deref() == own_id);
        let ours = ours.map(|it| it.id).filter(|id| *id != done.source_id);
        Self { done, own, ours }
    }

    /// The bucket of that entity, if it could be opened.
    fn open(&self, id: u32) -> Option<&'a Bucket> {
        if id == self.done.source_id {
            return Some(&self.done.source);
        }
        if Some(id) == self.ours {
            return self.own;
        }
        self.done.chain.get(&id)?.as_ref().ok()
    }
}

/// Looks for what the source has to carry on.
async fn carried(places: &Places<'_>) -> Carried {
    let mut found = Carried::default();
    for pending in &places.done.elsewhere {
        let sentence = pending::described(pending);
        let Some(bucket) = places.open(pending.bucket) else {
            let why = places.done.chain.get(&pending.bucket);
            let why = why.and_then(|it| it.as_ref().err().map(ToString::to_string));
            let why = why.unwrap_or_else(|| "it cannot be opened".to_owned());
            found.unknown.push(format!("{sentence}; {why}"));
            continue;
        };
        match pending::missing(pending, bucket).await {
            Ok(missing) => found.missing.extend(missing),
            Err(error) => found.unknown.push(format!("{sentence}; {error}")),
        }
        found.sentences.push(sentence);
    }
    found
}

/// The segments of the state that was rehearsed: counted, and read.
async fn of_segments(
    way: Way<'_>,
    places: &Places<'_>,
    options: Options,
) -> (Vec<Finding>, Figures) {
    let (into, done) = (way.into, places.done);
    let state = &done.state;
    let before = way.found_before.map(|it| &*it.0);
    let place = |bucket: u32| places.open(bucket);
    let elsewhere = state
        .segments
        .iter()
        .filter(|it| place(it.bucket).is_none());
    let elsewhere = recovery::Elsewhere {
        segments: elsewhere.count() as u64,
        why: done
            .chain
            .values()
            .find_map(|it| it.as_ref().err())
            .map(ToString::to_string),
    };
    let counted = async {
        let mut counted = Counted::default();
        let known = [Some(done.source_id), places.ours].into_iter().flatten();
        for id in known.chain(done.chain.keys().copied()) {
            if let Some(bucket) = place(id) {
                counted.add(census::count(bucket, state, before, |it| it.bucket == id).await?);
            }
        }
        Ok(counted)
    };
    let counted: Result<Counted, Error> = counted.await;
    let mut findings = vec![recovery::segments(into, &counted, &elsewhere, &done.lost)];
    let mut figures = figures(done);
    match &counted {
        Ok(counted) => {
            figures.segment_bytes = Some(counted.bytes);
            let newest = done.newest.or(counted.newest);
            figures.newest_event_age_seconds = newest.map(age);
            let good: Vec<_> = state
                .segments
                .iter()
                .filter(|it| !counted.bad.contains(&it.id))
                .filter_map(|it| Some((place(it.bucket)?, it)))
                .collect();
            let of = good.len();
            let read = match options.deep {
                true => contents::read(good.into_iter()).await,
                false => {
                    let chosen = contents::sample(of, options.sample, options.seed);
                    let chosen = chosen.into_iter().filter_map(|at| good.get(at).copied());
                    contents::read(chosen).await
                }
            };
            figures.segments_read = Some(read.good);
            let seed = (!options.deep).then_some(options.seed);
            findings.push(recovery::contents(&read, of as u64, seed));
        }
        Err(_) => {
            figures.newest_event_age_seconds = done.newest.map(age);
            findings.push(Finding::behind(Check::SegmentContents, Check::Segments));
        }
    }
    (findings, figures)
}

fn figures(done: &Rehearsed) -> Figures {
    Figures {
        snapshot: done.snapshot,
        read_to: Some(done.read_to),
        repositories: Some(done.state.repositories.len() as u64),
        segments: Some(done.state.segments.len() as u64),
        unread_entries: Some(done.unread),
        carried_entries: Some(done.elsewhere.iter().map(Pending::entries).sum()),
        load_seconds: Some(seconds(done.took)),
        expected_recovery_seconds: Some(seconds(done.expected)),
        ..Figures::default()
    }
}

/// Our clock against the store's; what is not over yet has no age.
fn age(stored: DateTime<Utc>) -> f64 {
    let age = Utc::now().signed_duration_since(stored);
    seconds(age.to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests;
