//! The whole verification: everything is read, a recovery is rehearsed, and the checks judge.

use std::time::Duration;

use backstay_bucket::{Bucket, BucketConfig, Role};
use backstay_global::identity;
use backstay_global::recovery::{NotAReplacement, RecoverFrom, Replace};
use backstay_pair::{Derived, Dr, Pair, Side, derive};
use backstay_retry::Deadline;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;

use crate::census::{self, Counted};
use crate::checks;
use crate::contents;
use crate::environment::{Environment, EnvironmentError, effective};
use crate::fact::{AzureFacts, RegionFacts};
use crate::finding::{Check, Finding, Outcome};
use crate::recovery::{self, OwnBucket, seconds};
use crate::rehearsal::{Rehearsed, rehearse};
use crate::report::{Figures, Report};
use crate::world::{self, World};

/// The primary's Kubernetes API is waited for this part of the patience.
const PRIMARYS_SHARE: u32 = 4;

/// How thorough it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Read the contents of all segments.
    pub deep: bool,
    /// Else of so many.
    pub sample: usize,
    /// Which ones: the same for the same seed and state.
    pub seed: u64,
    /// What is not known counts against the standby, even what only the primary's Kubernetes API
    /// could have told.
    pub strict: bool,
    /// How long each part of the world is waited for.
    pub patience: Duration,
}

/// Whether the standby of this pair is able to take over. Nothing is written anywhere but into a
/// temporary folder.
pub async fn verify(pair: &Pair, world: &World, options: Options) -> Report {
    let standby = derive(pair, Side::Secondary, Dr::Standby, false);
    let active = derive(pair, Side::Primary, Dr::Active, false);
    let deadline = Deadline::after(options.patience);
    // In the disaster it is dark, and everybody would wait for nothing but that.
    let primarys = Deadline::after(options.patience / PRIMARYS_SHARE);
    let at = Utc::now();
    let ((ours, before, recovery), theirs, azure, asked) = futures::join!(
        async {
            let ours = world::region(&world.standby, pair, &standby, deadline).await;
            let before = [
                checks::environment(&standby, &ours.variables),
                checks::secrets(&standby, &ours.secrets),
            ];
            let recovery = of_recovery(pair, world, &standby, &ours, &before, options).await;
            (ours, before, recovery)
        },
        world::region(&world.primary, pair, &active, primarys),
        world::traffic(&world.azure, pair, deadline),
        world::permissions(&world.standby, pair, &standby, deadline),
    );
    let mut findings = of_regions(pair, &standby, &ours, &theirs, at);
    findings.extend(before);
    findings.extend(of_azure(pair, &azure));
    findings.push(checks::permissions(&asked));
    let (recovered, mut figures) = recovery;
    findings.extend(recovered);
    figures.at_ms = at.timestamp_millis();
    Report::new(findings, figures, options.strict)
}

fn of_regions(
    pair: &Pair,
    derived: &Derived,
    ours: &RegionFacts,
    theirs: &RegionFacts,
    now: DateTime<Utc>,
) -> Vec<Finding> {
    let tls = pair.tls_secret.as_deref();
    let mut findings = vec![
        checks::operator(pair, derived, &ours.operator),
        checks::nodes(derived, &ours.pools),
        checks::secrets_equal(derived, tls, &theirs.secrets, &ours.secrets),
        checks::versions(&theirs.pools, &ours.pools),
    ];
    findings.extend(ours.kafka.as_ref().map(checks::kafka));
    let certificate = tls.and_then(|name| Some((name, ours.secrets.get(name)?)));
    findings.extend(
        certificate.map(|(name, held)| checks::certificate(name, &pair.global_host, held, now)),
    );
    findings
}

fn of_azure(pair: &Pair, azure: &AzureFacts) -> [Finding; 3] {
    [
        checks::endpoints(pair, &azure.profile),
        checks::traffic_manager(pair, &azure.profile),
        checks::alert(pair, &azure.alert),
    ]
}

