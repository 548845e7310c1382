//! The pair as the steps see it: each step's check and act.
//!
//! A check reads the world and changes nothing; an act may be repeated. What destroys looks once more
//! at what it must be sure of in the moment before.

mod claims;
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
use backstay_azure::Switch::{Disabled, Enabled};
use backstay_cluster::Region;
use backstay_global::recovery::outside::Counted;
use backstay_pair::{Derived, Dr, Pair, Side, derive};
use backstay_report::Cause;
use backstay_retry::{Deadline, WriteGuard};
use backstay_verify::{NoAccess, Options, Seen};
use backstay_watch::{Recoveries, World};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::engine::{Works, now_ms};
use crate::error::StepError;
use crate::record::Record;
use crate::step::{Answer, Step, StepId};

/// Longest wait for what a check or an act asks of one server.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// What a record of a partition holds, which only the node knows.
pub type Count = fn(&Bytes) -> Result<Counted, Cause>;

/// How long each part of the world is waited for by a rehearsal or a verification.
const REHEARSAL_TIMEOUT: Duration = Duration::from_secs(60);
/// Segments whose contents it reads.
const SAMPLED_SEGMENTS: usize = 20;

/// How thorough a rehearsal or a verification is.
fn thorough() -> Options {
    Options {
        deep: false,
        sample: SAMPLED_SEGMENTS,
        seed: now_ms(),
        strict: false,
        patience: REHEARSAL_TIMEOUT,
    }
}

