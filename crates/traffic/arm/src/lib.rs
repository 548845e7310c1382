//! Azure's Resource Manager API without any resources of its own: who may ask, which resource
//! provider answers, in which versions, and the form of answers, errors and ETags.
//!
//! Each [`Provider`] has the types of one or more namespaces. A server is an [`Api`] of those that
//! belong to it, so that what it offers is what it was put together from.
//!
//! Sources: <https://learn.microsoft.com/rest/api/azure/#components-of-a-rest-api-requestresponse> and
//! <https://github.com/microsoft/api-guidelines/blob/vNext/azure/Guidelines.md> (errors, ETags).

mod address;
mod api;
mod error;
mod etag;
mod frame;
mod metrics;
mod provider;
mod query;

pub use address::Address;
pub use api::Api;
pub use error::ArmError;
pub use etag::Conditions;
pub use frame::{Done, Resource, Wanted, body, not_found, on};
pub use metrics::Metrics;
pub use provider::{Call, Provider, Served, only};
pub use query::Query;

#[cfg(test)]
mod tests;
