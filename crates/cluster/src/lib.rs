//! What Backstay does to a region's Kubernetes cluster: it reads and scales the operator, keeps the
//! holdoff in an annotation and the run lock in a Lease, watches pods and their logs, and clears
//! away what would break new pods.
//!
//! A real cluster and one of the lab are driven by the same code, kube-rs.
//!
//! - [`Region`]: a connection; each of its calls is retried by the policy of [`backstay_retry`] to
//!   the caller's deadline, and says on a refusal which permission is missing;
//! - [`Expected`], [`Annotated`]: compare-and-set on an annotation, where a conflict is an answer;
//! - [`Lock`], and under it [`election`]: one holder at a time, whatever the clocks say;
//! - [`loader`]: what the log lines of a recovery say, a pure function;
//! - [`stale`]: which TLS secrets would break new pods, a pure function.
//!
//! Values of secrets are in no log line, error or `Debug` output.

mod annotations;
pub mod election;
mod error;
mod event;
mod humio;
mod kafka;
mod lease;
pub mod loader;
mod lock;
mod log;
mod operator;
mod permission;
mod pods;
mod region;
mod resume;
mod review;
mod secrets;
mod services;
pub mod stale;

pub use annotations::Outcome;
pub use error::ClusterError;
pub use event::{Note, Severity};
pub use humio::{HumioCluster, Pool};
pub use kafka::Kafka;
pub use lease::Holding;
pub use lock::{Lock, Standing};
pub use log::LogFollower;
pub use operator::{Annotated, Expected, Operator};
pub use permission::{Denied, Permission};
pub use pods::Pod;
pub use region::{Access, Region};
pub use secrets::Secret;
pub use services::Service;
