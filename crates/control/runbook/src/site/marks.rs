//! The marks on the standby's operator, by which failovers are held back.

use std::collections::BTreeMap;
use std::time::Duration;

use backstay_cluster::WriteOutcome;
use backstay_failover::marks::{
    ANSWERED, DEGRADED_SINCE, Marks, PAUSED, RUN, SEEN_DOWN, Stage, UNSTABLE_SINCE,
};
use backstay_pair::{HUMIO_OPERATOR, Side};
use tokio::time::sleep;

use super::Site;
use crate::error::StepError;
use crate::record::Record;
use crate::step::Answer;

/// What a pause of ours begins with: another's stays.
const PAUSE_REASON: &str = "backstay failback";
/// So often somebody else may write meanwhile.
const MAX_LOST_RACES: u32 = 10;
/// Between two rounds.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The marks of a holdoff.
const HOLDOFF_MARKS: [&str; 4] = [DEGRADED_SINCE, SEEN_DOWN, ANSWERED, UNSTABLE_SINCE];

impl Site {
    async fn marks(&self) -> Result<(Marks, BTreeMap<String, String>, String), StepError> {
        let read = self.secondary.operator(HUMIO_OPERATOR, Self::soon());
        let operator = read.await?;
        let marks = Marks::read(&operator.annotations);
        Ok((marks, operator.annotations, operator.version))
    }

    /// Writes what `change` makes of the marks, until nobody else was faster.
    async fn mark(
        &self,
        change: impl Fn(&Marks) -> BTreeMap<&'static str, Option<String>>,
    ) -> Result<(), StepError> {
        for _ in 0..MAX_LOST_RACES {
            let (marks, there, version) = self.marks().await?;
            let wanted = change(&marks);
            let wanted: BTreeMap<_, _> = wanted
                .into_iter()
                .filter(|(name, value)| there.get(*name) != value.as_ref())
                .collect();
            if wanted.is_empty() {
                return Ok(());
            }
            let standby = &self.secondary;
            let written = standby
                .annotate_once(HUMIO_OPERATOR, &version, &wanted, Self::soon())
                .await;
            if written? == WriteOutcome::Written {
                return Ok(());
            }
            sleep(RETRY_DELAY).await;
        }
        Err(StepError::Contended)
    }

    /// Whether the secondary holds the term, and nothing is under way.
    pub(super) async fn is_failed_over(&self) -> Result<Answer, StepError> {
        let (marks, _, _) = self.marks().await?;
        let status = "backstay status".to_owned();
        if marks.unreadable(RUN).is_some() {
            let why = format!("the annotation {RUN} cannot be read");
            return Ok(Answer::refused(why, status));
        }
        if let Some(run) = marks.run.as_ref().filter(|it| it.stage == Stage::Acting) {
            let why = format!("the failover {} is still under way", run.id);
            return Ok(Answer::refused(why, "backstay status --watch"));
        }
        let holds = self.holds_term(Side::Primary).await?;
        Ok(failed_over(marks.run.is_some(), holds))
    }

    pub(super) async fn is_paused(&self) -> Result<Answer, StepError> {
        let (marks, there, _) = self.marks().await?;
        let holdoff = HOLDOFF_MARKS.iter().find(|name| there.contains_key(**name));
        Ok(match (marks.paused, holdoff) {
            (None, _) => Answer::Open("failovers are not paused".to_owned()),
            (Some(_), Some(name)) => Answer::Open(format!("{name} is set")),
            (Some(why), None) => Answer::Holds(format!("failovers are paused: {why}")),
        })
    }

    pub(super) async fn pause(&self, record: &Record) -> Result<(), StepError> {
        let why = format!("{PAUSE_REASON}, run {}", record.run);
        self.mark(|marks| {
            let mut wanted: BTreeMap<_, _> =
                HOLDOFF_MARKS.into_iter().map(|it| (it, None)).collect();
            // A person's own pause outlives ours.
            let why = marks.paused.clone().unwrap_or_else(|| why.clone());
            wanted.insert(PAUSED, Some(why));
            wanted
        })
        .await
    }

    pub(super) async fn is_unpaused(&self) -> Result<Answer, StepError> {
        let (marks, _, _) = self.marks().await?;
        Ok(match marks.paused {
            None => Answer::Holds("failovers are not paused".to_owned()),
            Some(why) if why.starts_with(PAUSE_REASON) => {
                Answer::Open("still paused by us".to_owned())
            }
            Some(why) => Answer::Holds(format!("paused by somebody else, and left so: {why}")),
        })
    }

    pub(super) async fn unpause(&self) -> Result<(), StepError> {
        self.mark(|marks| {
            let ours = marks
                .paused
                .as_ref()
                .is_some_and(|it| it.starts_with(PAUSE_REASON));
            let gone = ours.then_some((PAUSED, None));
            gone.into_iter().collect()
        })
        .await
    }

    pub(super) async fn is_closed(&self) -> Result<Answer, StepError> {
        let (marks, there, _) = self.marks().await?;
        Ok(match (there.contains_key(RUN), marks.run) {
            (false, _) => Answer::Holds("no failover is on record any more".to_owned()),
            (true, Some(run)) => Answer::Open(format!("failover {} is on record", run.id)),
            (true, None) => Answer::Open("a failover is on record".to_owned()),
        })
    }

    pub(super) async fn close(&self) -> Result<(), StepError> {
        self.mark(|_| BTreeMap::from([(RUN, None)])).await
    }
}

/// Whether a failover is behind us, by whether one is on record and whether the primary holds the
/// term (`None`: there is no journal that could say so).
fn failed_over(on_record: bool, primary_holds: Option<bool>) -> Answer {
    match (primary_holds, on_record) {
        (Some(true), _) => Answer::refused(
            "the primary holds the term: there is nothing to fail back",
            "backstay status",
        ),
        (Some(false) | None, true) => Answer::Holds("the secondary is the active region".into()),
        (Some(false), false) => Answer::refused(
            "no failover is on record, but the primary does not hold the term: the secondary was started by hand",
            "backstay failover (it does what is left of a failover, and puts it on record)",
        ),
        (None, false) => Answer::refused(
            "no failover is on record",
            "backstay status; if the secondary was started by hand, backstay failover, which puts it on record",
        ),
    }
}

#[cfg(test)]
mod tests;
