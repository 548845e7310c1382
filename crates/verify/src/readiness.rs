//! Whether a failover that begins now can come to its end: what is quick to know, and without which
//! it must not begin.
//!
//! No rehearsal: that is [`crate::verify`]'s, by a schedule. And nothing that is only undesirable:
//! an expiring certificate keeps nobody from failing over.

use backstay_bucket::{Bucket, BucketConfig, Role};
use backstay_cluster::Region;
use backstay_global::recovery::LoadError;
use backstay_global::{identity, snapshot};
use backstay_journal::StreamId;
use backstay_pair::{Dr, Pair, Side, derive};
use backstay_retry::Deadline;

use crate::checks;
use crate::environment::{Environment, effective};
use crate::finding::{Check, Finding, Outcome};
use crate::recovery::{self, of_load};
use crate::world;

/// What of the standby would keep a failover from coming to its end. Answers by `deadline`, within
/// a second where everything answers.
///
/// A recovery source that cannot be reached is [`Outcome::Unknown`] and, unlike what is unknown of
/// the standby itself, no shortcoming: the primary's region may be dark, and its bucket with it,
/// while the failover is under way. See [`keeps_from_failover`].
pub async fn readiness(pair: &Pair, standby: &Region, deadline: Deadline) -> Vec<Finding> {
    let derived = derive(pair, Side::Secondary, Dr::Standby, false);
    let way = Ok(standby.clone());
    let facts = world::region(&way, pair, &derived, deadline).await;
    let mut findings = vec![
        checks::awake_or_asleep(&facts.operator),
        checks::node_is_declared(&facts.pools),
        checks::recovery_variables(&derived, &facts.variables),
        checks::secrets(&derived, &facts.secrets),
    ];
    findings.extend(facts.kafka.as_ref().map(checks::kafka));
    let declared = facts.variables.known().map_or(&[][..], Vec::as_slice);
    let variables = effective(&derived, declared);
    let environment = Environment::read(standby, &variables, deadline).await;
    let config = match environment.bucket(Role::RecoverFrom) {
        Ok(Some(config)) => config,
        Ok(None) => {
            let chain = recovery::no_source(Side::Secondary, None, &findings);
            findings.extend(chain.into_iter().take(1));
            return findings;
        }
        Err(error) => {
            let chain = recovery::no_source(Side::Secondary, Some(&error), &findings);
            findings.extend(chain.into_iter().take(1));
            return findings;
        }
    };
    let config = BucketConfig {
        deadline: deadline.left(),
        ..config
    };
    let looked = tokio::time::timeout_at(deadline.instant(), look(config)).await;
    findings.push(match looked {
        Ok(Ok(finding)) => finding,
        Ok(Err(error)) => of_load(&error),
        Err(_) => Finding::unknown(Check::RecoverySource, "it has not answered in time"),
    });
    findings
}

/// Whether a finding of [`readiness`] forbids the failover. What is unknown of the standby does;
/// what is unknown of the source does not.
pub fn keeps_from_failover(finding: &Finding) -> bool {
    match finding.outcome {
        Outcome::Ok => false,
        Outcome::Fails => true,
        Outcome::Unknown => !recovery::CHAIN.contains(&finding.check),
    }
}

/// Whether there is something to recover.
async fn look(config: BucketConfig) -> Result<Finding, LoadError> {
    let source = Bucket::open_to_read(config).await?;
    let id = identity::read(&source).await?;
    if let Some(newest) = snapshot::newest(&source, id.as_deref()).await? {
        let sentence = format!("the newest is epochOffset={}", newest.position());
        return Ok(Finding::ok(Check::Snapshot, sentence));
    }
    // A primary that died before its first snapshot is recovered from its journal alone.
    if id.is_some() && source.exists(&StreamId::Global.key(0)).await? {
        return Ok(Finding::ok(
            Check::Snapshot,
            "there is none yet, and all of the journal",
        ));
    }
    let config = source.config();
    Err(LoadError::NothingToRecover {
        container: config.container.clone(),
        prefix: config.prefix.clone(),
        variable: config.container_variable(),
    })
}