/// What the buckets say, by the standby's own variables. `before`: what was found of those.
async fn of_recovery(
    pair: &Pair,
    world: &World,
    derived: &Derived,
    ours: &RegionFacts,
    before: &[Finding],
    options: Options,
) -> (Vec<Finding>, Figures) {
    let region = match &world.standby {
        Ok(region) => region,
        Err(why) => {
            let chain = recovery::CHAIN.into_iter().chain([Check::OwnBucket]);
            let unknown = chain.map(|check| Finding::unknown(check, why));
            return (unknown.collect(), Figures::default());
        }
    };
    let variables = effective(derived, ours.variables.known().map_or(&[], Vec::as_slice));
    let deadline = Deadline::after(options.patience);
    let environment = Environment::read(region, &variables, deadline).await;
    let (own, finding) = own_bucket(pair, &environment, before, options.patience).await;
    let mut findings = vec![finding];
    let from = match recover_from(&environment, options.patience) {
        Ok(Some(from)) => from,
        Ok(None) => {
            findings.extend(recovery::no_source(None, before));
            return (findings, Figures::default());
        }
        Err(error) => {
            findings.extend(recovery::no_source(Some(&error), before));
            return (findings, Figures::default());
        }
    };
    let own_id = own.as_ref().and_then(|(_, id)| id.as_deref());
    match rehearse(&from, own_id).await {
        Ok(done) => {
            let own = own.as_ref().map(|(bucket, _)| bucket);
            findings.extend(recovery::rehearsed(&done));
            let (segments, figures) = of_segments(&done, own, own_id, options).await;
            findings.extend(segments);
            (findings, figures)
        }
        Err(why) => {
            findings.extend(recovery::unrehearsed(&why));
            (findings, Figures::default())
        }
    }
}

/// The standby's own bucket, opened to be read, with the cluster that it belongs to.
async fn own_bucket(
    pair: &Pair,
    environment: &Environment,
    before: &[Finding],
    patience: Duration,
) -> (Option<(Bucket, Option<String>)>, Finding) {
    let behind = before.iter().find(|it| it.outcome != Outcome::Ok);
    let config = match (environment.bucket(Role::Own), behind) {
        (Ok(Some(config)), _) => config,
        (_, Some(first)) => {
            let why = Err(OwnBucket::Behind(first.check));
            return (None, recovery::own_bucket(pair, why));
        }
        (Ok(None), None) => return (None, recovery::own_bucket(pair, Err(OwnBucket::None))),
        (Err(error), None) => {
            let why = Err(OwnBucket::Variables(&error));
            return (None, recovery::own_bucket(pair, why));
        }
    };
    let config = BucketConfig {
        deadline: patience,
        ..config
    };
    let opened = async {
        let bucket = Bucket::open_to_read(config).await?;
        let id = match identity::read(&bucket).await {
            Ok(id) => id,
            Err(identity::IdentityError::Bucket(error)) => return Err(error),
            // It is told by whoever needs it.
            Err(identity::IdentityError::Content(_)) => None,
        };
        Ok((bucket, id))
    };
    match opened.await {
        Ok(open) => (Some(open), recovery::own_bucket(pair, Ok(()))),
        Err(error) => (
            None,
            recovery::own_bucket(pair, Err(OwnBucket::Bucket(&error))),
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

/// The segments of the state that was rehearsed: counted, and read.
async fn of_segments(
    done: &Rehearsed,
    own: Option<&Bucket>,
    own_id: Option<&str>,
    options: Options,
) -> (Vec<Finding>, Figures) {
    let state = &done.state;
    // After a failback, history is in the standby's own bucket, too.
    let ours = state
        .buckets
        .iter()
        .find(|it| own_id.is_some() && it.cluster_id.as_deref() == own_id)
        .map(|it| it.id)
        .filter(|id| *id != done.source_id);
    let place = |bucket: u32| match bucket {
        id if id == done.source_id => Some(&done.source),
        id if Some(id) == ours => own,
        _ => None,
    };
    let elsewhere = state
        .segments
        .iter()
        .filter(|it| place(it.bucket).is_none());
    let elsewhere = elsewhere.count() as u64;
    let counted = async {
        let mut counted = Counted::default();
        for id in [Some(done.source_id), ours].into_iter().flatten() {
            if let Some(bucket) = place(id) {
                counted.add(census::count(bucket, state, |it| it.bucket == id).await?);
            }
        }
        Ok(counted)
    };
    let counted: Result<Counted, backstay_bucket::Error> = counted.await;
    let mut findings = vec![recovery::segments(&counted, elsewhere, &done.lost)];
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
