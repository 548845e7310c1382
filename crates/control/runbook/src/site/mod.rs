//! The pair as the steps see it: each step's check and act.
//!
//! A check reads the world and changes nothing; an act may be repeated. What destroys looks once more
//! at what it must be sure of in the moment before.

mod clean;
mod failback;
mod marks;
mod promote;
mod region;
mod snapshots;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use backstay_azure::Client;
use backstay_azure::EndpointStatus::{Disabled, Enabled};
use backstay_cluster::Region;
use backstay_global::recovery::outside::Counted;
use backstay_pair::{Derived, Dr, Pair, Side, derive};
use backstay_retry::{Deadline, Warrant};
use backstay_verify::{Options, Seen};
use backstay_watch::{Recoveries, World};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::engine::{Works, now_ms};
use crate::record::Record;
use crate::step::{Answer, Step};

/// Longest wait for what a check or an act asks of one server.
const CALL: Duration = Duration::from_secs(20);

/// What a record of a partition holds, which only the node knows.
pub type Count = fn(&Bytes) -> Result<Counted, String>;

/// How long each part of the world is waited for by a rehearsal or a verification.
const PATIENCE: Duration = Duration::from_secs(60);
/// Segments whose contents it reads.
const SAMPLE: usize = 20;

/// How thorough a rehearsal or a verification is.
fn thorough() -> Options {
    Options {
        deep: false,
        sample: SAMPLE,
        seed: now_ms(),
        strict: false,
        patience: PATIENCE,
    }
}

/// The pair, and what is followed in it.
#[derive(Debug)]
pub struct Site {
    world: Arc<World>,
    warrant: Warrant,
    secondary: Region,
    primary: Option<Region>,
    azure: Client,
    count: Count,
    /// What the last rehearsal has seen.
    seen: Mutex<Option<Seen>>,
    /// The logs of the primary's pods, while it recovers.
    recoveries: Option<Recoveries>,
}

impl Site {
    /// The connected pair, by whose leave it is changed, and who knows what a journal's record holds.
    pub fn new(world: Arc<World>, warrant: Warrant, count: Count) -> Self {
        let recoveries = world.primary().cloned().map(Recoveries::new);
        Self {
            secondary: world.standby().under(warrant.clone()),
            primary: world.primary().map(|it| it.under(warrant.clone())),
            azure: world.azure().under(warrant.clone()),
            warrant,
            world,
            count,
            seen: Mutex::default(),
            recoveries,
        }
    }

    fn pair(&self) -> &Pair {
        self.world.pair()
    }

    fn soon() -> Deadline {
        Deadline::after(CALL)
    }

    /// The secondary as an active region that has recovered.
    fn promoted(&self) -> Derived {
        derive(self.pair(), Side::Secondary, Dr::Active, true).keep_recovery(self.pair())
    }

    /// The same while its pods are replaced: any of them may be asked anything.
    fn sharing(&self) -> Derived {
        derive(self.pair(), Side::Secondary, Dr::Active, false)
    }

    /// The secondary as a standby.
    fn standby(&self) -> Derived {
        derive(self.pair(), Side::Secondary, Dr::Standby, false)
    }

    /// Asked where no client of ours asks by itself: in front of a change in a bucket.
    async fn may(&self) -> Result<(), String> {
        self.warrant.ask().await.map_err(told)
    }

    /// A region's cluster.
    fn region(&self, side: Side) -> Result<&Region, String> {
        match side {
            Side::Secondary => Ok(&self.secondary),
            Side::Primary => self.primary.as_ref().ok_or_else(|| {
                let context = &self.pair().primary.context;
                format!("the kubeconfig has no context {context}")
            }),
        }
    }
}

/// An error for people.
fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What could not be asked is not known.
fn known(answer: Result<Answer, String>) -> Answer {
    answer.unwrap_or_else(Answer::Unknown)
}

