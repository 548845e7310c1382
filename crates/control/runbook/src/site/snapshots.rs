//! Global snapshots: that there are some, and that they go.

use backstay_bucket::{Bucket, ObjectInfo};
use backstay_global::snapshot::PREFIX;
use backstay_pair::Side;
use futures::TryStreamExt as _;

use super::Site;
use crate::error::{StepError, Withheld};
use crate::record::Record;
use crate::step::{Answer, StepId};

async fn keys(bucket: &Bucket) -> Result<Vec<String>, StepError> {
    let listed = bucket.list(PREFIX, None);
    let keys = listed.map_ok(|it| it.key).try_collect().await;
    Ok(keys?)
}

/// The one that was written last, in whatever form: a real LogScale names its own in another way.
async fn newest(bucket: &Bucket) -> Result<Option<ObjectInfo>, StepError> {
    let listed = bucket.list(PREFIX, None);
    let newest = listed.try_fold(None, |newest: Option<ObjectInfo>, it| async {
        Ok(match newest {
            Some(newest) if newest.modified >= it.modified => Some(newest),
            _ => Some(it),
        })
    });
    Ok(newest.await?)
}

impl Site {
    /// Whether the secondary could start from what is in its own bucket. Until then each of its pods
    /// that is replaced would have to recover again, and could not without the recovery variables.
    pub(super) async fn own_snapshot(&self) -> Result<Answer, StepError> {
        let bucket = self.world.bucket(Side::Secondary).await?;
        Ok(match newest(bucket).await? {
            Some(newest) => Answer::Holds(format!("{}, of {}", newest.key, newest.modified)),
            None => Answer::Open("the secondary has written no snapshot of its own yet".to_owned()),
        })
    }

    /// Whether a region's bucket has a snapshot at all, and another one than was seen `before`: what
    /// can be said of a log store that is not ours, whose snapshots nobody else reads.
    pub(super) async fn has_snapshot(
        &self,
        side: Side,
        before: Option<&str>,
    ) -> Result<Answer, StepError> {
        let bucket = self.world.bucket(side).await?;
        Ok(match newest(bucket).await? {
            Some(newest) => {
                let detail = format!(
                    "{}, of {}; whether it loads cannot be seen",
                    newest.key, newest.modified
                );
                Answer::of(before != Some(&detail), detail)
            }
            None => Answer::refused(
                format!("the {side}'s bucket has no global snapshot"),
                "let LogScale write one (10 to 20 minutes after its start), then resume",
            ),
        })
    }

    pub(super) async fn without_snapshots(&self, side: Side) -> Result<Answer, StepError> {
        let keys = keys(self.world.bucket(side).await?).await?;
        let detail = format!("{} snapshots are in the {side}'s bucket", keys.len());
        Ok(Answer::of(keys.is_empty(), detail))
    }

    async fn delete(&self, side: Side) -> Result<(), StepError> {
        let bucket = self.world.bucket(side).await?;
        // Only these: segments and journal stay.
        let keys = keys(bucket).await?;
        // Listed before: one that was written since by somebody who has taken over is not among them.
        self.may().await?;
        Ok(bucket.delete_all(keys).await?)
    }

    /// Deletes the primary's, once more sure of what makes that safe.
    pub(super) async fn delete_primarys_snapshots(&self, record: &Record) -> Result<(), StepError> {
        let proven = record.step(StepId::SecondarySnapshot);
        if !proven.is_some_and(|it| it.is_done()) {
            let why = "what replaces them was not loaded on trial";
            return Err(Withheld::Delete.because(why));
        }
        for side in Side::BOTH {
            match self.is_stopped(side).await? {
                Answer::Holds(_) => {}
                not => return Err(Withheld::Delete.because(not.detail())),
            }
        }
        self.delete(Side::Primary).await
    }

    /// Deletes the secondary's, once more sure that the primary serves and the secondary sleeps.
    pub(super) async fn delete_secondarys_snapshots(&self) -> Result<(), StepError> {
        match self.is_stopped(Side::Secondary).await? {
            Answer::Holds(_) => {}
            not => return Err(Withheld::Delete.because(not.detail())),
        }
        match self.primary_healthy().await? {
            Answer::Holds(_) => self.delete(Side::Secondary).await,
            not => Err(Withheld::Delete.because(not.detail())),
        }
    }
}
