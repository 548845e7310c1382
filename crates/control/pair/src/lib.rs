//! The file that describes a pair of regions, and all that follows from it.
//!
//! In a disaster nobody should have to think about which variable points where: the environment of
//! each region, what it recovers from, the way back, secrets, selectors and manifests are *derived*
//! from one file, `backstay.toml`, by pure functions. `deploy/terraform` derives the same values
//! in HCL; a test holds both together.
//!
//! - [`Pair::read`] reads the file: strictly, with every problem at once, each with its line;
//!   variables of the environment may override single keys.
//! - [`derive()`] says what a region is told in its role; [`derive_file`] is both in one call.
//! - [`manifests`] turns that into Kubernetes' documents, [`traffic_manager_profile`] into Azure's.
//! - [`reverse_recovery`] and [`merge_environment`] are what a failback does to the primary.
//!
//! Secrets are never in the file, only their names; so nothing here can print one.

mod azure;
mod derive;
mod document;
mod environment;
mod error;
mod manifests;
mod names;
mod pair;
mod reader;
mod role;
mod terraform;

pub use azure::traffic_manager_profile;
pub use derive::{
    Derived, Endpoint, NeededSecret, NodePool, Selectors, Timing, derive, derive_file,
    reverse_recovery,
};
pub use environment::{EnvSource, EnvVar, merge_environment};
pub use error::{Origin, PairError, Problem};
pub use manifests::{
    HTTP, HUMIO_OPERATOR, INGRESS_CONTROLLER, Manifest, STRIMZI_OPERATOR, manifests,
};
pub use pair::{
    BucketLocation, EncryptionKey, EnvironmentField, Failover, IngressAddress, MonitorLimits,
    NodeLabel, Pair, PoolPlace, Pools, Protocol, Region, SecretKey, Services, Sizes, Storage,
    StorageKey, TrafficManager,
};
pub use reader::OVERRIDE_PREFIX;
pub use role::{Dr, NotARole, Side};
