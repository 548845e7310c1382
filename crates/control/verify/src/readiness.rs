//! Whether a failover that begins now can come to its end: what is quick to know, and without which
//! it must not begin.
//!
//! No rehearsal: that is [`crate::verify`]'s, by a schedule. And nothing that is only undesirable:
//! an expiring certificate keeps nobody from failing over.

use backstay_bucket::{Bucket, BucketConfig, Role};
use backstay_cluster::{Operator, Region};
use backstay_global::recovery::LoadError;
use backstay_global::{identity, snapshot};
use backstay_journal::StreamId;
use backstay_pair::{Dr, Pair, Side, derive};
use backstay_retry::Deadline;

use crate::checks;
use crate::clean;
use crate::environment::{Environment, effective};
use crate::fact::Fact;
use crate::finding::{Check, Finding, Outcome};
use crate::recoverable::own_bucket;
use crate::recovery::{self, of_load};
use crate::world;

const NO_ANSWER_IN_TIME: &str = "it has not answered in time";

/// What of the standby would keep a failover from coming to its end. Answers by `deadline`, within
/// a second where everything answers.
///
/// A recovery source that cannot be reached is [`Outcome::Unknown`] and, unlike what is unknown of
/// the standby itself, no readiness blocker: the primary's region may be dark, and its bucket with it,
/// while the failover is under way. See [`keeps_from_failover`].
pub async fn readiness(pair: &Pair, standby: &Region, deadline: Deadline) -> Vec<Finding> {
    let derived = derive(pair, Side::Secondary, Dr::Standby, false);
    let way = Ok(standby.clone());
    let (facts, services) = futures::join!(
        world::region(&way, pair, &derived, deadline),
        world::services(&way, deadline),
    );
    let mut findings = vec![
        checks::awake_or_asleep(&facts.operator),
        checks::node_is_declared(&facts.pools),
        checks::recovery_variables(&derived, &facts.variables),
        checks::secrets(&derived, &facts.secrets),
        checks::services(pair, &facts.pools, &services),
    ];
    findings.extend(facts.kafka.as_ref().map(checks::kafka));
    let declared = facts.variables.known().map_or(&[][..], Vec::as_slice);
    let variables = effective(&derived, declared);
    let environment = Environment::read(standby, &variables, deadline).await;
    let (source, own) = futures::join!(
        source(&environment, &findings, deadline),
        own(pair, &environment, &facts.operator, &findings, deadline),
    );
    findings.push(source);
    findings.extend(own);
    findings
}

/// Whether there is something to recover.
async fn source(environment: &Environment, found: &[Finding], deadline: Deadline) -> Finding {
    let error = match environment.bucket(Role::RecoverFrom) {
        Ok(Some(config)) => {
            let config = BucketConfig {
                deadline: deadline.left(),
                ..config
            };
            return match tokio::time::timeout_at(deadline.instant(), look(config)).await {
                Ok(Ok(finding)) => finding,
                Ok(Err(error)) => of_load(&error),
                Err(_) => Finding::unknown(Check::RecoverySource, NO_ANSWER_IN_TIME),
            };
        }
        Ok(None) => None,
        Err(error) => Some(error),
    };
    let chain = recovery::no_source(Side::Secondary, error.as_ref(), found);
    let first = chain.into_iter().next();
    first.unwrap_or_else(|| Finding::unknown(Check::RecoverySource, NO_ANSWER_IN_TIME))
}

/// Whether its node, once it runs, would recover at all.
async fn own(
    pair: &Pair,
    environment: &Environment,
    operator: &Fact<Operator>,
    found: &[Finding],
    deadline: Deadline,
) -> Vec<Finding> {
    let looked = async {
        let left = deadline.left();
        let (own, at_home) = own_bucket(pair, Side::Secondary, environment, found, left).await;
        let clean = clean::look(own.as_ref().ok_or(&at_home), environment, operator, left).await;
        vec![at_home, clean]
    };
    let looked = tokio::time::timeout_at(deadline.instant(), looked).await;
    looked.unwrap_or_else(|_| vec![Finding::unknown(Check::OwnBucket, NO_ANSWER_IN_TIME)])
}

/// Whether a finding of [`readiness`] forbids the failover. What is unknown of the standby does;
/// what is unknown of the source does not, nor of the services: whoever may not read them would
/// never fail over, and a selector is corrected in a moment.
pub fn keeps_from_failover(finding: &Finding) -> bool {
    match finding.outcome {
        Outcome::Ok => false,
        Outcome::Fails => true,
        Outcome::Unknown => {
            finding.check != Check::Services && !recovery::CHAIN.contains(&finding.check)
        }
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
