//! What an earlier life of the standby has left in its own bucket.
//!
//! A standby that was active once has snapshots of its own. Nobody takes them for a recovery: woken
//! before they are gone, its node finds them, and is fenced, because the primary has ended its
//! journal; or, where that has not been, goes on from what it once had. Either way nothing is
//! recovered. `backstay clean-secondary` deletes them.

use std::time::Duration;

use backstay_bucket::{Bucket, BucketConfig, Role};
use backstay_cluster::Operator;
use backstay_global::recovery::LoadError;
use backstay_global::recovery::outside::{Holder, holder};
use backstay_global::{EpochOffset, snapshot};

use crate::checks;
use crate::environment::{Environment, EnvironmentError};
use crate::fact::Fact;
use crate::finding::{Check, Finding, Outcome};
use crate::recoverable::Owned;

/// Snapshots that were left, and whose they are.
#[derive(Debug)]
pub(crate) struct Left {
    /// The newest one.
    pub(crate) newest: EpochOffset,
    /// Their cluster.
    pub(crate) cluster_id: String,
    /// Who holds its journal.
    pub(crate) own: Holder,
    /// Who holds the primary's, or why that is not known.
    pub(crate) primary: Result<Holder, Unlooked>,
}

/// Why it is not known who holds the primary's journal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unlooked {
    /// Its bucket's configuration.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// It has none.
    #[error("no variable names the primary's bucket")]
    Unnamed,
    /// Its bucket.
    #[error(transparent)]
    Bucket(#[from] LoadError),
}

/// Looks. `own` is the standby's own bucket, or what was found of it where it is not open.
pub(crate) async fn look(
    own: Result<&Owned, &Finding>,
    environment: &Environment,
    operator: &Fact<Operator>,
    patience: Duration,
) -> Finding {
    let (bucket, id) = match own {
        Ok((bucket, id)) => (bucket, id),
        // A folder that is not there yet.
        Err(finding) if finding.outcome == Outcome::Ok => {
            return checks::clean(None, operator);
        }
        Err(_) => return Finding::behind(Check::Clean, Check::OwnBucket),
    };
    match left(bucket, id.as_deref(), environment, patience).await {
        Ok(left) => checks::clean(left.as_ref(), operator),
        Err(error) if error.is_retryable() => Finding::unknown(Check::Clean, error.to_string()),
        Err(error) => Finding::fails(Check::Clean, error.to_string(), ""),
    }
}

async fn left(
    own: &Bucket,
    id: Option<&str>,
    environment: &Environment,
    patience: Duration,
) -> Result<Option<Left>, LoadError> {
    // A LogScale with Kafka has no identity there, and snapshots all the same.
    let Some(newest) = snapshot::newest(own, id).await? else {
        return Ok(None);
    };
    let (own, primary) = futures::join!(holder(own), primary(environment, patience));
    Ok(Some(Left {
        newest: newest.position(),
        cluster_id: newest.key.cluster_id.clone(),
        own: own?,
        primary,
    }))
}

async fn primary(environment: &Environment, patience: Duration) -> Result<Holder, Unlooked> {
    let config = environment.bucket(Role::RecoverFrom)?;
    let config = config.ok_or(Unlooked::Unnamed)?;
    let config = BucketConfig {
        deadline: patience,
        ..config
    };
    let bucket = Bucket::open_to_read(config).await;
    Ok(holder(&bucket.map_err(LoadError::from)?).await?)
}

#[cfg(test)]
mod tests;
