//! From what a rehearsal met to what is found: which check it is that fails, and which are behind it.

use std::time::Duration;

use backstay_bucket::Error as BucketError;
use backstay_global::CommitError;
use backstay_global::credentials::CredentialError;
use backstay_global::identity::IdentityError;
use backstay_global::recovery::LoadError;
use backstay_global::recovery::outside::Holder;
use backstay_global::snapshot::SnapshotError;
use backstay_journal::{SealError, StoreError, TailError};
use backstay_pair::{BucketLocation, Pair, Side};

use crate::census::Counted;
use crate::contents::Read;
use crate::environment::EnvironmentError;
use crate::finding::{Check, Finding, Outcome};
use crate::rehearsal::{Rehearsed, Unrehearsed};

/// The checks of a recovery, in the order in which it comes to them.
pub(crate) const CHAIN: [Check; 6] = [
    Check::RecoverySource,
    Check::EncryptionKey,
    Check::Snapshot,
    Check::Journal,
    Check::Segments,
    Check::SegmentContents,
];

/// Whoever recovers, in words.
pub(crate) fn who(into: Side) -> &'static str {
    match into {
        Side::Primary => "primary",
        Side::Secondary => "standby",
    }
}

/// How its HumioCluster comes to the variables of a recovery.
pub(crate) fn provide(into: Side) -> &'static str {
    match into {
        Side::Primary => {
            "give the primary's HumioCluster what `backstay derive --region primary --output json` shows as reverse_recovery"
        }
        Side::Secondary => "apply the standby's manifests again",
    }
}

/// There is no configuration of the source's bucket. Where that is a secret's or a variable's
/// fault, which have checks of their own, this one is behind that.
pub(crate) fn no_source(
    into: Side,
    error: Option<&EnvironmentError>,
    found: &[Finding],
) -> Vec<Finding> {
    let failed = [Check::Environment, Check::Secrets]
        .into_iter()
        .find(|check| {
            found
                .iter()
                .any(|it| it.check == *check && it.outcome != Outcome::Ok)
        });
    if let Some(first) = failed {
        return CHAIN.map(|check| Finding::behind(check, first)).to_vec();
    }
    let check = Check::RecoverySource;
    let finding = match error {
        Some(error) if error.is_unreachable() => Finding::unknown(check, error.to_string()),
        Some(error) => Finding::fails(
            check,
            error.to_string(),
            "correct the variable or its secret",
        ),
        None => Finding::fails(
            check,
            "no variable names a bucket to recover from",
            provide(into),
        ),
    };
    broken(finding)
}

/// The chain, broken at this finding: what comes before has held, what comes after is not looked at.
pub(crate) fn broken(finding: Finding) -> Vec<Finding> {
    let at = finding.check;
    let (mut all, mut passed) = (Vec::new(), false);
    for check in CHAIN {
        if check == at {
            all.push(finding.clone());
            passed = true;
        } else if passed {
            all.push(Finding::behind(check, at));
        } else {
            all.push(Finding::ok(check, "held, as far as the recovery came"));
        }
    }
    all
}

/// A recovery that would not come to its end.
pub(crate) fn unrehearsed(into: Side, why: &Unrehearsed) -> Vec<Finding> {
    match why {
        Unrehearsed::Here(why) => CHAIN.map(|check| Finding::unknown(check, why)).to_vec(),
        Unrehearsed::NoSnapshot { container } => broken(Finding::fails(
            Check::Snapshot,
            format!(
                "container {container} has no snapshot, and its journal does not go back to its beginning"
            ),
            format!(
                "let a node of the {} write one: each does by interval, and when it is drained",
                into.other()
            ),
        )),
        Unrehearsed::Load(error) => broken(of_load(error)),
    }
}

fn finding(check: Check, outcome: Outcome, error: &dyn std::fmt::Display) -> Finding {
    Finding {
        check,
        outcome,
        // The loader's errors end with what to do.
        sentence: error.to_string(),
        next: String::new(),
    }
}

/// The loader's error, with the check that it belongs to.
pub(crate) fn of_load(error: &LoadError) -> Finding {
    let (check, outcome) = place(error);
    finding(check, outcome, error)
}

