//! A region's operator and nodes: stopped, started, told otherwise.

use std::time::Duration;

use backstay_pair::{HUMIO_OPERATOR, INGRESS_CONTROLLER, Side};
use backstay_retry::Deadline;

use super::Site;
use crate::error::StepError;
use crate::step::Answer;

/// For so long the operator's own pod is waited for, before the nodes are deleted under it.
const OPERATOR_TIMEOUT: Duration = Duration::from_secs(30);

impl Site {
    /// Whether operator and nodes are gone.
    pub(super) async fn is_stopped(&self, side: Side) -> Result<Answer, StepError> {
        let region = self.region(side)?;
        let nodes = self.world.nodes(side);
        let (operator, pods) = tokio::join!(
            region.operator(HUMIO_OPERATOR, Self::soon()),
            region.pods(&nodes, Self::soon())
        );
        let (operator, pods) = (operator?, pods?);
        let detail = format!(
            "the {side}'s operator is at {}, {} nodes are left",
            operator.replicas,
            pods.len()
        );
        Ok(Answer::of(
            operator.replicas == 0 && pods.is_empty(),
            detail,
        ))
    }

    /// Stops the operator, then the nodes. It waits until no operator is left that would make new
    /// ones; not for the nodes, which take their time to write everything down.
    pub(super) async fn stop(&self, side: Side) -> Result<(), StepError> {
        let region = self.region(side)?;
        let deadline = Deadline::after(OPERATOR_TIMEOUT);
        let operator = region.operator(HUMIO_OPERATOR, deadline).await;
        let selector = operator?.selector;
        let scaled = region.scale(HUMIO_OPERATOR, 0, deadline).await;
        scaled?;
        let gone = region.wait_gone(&selector, deadline).await;
        gone?;
        let nodes = self.world.nodes(side);
        let deleted = region.delete_pods(&nodes, None, Self::soon());
        Ok(deleted.await.map(drop)?)
    }

    pub(super) async fn operator_runs(&self, side: Side) -> Result<Answer, StepError> {
        let operator = self.region(side)?.operator(HUMIO_OPERATOR, Self::soon());
        let operator = operator.await?;
        let detail = format!("the {side}'s operator is at {}", operator.replicas);
        Ok(Answer::of(operator.replicas >= 1, detail))
    }

    pub(super) async fn start_operator(&self, side: Side) -> Result<(), StepError> {
        let scaled = self.region(side)?.scale(HUMIO_OPERATOR, 1, Self::soon());
        Ok(scaled.await.map(drop)?)
    }

    pub(super) async fn is_reachable(&self) -> Result<Answer, StepError> {
        let context = &self.pair().primary.context;
        let next = format!("kubectl --context {context} get nodes; then backstay failback again");
        let region = match self.region(Side::Primary) {
            Ok(region) => region,
            Err(why) => return Ok(Answer::refused(why.to_string(), next)),
        };
        match region.operator(HUMIO_OPERATOR, Self::soon()).await {
            Ok(_) => Ok(Answer::Holds(format!("{context} answers"))),
            Err(error) => Ok(Answer::refused(error.to_string(), next)),
        }
    }

    pub(super) async fn ingress_runs(&self) -> Result<Answer, StepError> {
        let region = self.region(Side::Primary)?;
        let region = region.in_namespace(&self.pair().ingress_namespace);
        match region.operator(INGRESS_CONTROLLER, Self::soon()).await {
            Ok(ingress) => Ok(Answer::of(
                ingress.replicas >= 1 && ingress.ready >= 1,
                format!(
                    "{INGRESS_CONTROLLER} is at {}, {} ready",
                    ingress.replicas, ingress.ready
                ),
            )),
            // Another ingress than nginx's is nobody's to scale; the global name proves it at the end.
            Err(error) if error.is_not_found() => Ok(Answer::Holds(format!(
                "the Deployment {INGRESS_CONTROLLER} does not exist: not looked at"
            ))),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn start_ingress(&self) -> Result<(), StepError> {
        let region = self.region(Side::Primary)?;
        let region = region.in_namespace(&self.pair().ingress_namespace);
        let ingress = region.operator(INGRESS_CONTROLLER, Self::soon()).await;
        if ingress?.replicas >= 1 {
            return Ok(());
        }
        let scaled = region.scale(INGRESS_CONTROLLER, 1, Self::soon()).await;
        Ok(scaled.map(drop)?)
    }
}
