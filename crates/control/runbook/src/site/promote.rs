//! The steps that only a promotion has.

use std::collections::BTreeMap;

use backstay_cluster::Pod;
use backstay_failover::marks::{Marks, Stage};
use backstay_pair::{EnvSource, HUMIO_OPERATOR, Side};
use backstay_probe::Outcome;
use serde_json::Value;

use super::Site;
use crate::error::{StepError, Withheld};
use crate::spec::{SpecError, grown, rolling, with_environment};
use crate::step::Answer;

impl Site {
    /// Whether the failover is over and the secondary serves.
    pub(super) async fn secondary_serves(&self) -> Result<Answer, StepError> {
        let standby = &self.secondary;
        let operator = standby.operator(HUMIO_OPERATOR, Self::soon()).await;
        let marks = Marks::read(&operator?.annotations);
        if let Some(run) = marks.run.filter(|it| it.stage == Stage::Acting) {
            return Ok(Answer::refused(
                format!("the failover {} is still under way", run.id),
                "backstay status --watch; then backstay promote again",
            ));
        }
        if self.holds_term(Side::Secondary).await? == Some(false) {
            return Ok(Answer::refused(
                "the secondary does not hold the term: it has not taken over",
                "backstay status; if the primary is dead: backstay failover",
            ));
        }
        match self.world.probe(Side::Secondary).await {
            Outcome::Healthy => Ok(Answer::Holds("the secondary answers 200".to_owned())),
            Outcome::Failed(error) => Ok(Answer::refused(
                format!("the secondary does not serve: {error}"),
                "backstay status; if it has not taken over: backstay failover",
            )),
            Outcome::Void(why) => Err(StepError::Void(why)),
        }
    }

    async fn spec(&self) -> Result<Value, StepError> {
        let name = &self.pair().secondary.cluster;
        let spec = self.secondary.spec(name, Self::soon()).await;
        Ok(spec?)
    }

    async fn change(
        &self,
        mut change: impl FnMut(&Value) -> Result<Value, SpecError>,
    ) -> Result<(), StepError> {
        let name = &self.pair().secondary.cluster;
        let change = |spec: &Value| Ok(change(spec)?);
        let changed = self.secondary.change_spec(name, change, Self::soon());
        Ok(changed.await.map(drop)?)
    }

    pub(super) async fn rolls(&self) -> Result<Answer, StepError> {
        let there = self.spec().await?;
        let rolls = rolling(&there)? == there;
        Ok(Answer::of(rolls, "updateStrategy of the HumioCluster"))
    }

    pub(super) async fn roll(&self) -> Result<(), StepError> {
        self.change(rolling).await
    }

    /// Whether the services select any pod; or, where all is done already, the pools.
    pub(super) async fn routes_to_any(&self) -> Result<Answer, StepError> {
        if let Answer::Holds(_) = self.routes_to_pools().await?
            && let Answer::Holds(_) = self.has_environment().await?
            && let holds @ Answer::Holds(_) = self.pods_ready(true).await?
        {
            return Ok(holds);
        }
        self.selects(&self.sharing()).await
    }

    /// How many nodes the cluster's own pool has while it is replaced: where there is no other pool,
    /// never one alone, which would leave nobody to take its place.
    fn nodes_meanwhile(&self) -> u32 {
        let active = self.promoted();
        match active.node_pools.is_empty() {
            true => active.node_count.max(2),
            false => active.node_count,
        }
    }

    pub(super) async fn has_pools(&self) -> Result<Answer, StepError> {
        let there = self.spec().await?;
        let wanted = grown(&there, &self.promoted(), self.nodes_meanwhile())?;
        Ok(Answer::of(there == wanted, "nodes and pools are declared"))
    }

    pub(super) async fn grow(&self) -> Result<(), StepError> {
        let (active, nodes) = (self.promoted(), self.nodes_meanwhile());
        self.change(|spec| grown(spec, &active, nodes)).await
    }

    pub(super) async fn has_environment(&self) -> Result<Answer, StepError> {
        let there = self.spec().await?;
        let active = self.promoted();
        let wanted = active.cluster_environment();
        let wanted = with_environment(&there, &wanted, active.environment_field)?;
        Ok(Answer::of(there == wanted, "variables of the HumioCluster"))
    }

