//! Where the traffic goes: endpoints, the alert, the global name; and who holds the journals.

use backstay_azure::{AzureError, ReportedMonitorStatus, ResourceId, Switch};
use backstay_pair::Side;
use backstay_probe::Outcome;
use backstay_watch::Held;

use super::Site;
use crate::error::{StepError, Withheld};
use crate::step::Answer;

impl Site {
    pub(super) async fn endpoint_is(
        &self,
        side: Side,
        wanted: Switch,
    ) -> Result<Answer, StepError> {
        let id = self.world.endpoint_id(side);
        let found = match self.azure.endpoint_at(id, Self::soon()).await {
            Ok(found) => found,
            Err(AzureError::NotFound { .. }) => {
                let manager = &self.pair().traffic_manager;
                return Ok(Answer::refused(
                    format!("there is no endpoint {id}"),
                    format!(
                        "az network traffic-manager endpoint create --type externalEndpoints \
                         --resource-group {} --profile-name {} --name {} --target {} --priority {}",
                        manager.resource_group,
                        manager.profile,
                        id.name(),
                        self.pair().region(side).endpoint_target,
                        match side {
                            Side::Primary => 1,
                            Side::Secondary => 2,
                        }
                    ),
                ));
            }
            Err(error) => return Err(error.into()),
        };
        let detail = format!("the {side}'s endpoint is {}", found.status);
        Ok(Answer::of(found.status == wanted, detail))
    }

    pub(super) async fn set_endpoint(&self, side: Side, wanted: Switch) -> Result<(), StepError> {
        let id = self.world.endpoint_id(side);
        let held = self
            .azure
            .hold_endpoint_status(id, wanted, Self::soon())
            .await;
        Ok(held.map(drop)?)
    }

    /// Enables the primary's endpoint, unless it does not serve the new term after all.
    pub(super) async fn open_primary(&self) -> Result<(), StepError> {
        match self.primary_recovered().await? {
            Answer::Holds(_) => self.set_endpoint(Side::Primary, Switch::Enabled).await,
            answer => Err(Withheld::Enable.because(answer.detail())),
        }
    }

    pub(super) async fn endpoint_online(&self, side: Side) -> Result<Answer, StepError> {
        let id = self.world.endpoint_id(side);
        let found = self.azure.endpoint_at(id, Self::soon()).await;
        let found = found?;
        let online = found.status == Switch::Enabled
            && found.monitor_status == ReportedMonitorStatus::Online;
        let detail = format!(
            "the {side}'s endpoint is {}, {:?}",
            found.status, found.monitor_status
        );
        Ok(Answer::of(online, detail))
    }

    /// Whether the global name leads to this region, and the region answers.
    pub(super) async fn serves(&self, side: Side) -> Result<Answer, StepError> {
        let (name, ours, answers, online) = tokio::join!(
            self.world.global_name(),
            self.world.region_addresses(side),
            self.world.probe(side),
            self.endpoint_online(side),
        );
        let (name, ours) = (name?, ours?);
        let global = &self.pair().global_host;
        if name.is_empty() || !name.is_subset(&ours) {
            let name: Vec<String> = name.iter().map(ToString::to_string).collect();
            return Ok(Answer::Open(format!(
                "{global} leads to {}, not to the {side}",
                name.join(", ")
            )));
        }
        match (answers, online?) {
            (Outcome::Healthy, Answer::Holds(_)) => Ok(Answer::Holds(format!(
                "{global} leads to the {side}, which answers 200"
            ))),
            (Outcome::Healthy, not) => Ok(not),
            (Outcome::Failed(error), _) => {
                Ok(Answer::Open(format!("the {side} does not answer: {error}")))
            }
            (Outcome::Void(why), _) => Err(StepError::Void(why)),
        }
    }

    /// Whether a region holds its own journal, and the other one's is sealed by it. `None` where
    /// there is no journal of ours.
    pub(super) async fn holds_term(&self, side: Side) -> Result<Option<bool>, StepError> {
        if !self.world.has_journal().await {
            return Ok(None);
        }
        let (own, other) = tokio::join!(self.world.holder(side), self.world.holder(side.other()));
        let (own, other) = (own?, other?);
        if let (Held::Stranger { cluster_id, .. }, _) | (_, Held::Stranger { cluster_id, .. }) =
            (&own, &other)
        {
            return Err(StepError::Stranger(cluster_id.clone()));
        }
        // One that was never written to needs no seal.
        let sealed = matches!(other, Held::Nobody) || other == Held::By(side);
        Ok(Some(own == Held::By(side) && sealed))
    }

    fn alert(&self) -> Result<ResourceId, StepError> {
        Ok(self.pair().alert_id().parse()?)
    }

    pub(super) async fn alert_is(&self, on: bool) -> Result<Answer, StepError> {
        let id = self.alert()?;
        let rule = self.azure.metric_alert(&id, Self::soon());
        let rule = rule.await?;
        let word = if rule.enabled { "on" } else { "off" };
        Ok(Answer::of(
            rule.enabled == on,
            format!("alert {} is {word}", rule.id.name()),
        ))
    }

    pub(super) async fn set_alert(&self, on: bool) -> Result<(), StepError> {
        let id = self.alert()?;
        let set = self.azure.set_metric_alert(&id, on, Self::soon());
        Ok(set.await.map(drop)?)
    }

    pub(super) async fn no_alerts(&self) -> Result<Answer, StepError> {
        let id = self.alert()?;
        let fired = self.azure.fired_alerts(&id, Self::soon());
        let fired = fired.await?;
        Ok(Answer::of(
            fired.is_empty(),
            format!("{} fired alerts are open", fired.len()),
        ))
    }

    pub(super) async fn close_alerts(&self) -> Result<(), StepError> {
        let azure = &self.azure;
        let fired = azure.fired_alerts(&self.alert()?, Self::soon()).await;
        for alert in fired? {
            let closed = azure.close_alert(&alert.id, Self::soon()).await;
            closed?;
        }
        Ok(())
    }
}
