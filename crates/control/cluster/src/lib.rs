//! What Backstay does to a region's Kubernetes cluster: it reads and scales the operator, keeps the
//! holdoff in an annotation, the run lock in a Lease and the log of a run in a ConfigMap, watches
//! pods and their logs and asks them over HTTP, changes what a HumioCluster declares and where
//! services send to, and clears away what would break new pods.
//!
//! A real cluster and one of the lab are driven by the same code, kube-rs.
//!
//! - [`Region`]: a connection; each of its calls is retried by the policy of [`backstay_retry`] to
//!   the caller's deadline, and says on a refusal which permission is missing;
//! - [`Expected`], [`Annotated`]: compare-and-set on an annotation, where a conflict is an answer;
//! - [`Record`]: what a run has to remember, in a ConfigMap that is changed by compare-and-set;
//! - [`Lock`], and under it [`election`]: one holder at a time, whatever the clocks say;
//!   [`Region::under`] lets nobody change anything who holds it no more, and was frozen meanwhile;
//! - [`loader`]: what the log lines of a recovery say, a pure function;
//! - [`stale`]: which TLS secrets would break new pods, a pure function.
//!
//! Values of secrets are in no log line, error or `Debug` output.

mod annotations;
mod change;
pub mod election;
mod error;
mod event;
mod holding;
mod humio;
mod kafka;
mod kafka_state;
mod lease;
pub mod loader;
mod lock;
mod log;
mod merge;
mod operator;
mod permission;
mod pod_http;
mod pod_tls;
mod pods;
mod records;
mod region;
mod resume;
mod review;
mod secrets;
mod services;
pub mod stale;

pub use annotations::WriteOutcome;
pub use error::ClusterError;
pub use event::{Note, Severity};
pub use humio::{HumioCluster, Pool, PoolState};
pub use kafka::Kafka;
pub use kafka_state::NodeClaim;
pub use lease::Holding;
pub use lock::{Lock, Standing};
pub use log::LogFollower;
pub use operator::{Annotated, Expected, Operator};
pub use permission::{Denied, Permission};
pub use pods::Pod;
pub use records::{Record, Recorded};
pub use region::{Access, Region};
pub use secrets::Secret;
pub use services::Service;