impl Works for Site {
    async fn check(&self, step: &Step, record: &Record) -> Answer {
        known(match step.id {
            // Of a promotion.
            "secondary-serves" => self.secondary_serves().await,
            "endpoint-kept" => self.endpoint_is(Side::Secondary, Enabled).await,
            "primary-disabled" => self.endpoint_is(Side::Primary, Disabled).await,
            "shared-routing" => self.routes_to_any().await,
            "rolling-updates" => self.rolls().await,
            "pools" => self.has_pools().await,
            "pools-ready" => self.pods_ready(false).await,
            "environment" => self.has_environment().await,
            "environment-ready" => self.pods_ready(true).await,
            "sizes" => self.has_sizes().await,
            "dedicated-routing" => self.routes_to_pools().await,
            "serves" => self.serves(Side::Secondary).await,
            // Of a failback.
            "failed-over" => self.is_failed_over().await,
            "alert-off" => self.alert_is(false).await,
            "alert-on" => self.alert_is(true).await,
            "paused" => self.is_paused().await,
            "unpaused" => self.is_unpaused().await,
            "primary-reachable" => self.is_reachable().await,
            "primary-ingress" => self.ingress_runs().await,
            "primary-stopped" => self.is_stopped(Side::Primary).await,
            "reverse-environment" => self.is_reversed().await,
            "secondary-rehearsed" => self.can_recover(Side::Primary, None).await,
            "secondary-snapshot" => self.can_recover(Side::Primary, Some(record)).await,
            "flush-on-shutdown" => self.flushes(record).await,
            "secondary-stopped" | "secondary-asleep" => self.is_stopped(Side::Secondary).await,
            "primary-snapshots-deleted" => self.without_snapshots(Side::Primary).await,
            "primary-topic-reset" => self.topic_reset(Side::Primary, record).await,
            "left-behind" => self.left_behind().await,
            "taken-back" => self.is_taken_back().await,
            "primary-started" => self.operator_runs(Side::Primary).await,
            "primary-recovered" => self.primary_recovered().await,
            "failover-closed" => self.is_closed().await,
            "endpoint-on" => self.endpoint_is(Side::Primary, Enabled).await,
            "endpoint-online" => self.endpoint_online(Side::Primary).await,
            "global-name" => self.serves(Side::Primary).await,
            "alerts-closed" => self.no_alerts().await,
            "quiet" => self.is_quiet(record).await,
            // Of a clean-up.
            "primary-healthy" => self.primary_healthy().await,
            "primary-rehearsed" => self.can_recover(Side::Secondary, None).await,
            "strimzi-stopped" => self.strimzi_is(false).await,
            "kafka-gone" => self.kafka_gone().await,
            "kafka-state-deleted" => self.kafka_state_gone().await,
            "strimzi-started" => self.strimzi_is(true).await,
            "kafka-ready" => self.kafka_ready().await,
            "topic-reset" => self.topic_reset(Side::Secondary, record).await,
            "standby-shape" => self.is_a_standby().await,
            "snapshots-deleted" => self.without_snapshots(Side::Secondary).await,
            "verified" => self.is_verified().await,
            other => Err(format!("nobody knows how to look at {other}")),
        })
    }

    async fn act(&self, step: &Step, record: &Record) -> Result<(), String> {
        match step.id {
            "endpoint-kept" => self.set_endpoint(Side::Secondary, Enabled).await,
            "primary-disabled" => self.set_endpoint(Side::Primary, Disabled).await,
            "shared-routing" => self.select(&self.sharing()).await,
            "rolling-updates" => self.roll().await,
            "pools" => self.grow().await,
            "environment" => self.tell_environment().await,
            "sizes" => self.resize().await,
            "dedicated-routing" => self.route_to_pools().await,
            "alert-off" => self.set_alert(false).await,
            "alert-on" => self.set_alert(true).await,
            "paused" => self.pause(record).await,
            "unpaused" => self.unpause().await,
            "primary-ingress" => self.start_ingress().await,
            "primary-stopped" => self.stop(Side::Primary).await,
            "reverse-environment" => self.reverse().await,
            "flush-on-shutdown" => self.set_flush().await,
            "secondary-stopped" | "secondary-asleep" => self.stop(Side::Secondary).await,
            "primary-snapshots-deleted" => self.delete_primarys_snapshots(record).await,
            "taken-back" => self.take_back().await,
            "primary-started" => self.start_operator(Side::Primary).await,
            "failover-closed" => self.close().await,
            "endpoint-on" => self.open_primary().await,
            "alerts-closed" => self.close_alerts().await,
            "strimzi-stopped" => self.scale_strimzi(0).await,
            "kafka-gone" => self.delete_kafka_pods().await,
            "kafka-state-deleted" => self.delete_kafka_state().await,
            "strimzi-started" => self.scale_strimzi(1).await,
            "standby-shape" => self.make_a_standby().await,
            "snapshots-deleted" => self.delete_secondarys_snapshots().await,
            // All others only wait.
            _ => Ok(()),
        }
    }
}