    pub(super) async fn tell_environment(&self) -> Result<(), StepError> {
        let active = self.promoted();
        let wanted = active.cluster_environment();
        self.change(|spec| with_environment(spec, &wanted, active.environment_field))
            .await
    }

    pub(super) async fn has_sizes(&self) -> Result<Answer, StepError> {
        let there = self.spec().await?;
        let active = self.promoted();
        let wanted = grown(&there, &active, active.node_count)?;
        if there != wanted {
            return Ok(Answer::Open("a node more than there are to be".to_owned()));
        }
        self.pods_ready(true).await
    }

    pub(super) async fn resize(&self) -> Result<(), StepError> {
        let active = self.promoted();
        self.change(|spec| grown(spec, &active, active.node_count))
            .await
    }

    /// Whether each pool has its nodes, all of them ready; with `new`, and with the variables of an
    /// active region.
    pub(super) async fn pods_ready(&self, new: bool) -> Result<Answer, StepError> {
        let standby = &self.secondary;
        let (region, nodes) = (&self.pair().secondary, self.world.nodes(Side::Secondary));
        let (declared, pods) = tokio::join!(
            standby.humio_cluster(&region.cluster, Self::soon()),
            standby.pods(&nodes, Self::soon())
        );
        let (declared, pods) = (declared?, pods?);
        let mut said = Vec::new();
        let mut all = true;
        for pool in &declared.pools {
            let name = region.pool_label(&pool.name);
            let ours: Vec<&Pod> = pods.iter().filter(|it| it.node_pool == name).collect();
            let good = ours
                .iter()
                .filter(|it| it.ready && (!new || self.is_new(it)));
            let (good, wanted) = (good.count(), pool.node_count);
            all &= i64::try_from(good).is_ok_and(|it| it == wanted);
            all &= i64::try_from(ours.len()).is_ok_and(|it| it == wanted);
            said.push(format!("{name} {good} of {wanted}"));
        }
        let mut said = format!("ready nodes: {}", said.join(", "));
        if let Some(operators) = crate::operator_state::said(&declared).filter(|_| !all) {
            said = format!("{said}; {operators}");
        }
        Ok(Answer::of(all, said))
    }

    /// Whether a pod was made with an active region's variables.
    fn is_new(&self, pod: &Pod) -> bool {
        self.promoted().environment.iter().all(|wanted| {
            let EnvSource::Value(value) = &wanted.source else {
                return true;
            };
            pod.environment.get(&wanted.name) == Some(value)
        })
    }

    /// The services, with what each is to select.
    pub(super) fn services(
        &self,
        derived: &backstay_pair::Derived,
    ) -> [(String, BTreeMap<String, String>); 2] {
        let services = &self.pair().secondary.services;
        [
            (services.ui.clone(), derived.selectors.ui.clone()),
            (services.ingest.clone(), derived.selectors.ingest.clone()),
        ]
    }

    pub(super) async fn selects(
        &self,
        derived: &backstay_pair::Derived,
    ) -> Result<Answer, StepError> {
        for (service, wanted) in self.services(derived) {
            let there = self.secondary.service_selector(&service, Self::soon());
            if there.await? != wanted {
                let detail = format!("service {service} selects other pods");
                return Ok(Answer::Open(detail));
            }
        }
        Ok(Answer::Holds("services select what they should".to_owned()))
    }

    pub(super) async fn select(&self, derived: &backstay_pair::Derived) -> Result<(), StepError> {
        for (service, wanted) in self.services(derived) {
            let selected = self.secondary.select(&service, &wanted, Self::soon());
            selected.await?;
        }
        Ok(())
    }

    pub(super) async fn routes_to_pools(&self) -> Result<Answer, StepError> {
        self.selects(&self.promoted()).await
    }

    /// Switches the services, once more sure that somebody is behind them.
    pub(super) async fn route_to_pools(&self) -> Result<(), StepError> {
        match self.pods_ready(true).await? {
            Answer::Holds(_) => self.select(&self.promoted()).await,
            not => Err(Withheld::Switch.because(not.detail())),
        }
    }
}
