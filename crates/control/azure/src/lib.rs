//! What Backstay asks of Azure's Resource Manager: the Traffic Manager's endpoints, the alert that
//! wakes a failover, the alerts that have fired, the keys of a storage account.
//!
//! The real Azure and `backstay traffic` are asked by the same code; only the endpoint and the
//! source of the token differ.
//!
//! - [`Identity`]: a token, from where `DefaultAzureCredential` would take it;
//! - [`Client`]: one call, with the policy of [`backstay_retry`], to the caller's deadline;
//! - [`Endpoint`], [`Profile`], [`MetricAlert`], [`FiredAlert`], [`AccountKey`]: what is read, and
//!   the calls of [`Client`] that read and change it;
//! - [`Tenant`]: for whoever is shown tokens instead: who issues them, and the keys that sign them;
//! - [`AzureError`]: what went wrong with which resource, and for a refusal which permission is
//!   missing and what to type.
//!
//! No token, key or client secret is in a log line, an error or `Debug` output, nor on a command
//! line; no redirect is followed, and no token is sent in the clear off this machine.
//!
//! # Why the identities are our own code
//! `azure_identity` 1.0 has no `DefaultAzureCredential` any more (it left the Rust SDK in 0.23),
//! nor an environment credential: the chain would be ours in any case. What is left are three
//! requests of a few lines, for which it brings `azure_core`, `typespec` with a second retry
//! policy without our deadline, and by default a second cryptography library (`aws-lc`).
//!
//! # Trust
//! Certificates are judged by the system's roots, or by those that `SSL_CERT_FILE` names (a lab's).

mod alerts;
mod client;
mod cloud;
mod environment;
mod error;
mod forbidden;
mod http;
mod identity;
mod notifications;
mod storage;
mod tenant;
mod traffic_manager;

pub use alerts::{AlertState, FiredAlert, MetricAlert, MonitorCondition};
pub use backstay_resource::{NotAnId, ResourceId, Switch};
pub use client::Client;
pub use cloud::{Cloud, CloudError};
pub use environment::Environment;
pub use error::{AzureError, SetUpError};
pub use forbidden::Denied;
pub use identity::{Identity, IdentityError, SourceName};
pub use notifications::{ActionGroup, ReceiverStatus, TestNotification, TestStatus};
pub use storage::AccountKey;
pub use tenant::{SigningKey, Tenant, TenantError};
pub use traffic_manager::{ETag, Endpoint, Profile, ReportedMonitor, ReportedMonitorStatus};