fn place(error: &LoadError) -> (Check, Outcome) {
    use Check::{Journal, RecoverySource, Snapshot};
    use Outcome::{Fails, Unknown};
    match error {
        LoadError::Bucket(error) => of_bucket(error, RecoverySource),
        LoadError::Identity(error) => match &**error {
            IdentityError::Bucket(error) => of_bucket(error, RecoverySource),
            IdentityError::Content(_) => (RecoverySource, Fails),
        },
        LoadError::Snapshot(error) => match &**error {
            SnapshotError::Bucket(error) => of_bucket(error, Snapshot),
            SnapshotError::File { .. } | SnapshotError::Worker { .. } => (Snapshot, Unknown),
            _ => (Snapshot, Fails),
        },
        // One that is not there does not keep a recovery from going on.
        LoadError::Credential(error) => match &**error {
            CredentialError::Unreadable { source, .. } => of_bucket(source, RecoverySource),
            _ => (RecoverySource, Unknown),
        },
        LoadError::NothingToRecover { .. } => (Snapshot, Fails),
        LoadError::OwnSource { .. } | LoadError::OneEndpoint { .. } => (RecoverySource, Fails),
        LoadError::Journal(error)
        | LoadError::Tail(TailError::Store(error))
        | LoadError::Seal(SealError::Store(error))
        | LoadError::Log(CommitError::Journal(error))
        | LoadError::CannotSeal { source: error } => of_store(error),
        LoadError::Tail(TailError::Trimmed { .. })
        | LoadError::Seal(_)
        | LoadError::Log(_)
        | LoadError::SourceTakenOver { .. }
        | LoadError::TakenBack { .. }
        | LoadError::Record { .. } => (Journal, Fails),
        // Of the temporary bucket, which nobody else knows; and a rehearsal needs no authorization.
        LoadError::Fenced { .. }
        | LoadError::SnapshotsGone { .. }
        | LoadError::Ahead { .. }
        | LoadError::Raced
        | LoadError::WriteRefused(_) => (Snapshot, Unknown),
    }
}

/// `at`: where the recovery stood.
fn of_bucket(error: &BucketError, at: Check) -> (Check, Outcome) {
    match error {
        BucketError::WrongKey { .. } => (Check::EncryptionKey, Outcome::Fails),
        BucketError::NoContainer { .. }
        | BucketError::Denied { .. }
        | BucketError::Config { .. }
        | BucketError::NoPutIfAbsent { .. } => (Check::RecoverySource, Outcome::Fails),
        BucketError::Unreachable { .. } => (Check::RecoverySource, Outcome::Unknown),
        // Only the temporary bucket is written to.
        BucketError::NoSpace { .. }
        | BucketError::ReadOnly { .. }
        | BucketError::Replaced { .. } => (at, Outcome::Unknown),
        _ => (at, Outcome::Fails),
    }
}

fn of_store(error: &StoreError) -> (Check, Outcome) {
    if let StoreError::Backend { source, .. } | StoreError::Damaged { source, .. } = error
        && let Some(error) = source.downcast_ref::<BucketError>()
    {
        return of_bucket(error, Check::Journal);
    }
    match error.is_retryable() {
        true => (Check::Journal, Outcome::Unknown),
        false => (Check::Journal, Outcome::Fails),
    }
}

/// What was found of entries that lie in the buckets of clusters before the source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carried {
    /// What lies where.
    pub(crate) sentences: Vec<String>,
    /// Objects that are not there.
    pub(crate) missing: Vec<String>,
    /// What could not be looked for, and why.
    pub(crate) unknown: Vec<String>,
}

/// The journal of the source, and of what it has to carry on.
fn journal(done: &Rehearsed, carried: &Carried) -> Finding {
    let check = Check::Journal;
    if !carried.missing.is_empty() {
        let sentence = format!("missing: {}", carried.missing.join("; "));
        return Finding::fails(check, sentence, "restore them from the container's backup");
    }
    if let Some(why) = carried.unknown.first() {
        return Finding::unknown(check, why);
    }
    let mut sentence = format!(
        "read to epochOffset={}; {} entries are in no segment yet",
        done.read_to, done.unread
    );
    for more in &carried.sentences {
        sentence.push_str("; ");
        sentence.push_str(more);
    }
    Finding::ok(check, sentence)
}

/// A recovery that came to its end, without its segments.
pub(crate) fn rehearsed(into: Side, done: &Rehearsed, carried: &Carried) -> Vec<Finding> {
    let source = done.source.config();
    let snapshot = match done.snapshot {
        Some(position) => format!("the newest one, epochOffset={position}, is loaded"),
        None => "there is none yet; all is loaded from the journal".to_owned(),
    };
    vec![
        Finding::ok(
            Check::RecoverySource,
            format!(
                "container {} is reached at {}",
                source.container,
                source.endpoint()
            ),
        ),
        Finding::ok(
            Check::EncryptionKey,
            format!(
                "the {}'s key opens what the {} has written",
                who(into),
                into.other()
            ),
        ),
        Finding::ok(Check::Snapshot, snapshot),
        journal(done, carried),
    ]
}

/// Segments in buckets that could not be opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elsewhere {
    pub(crate) segments: u64,
    /// Why one of the buckets is not open.
    pub(crate) why: Option<String>,
}