/// The pair, and what is followed in it.
#[derive(Debug)]
pub struct Site {
    world: Arc<World>,
    guard: WriteGuard,
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
    /// The connected pair, what authorizes changes to it, and who knows what a journal's record holds.
    pub fn new(world: Arc<World>, guard: WriteGuard, count: Count) -> Self {
        let recoveries = world.primary().cloned().map(Recoveries::new);
        Self {
            secondary: world.standby().under(guard.clone()),
            primary: world.primary().map(|it| it.under(guard.clone())),
            azure: world.azure().under(guard.clone()),
            guard,
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
        Deadline::after(CALL_TIMEOUT)
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
    async fn may(&self) -> Result<(), StepError> {
        Ok(self.guard.check().await?)
    }

    /// A region's cluster.
    fn region(&self, side: Side) -> Result<&Region, NoAccess> {
        match side {
            Side::Secondary => Ok(&self.secondary),
            Side::Primary => self
                .primary
                .as_ref()
                .ok_or_else(|| NoAccess::NoContext(self.pair().primary.context.clone())),
        }
    }
}

impl Works for Site {
    async fn check(&self, step: &Step, record: &Record) -> Result<Answer, StepError> {
        match step.id {
            // Of a promotion.
            StepId::SecondaryServes => self.secondary_serves().await,
            StepId::EndpointKept => self.endpoint_is(Side::Secondary, Enabled).await,
            StepId::PrimaryDisabled => self.endpoint_is(Side::Primary, Disabled).await,
            StepId::SharedRouting => self.routes_to_any().await,
            StepId::OwnSnapshot => self.own_snapshot().await,
            StepId::RollingUpdates => self.rolls().await,
            StepId::Pools => self.has_pools().await,
            StepId::PoolsReady => self.pods_ready(false).await,
            StepId::Environment => self.has_environment().await,
            StepId::EnvironmentReady => self.pods_ready(true).await,
            StepId::Sizes => self.has_sizes().await,
            StepId::DedicatedRouting => self.routes_to_pools().await,
            StepId::Serves => self.serves(Side::Secondary).await,
            // Of a failback.
            StepId::FailedOver => self.is_failed_over().await,
            StepId::AlertOff => self.alert_is(false).await,
            StepId::AlertOn => self.alert_is(true).await,
            StepId::Paused => self.is_paused().await,
            StepId::Unpaused => self.is_unpaused().await,
            StepId::PrimaryReachable => self.is_reachable().await,
            StepId::PrimaryIngress => self.ingress_runs().await,
            StepId::PrimaryStopped => self.is_stopped(Side::Primary).await,
            StepId::PrimaryClaims => self.claims_gone(Side::Primary).await,
            StepId::ReverseEnvironment => self.is_reversed().await,
            StepId::SecondaryRehearsed => self.can_recover(Side::Primary, None).await,
            StepId::SecondarySnapshot => self.can_recover(Side::Primary, Some(record)).await,
            StepId::FlushOnShutdown => self.flushes(record).await,
            StepId::SecondaryStopped | StepId::SecondaryAsleep => {
                self.is_stopped(Side::Secondary).await
            }
            StepId::PrimarySnapshotsDeleted => self.without_snapshots(Side::Primary).await,
            StepId::PrimaryTopicReset => self.topic_reset(Side::Primary, record).await,
            StepId::LeftBehind => self.left_behind().await,
            StepId::TakenBack => self.is_taken_back().await,
            StepId::PrimaryStarted => self.operator_runs(Side::Primary).await,
            StepId::PrimaryRecovered => self.primary_recovered().await,
            StepId::FailoverClosed => self.is_closed().await,
            StepId::EndpointOn => self.endpoint_is(Side::Primary, Enabled).await,
            StepId::EndpointOnline => self.endpoint_online(Side::Primary).await,
            StepId::GlobalName => self.serves(Side::Primary).await,
            StepId::AlertsClosed => self.no_alerts().await,
            StepId::Quiet => self.is_quiet(record).await,
            // Of a clean-up.
            StepId::PrimaryHealthy => self.primary_healthy().await,
            StepId::PrimaryRehearsed => self.can_recover(Side::Secondary, None).await,
            StepId::SecondaryClaims => self.claims_gone(Side::Secondary).await,
            StepId::StrimziStopped => self.strimzi_is(false).await,
            StepId::KafkaGone => self.kafka_gone().await,
            StepId::KafkaStateDeleted => self.kafka_state_gone().await,
            StepId::StrimziStarted => self.strimzi_is(true).await,
            StepId::KafkaReady => self.kafka_ready().await,
            StepId::TopicReset => self.topic_reset(Side::Secondary, record).await,
            StepId::StandbyShape => self.is_a_standby().await,
            StepId::SnapshotsDeleted => self.without_snapshots(Side::Secondary).await,
            StepId::Verified => self.is_verified().await,
        }
    }

    async fn act(&self, step: &Step, record: &Record) -> Result<(), StepError> {
        match step.id {
            StepId::EndpointKept => self.set_endpoint(Side::Secondary, Enabled).await,
            StepId::PrimaryDisabled => self.set_endpoint(Side::Primary, Disabled).await,
            StepId::SharedRouting => self.select(&self.sharing()).await,
            StepId::RollingUpdates => self.roll().await,
            StepId::Pools => self.grow().await,
            StepId::Environment => self.tell_environment().await,
            StepId::Sizes => self.resize().await,
            StepId::DedicatedRouting => self.route_to_pools().await,
            StepId::AlertOff => self.set_alert(false).await,
            StepId::AlertOn => self.set_alert(true).await,
            StepId::Paused => self.pause(record).await,
            StepId::Unpaused => self.unpause().await,
            StepId::PrimaryIngress => self.start_ingress().await,
            StepId::PrimaryStopped => self.stop(Side::Primary).await,
            StepId::PrimaryClaims => self.delete_claims(Side::Primary).await,
            StepId::ReverseEnvironment => self.reverse().await,
            StepId::FlushOnShutdown => self.set_flush().await,
            StepId::SecondaryStopped | StepId::SecondaryAsleep => self.stop(Side::Secondary).await,
            StepId::PrimarySnapshotsDeleted => self.delete_primarys_snapshots(record).await,
            StepId::TakenBack => self.take_back().await,
            StepId::PrimaryStarted => self.start_operator(Side::Primary).await,
            StepId::FailoverClosed => self.close().await,
            StepId::EndpointOn => self.open_primary().await,
            StepId::AlertsClosed => self.close_alerts().await,
            StepId::SecondaryClaims => self.delete_claims(Side::Secondary).await,
            StepId::StrimziStopped => self.scale_strimzi(0).await,
            StepId::KafkaGone => self.delete_kafka_pods().await,
            StepId::KafkaStateDeleted => self.delete_kafka_state().await,
            StepId::StrimziStarted => self.scale_strimzi(1).await,
            StepId::StandbyShape => self.make_a_standby().await,
            StepId::SnapshotsDeleted => self.delete_secondarys_snapshots().await,
            // These only look and wait.
            StepId::SecondaryServes
            | StepId::OwnSnapshot
            | StepId::PoolsReady
            | StepId::EnvironmentReady
            | StepId::Serves
            | StepId::FailedOver
            | StepId::PrimaryReachable
            | StepId::SecondaryRehearsed
            | StepId::SecondarySnapshot
            | StepId::PrimaryTopicReset
            | StepId::LeftBehind
            | StepId::PrimaryRecovered
            | StepId::EndpointOnline
            | StepId::GlobalName
            | StepId::Quiet
            | StepId::PrimaryHealthy
            | StepId::PrimaryRehearsed
            | StepId::KafkaReady
            | StepId::TopicReset
            | StepId::Verified => Ok(()),
        }
    }
}
