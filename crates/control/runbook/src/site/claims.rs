//! Claims of nodes: a disk that outlives its pod keeps `global-data-snapshot.json`, which a cold start
//! would take before it looks for anything to recover.

use backstay_cluster::NodeClaim;
use backstay_pair::Side;

use super::Site;
use crate::error::{StepError, Withheld};
use crate::step::Answer;

impl Site {
    /// The claims of a region's nodes: those of the cluster's own pool, and the others'.
    async fn claims(&self, side: Side) -> Result<[Vec<NodeClaim>; 2], StepError> {
        let nodes = self.world.nodes(side);
        let claims = self.region(side)?.node_claims(&nodes, Self::soon()).await?;
        let pools = &self.pair().region(side).pools;
        let region = self.pair().region(side);
        let further = [&pools.ui, &pools.ingest].map(|it| region.pool_label(&it.name));
        // One of a pool that we do not know may hold anything.
        let (further, own) = claims
            .into_iter()
            .partition(|it| further.contains(&it.node_pool));
        Ok([own, further])
    }

    /// Whether nothing is left of what nodes had on disks. What stores segments may have some that
    /// were never uploaded: those are a person's to delete.
    pub(super) async fn claims_gone(&self, side: Side) -> Result<Answer, StepError> {
        let [own, further] = self.claims(side).await?;
        if !own.is_empty() {
            let names: Vec<&str> = own.iter().map(|it| it.name.as_str()).collect();
            let names = names.join(" ");
            let (context, namespace) = (&self.pair().region(side).context, &self.pair().namespace);
            return Ok(Answer::refused(
                format!(
                    "claims of the {side}'s digest nodes are there: {names}; each may hold segments \
                     that were never uploaded, and an old snapshot that its node would start from"
                ),
                format!(
                    "make sure that all is in the bucket; then kubectl --context {context} -n \
                     {namespace} delete pvc {names}; then resume"
                ),
            ));
        }
        let left = further.len();
        Ok(Answer::of(
            left == 0,
            format!("{left} claims of pools for searches and events are left"),
        ))
    }

    /// Deletes those of the pools for searches and events, once more sure that no node uses them.
    pub(super) async fn delete_claims(&self, side: Side) -> Result<(), StepError> {
        match self.is_stopped(side).await? {
            Answer::Holds(_) => {}
            not => return Err(Withheld::Delete.because(not.detail())),
        }
        let region = self.pair().region(side);
        for pool in [&region.pools.ui, &region.pools.ingest] {
            let selector = format!(
                "{},{}={}",
                self.world.nodes(side),
                backstay_kinds::label::NODE_POOL,
                region.pool_label(&pool.name)
            );
            let deleted = self.region(side)?.delete_claims(&selector, Self::soon());
            deleted.await?;
        }
        Ok(())
    }
}
