#![allow(clippy::unwrap_used, clippy::expect_used)]

use backstay_pair::Side;
use backstay_retry::Deadline;
use serde_json::json;

use crate::stage::{Cluster, OPTIONS, Stage};
use crate::{Check, Finding, NoAccess, Outcome, World, keeps_from_failover, readiness, verify};

struct Standby {
    stage: Stage,
    cluster: Cluster,
}

impl Standby {
    /// The secondary has taken over, and all is there and works.
    async fn that_took_over() -> Self {
        let stage = Stage::new();
        let primary = stage.start(Side::Primary, false).await;
        primary.repository("logs").await;
        primary.segment("logs", "of the primary").await;
        primary.snapshot().await;
        let cluster = Cluster::of(&stage.pair, Side::Secondary).await;
        cluster.kafka_is_ready(&stage.pair).await;
        let standby = Self { stage, cluster };
        assert_eq!(standby.kept().await, []);
        let secondary = standby.stage.start(Side::Secondary, true).await;
        secondary.segment("logs", "of the secondary").await;
        secondary.snapshot().await;
        standby
    }

    /// And the primary has taken all of it back.
    async fn of_a_failback() -> Self {
        let standby = Self::that_took_over().await;
        let snapshots = standby.stage.path(Side::Primary).join("globalsnapshots");
        std::fs::remove_dir_all(snapshots).unwrap();
        let primary = standby.stage.start(Side::Primary, true).await;
        primary.segment("logs", "home again").await;
        primary.snapshot().await;
        standby
    }

    async fn operator(&self, replicas: u32) {
        let patch = json!({ "spec": { "replicas": replicas } });
        let kind = ("apps/v1", "Deployment");
        self.cluster.patch(kind, "humio-operator", patch).await;
    }

    async fn ready(&self) -> Vec<Finding> {
        let deadline = Deadline::after(OPTIONS.patience);
        readiness(&self.stage.pair, &self.cluster.region, deadline).await
    }

    async fn kept(&self) -> Vec<Check> {
        let findings = self.ready().await;
        let kept = findings.iter().filter(|it| keeps_from_failover(it));
        kept.map(|it| it.check).collect()
    }

    async fn verified(&self, check: Check) -> Finding {
        let world = World {
            standby: Ok(self.cluster.region.clone()),
            primary: Err(NoAccess::NoContext("not here".to_owned())),
            azure: Err(NoAccess::NoContext("not here".to_owned())),
        };
        let report = verify(&self.stage.pair, &world, OPTIONS).await;
        let found = report.findings.iter().find(|it| it.check == check);
        found.unwrap().clone()
    }

    async fn fails(&self, says: &str) {
        assert_eq!(self.kept().await, [Check::Clean]);
        let finding = self.verified(Check::Clean).await;
        assert_eq!(finding.outcome, Outcome::Fails);
        assert!(finding.sentence.contains(says), "{finding:?}");
        assert!(
            finding.next.contains("backstay clean-secondary"),
            "{finding:?}"
        );
    }

    async fn is_clean(&self) {
        assert_eq!(self.kept().await, []);
        let finding = self.verified(Check::Clean).await;
        assert_eq!(finding.outcome, Outcome::Ok, "{finding:?}");
    }
}

#[tokio::test]
async fn after_a_failback_the_standby_is_to_be_cleaned() {
    let standby = Standby::of_a_failback().await;
    standby.fails("would be fenced instead of recovering").await;
    // A run that is under way is not stopped: its node may have written them.
    standby.operator(1).await;
    standby.is_clean().await;
    standby.operator(0).await;
    let own = standby.stage.path(Side::Secondary);
    std::fs::remove_dir_all(own.join("globalsnapshots")).unwrap();
    standby.is_clean().await;
}

/// Its operator may be stopped for a moment; it goes on from its own snapshots.
#[tokio::test]
async fn a_secondary_that_holds_the_term_has_snapshots_of_its_own() {
    let standby = Standby::that_took_over().await;
    standby.is_clean().await;
}

/// A failback that left out what the secondary had: nobody has ended its journal.
#[tokio::test]
async fn an_old_state_is_not_gone_on_from() {
    let standby = Standby::that_took_over().await;
    let path = standby.stage.path(Side::Primary);
    std::fs::remove_dir_all(&path).unwrap();
    let primary = standby.stage.start(Side::Primary, false).await;
    primary.repository("another").await;
    primary.snapshot().await;
    standby.fails("would go on from there").await;
    // In the disaster nobody knows who held the term.
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    let finding = standby.verified(Check::Clean).await;
    assert_eq!(finding.outcome, Outcome::Unknown, "{finding:?}");
}

/// A LogScale with Kafka: its bucket has snapshots and no journal of ours.
#[tokio::test]
async fn snapshots_without_a_journal_are_found() {
    let standby = Standby::of_a_failback().await;
    let own = standby.stage.path(Side::Secondary);
    std::fs::remove_file(own.join("cluster.json")).unwrap();
    std::fs::remove_dir_all(own.join("journal")).unwrap();
    standby.fails("would go on from there").await;
}

#[tokio::test]
async fn services_that_select_no_pods_are_found() {
    let standby = Standby::that_took_over().await;
    let pair = &standby.stage.pair;
    let selector = json!({ "humio.com/node-pool": "logscale-ui", "app.kubernetes.io/name": null });
    let patch = json!({ "spec": { "selector": selector } });
    let (kind, name) = (("v1", "Service"), pair.secondary.services.ui.clone());
    standby.cluster.patch(kind, &name, patch).await;
    assert_eq!(standby.kept().await, [Check::Services]);
    let finding = standby.verified(Check::Services).await;
    assert!(
        finding.sentence.contains("selects the pool logscale-ui"),
        "{finding:?}"
    );
    let (_, patch) = finding.next.split_once("-p ").unwrap();
    let patch = serde_json::from_str(patch.trim_matches('\'')).unwrap();
    standby.cluster.patch(kind, &name, patch).await;
    assert_eq!(standby.kept().await, []);
    assert_eq!(standby.verified(Check::Services).await.outcome, Outcome::Ok);
}