/// The segments, counted.
pub(crate) fn segments(
    into: Side,
    counted: &Result<Counted, BucketError>,
    elsewhere: &Elsewhere,
    lost: &str,
) -> Finding {
    let check = Check::Segments;
    let counted = match counted {
        Ok(counted) => counted,
        Err(error) => return finding(check, Outcome::Unknown, error),
    };
    let mut wrong = Vec::new();
    if counted.missing.count > 0 {
        wrong.push(format!("missing: {}", counted.missing.described()));
    }
    if counted.resized.count > 0 {
        wrong.push(format!("of another size: {}", counted.resized.described()));
    }
    if !lost.is_empty() {
        wrong.push(format!(
            "in no bucket, so lost with the {}'s hosts: {lost}",
            into.other()
        ));
    }
    if !wrong.is_empty() {
        let sentence = format!("of {} segments {}", counted.segments, wrong.join("; "));
        return Finding::fails(check, sentence, "restore them from the container's backup");
    }
    if elsewhere.segments > 0 {
        let why = match &elsewhere.why {
            Some(why) => format!(": {why}"),
            None => String::new(),
        };
        return Finding::unknown(
            check,
            format!(
                "{} segments are in a bucket that the {} cannot open{why}",
                elsewhere.segments,
                who(into)
            ),
        );
    }
    let before = match counted.before {
        0 => String::new(),
        before => format!(" ({before} of them were found before)"),
    };
    Finding::ok(
        check,
        format!(
            "all {} are there, with their sizes, {}{before}",
            counted.segments,
            size(counted.bytes)
        ),
    )
}

/// The contents of those that were read.
pub(crate) fn contents(read: &Read, of: u64, seed: Option<u64>) -> Finding {
    let check = Check::SegmentContents;
    let how = match seed {
        Some(seed) => format!("a sample (seed {seed})"),
        None => "all".to_owned(),
    };
    if let [first, rest @ ..] = read.wrong.as_slice() {
        let more = match rest.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let next = "restore the object from the container's backup";
        return Finding::fails(check, format!("{first}{more}"), next);
    }
    if let Some(why) = read.unknown.first() {
        return Finding::unknown(check, why);
    }
    Finding::ok(
        check,
        format!(
            "{} of {of} read, {how}: {} events, as the state says",
            read.good, read.events
        ),
    )
}

/// The container of the region that recovers. A folder is made by the node's first start.
pub(crate) fn own_bucket(pair: &Pair, into: Side, opened: Result<(), OwnBucket<'_>>) -> Finding {
    let check = Check::OwnBucket;
    match opened {
        Ok(()) => Finding::ok(check, "reached"),
        Err(OwnBucket::Behind(first)) => Finding::behind(check, first),
        Err(OwnBucket::None) => Finding::fails(
            check,
            format!("no variable names the {}'s own bucket", who(into)),
            format!("apply the {}'s manifests again", who(into)),
        ),
        Err(OwnBucket::Variables(error)) if error.is_unreachable() => {
            Finding::unknown(check, error.to_string())
        }
        Err(OwnBucket::Variables(error)) => Finding::fails(check, error.to_string(), ""),
        Err(OwnBucket::Bucket(BucketError::NoContainer { .. }))
            if matches!(
                pair.region(into).storage.place,
                BucketLocation::Folder { .. }
            ) =>
        {
            Finding::ok(
                check,
                "the folder is not there yet; the node's first start makes it",
            )
        }
        Err(OwnBucket::Bucket(error)) => match error {
            BucketError::Unreachable { .. } => finding(check, Outcome::Unknown, error),
            _ => finding(check, Outcome::Fails, error),
        },
    }
}

/// The bucket of a region that is to start over from the other one's: that region must have
/// ended its journal, or what was acknowledged here since would be lost with the snapshots.
///
/// A journal of its own without a snapshot is that of a recovery that is under way.
pub(crate) fn given_up(into: Side, holder: &Holder, has_snapshots: bool, source: &str) -> Finding {
    let check = Check::OwnBucket;
    let (who, from) = (who(into), into.other());
    match holder {
        Holder::Nobody => Finding::ok(check, "reached; it holds no journal yet"),
        Holder::Other { cluster_id, .. } if cluster_id == source => {
            Finding::ok(check, format!("reached; the {from} has ended its journal"))
        }
        Holder::Other { cluster_id, term } => Finding::fails(
            check,
            format!(
                "cluster {cluster_id}, which is not the {from}'s, has ended its journal with term {term}"
            ),
            "what is newest is in that cluster's bucket; recover from there",
        ),
        Holder::Itself if !has_snapshots => {
            Finding::ok(check, "reached; a recovery has begun there")
        }
        Holder::Itself => Finding::fails(
            check,
            format!(
                "the {who} holds its own journal: what it has acknowledged, the {from} does not have"
            ),
            format!(
                "if the {who} serves, there is nothing to recover; else the {from} has to end its journal first, as a failover does"
            ),
        ),
    }
}

/// Why the region's own bucket is not open.
pub(crate) enum OwnBucket<'a> {
    /// Another check says why there is no configuration.
    Behind(Check),
    None,
    Variables(&'a EnvironmentError),
    Bucket(&'a BucketError),
}

pub(crate) fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1000.0).round() / 1000.0
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, "bytes");
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    match unit {
        "bytes" => format!("{bytes} bytes"),
        _ => format!("{value:.1} {unit}"),
    }
}

#[cfg(test)]
mod tests;
