//! Azure's resources, as both sides of its Resource Manager API name and read them: the client that
//! drives Azure, and the servers that stand in for it.
//!
//! [`ResourceId`] is any id; a [`ResourceName`] is what is left of one where the [`ResourceType`] is
//! known, and by which a provider keeps its resources. [`body`] is what the JSON of all resources has
//! in common, [`text`] how foreign text comes into a message.

pub mod body;
mod id;
mod name;
mod settings;
pub mod text;

pub use body::Invalid;
pub use id::{NotAnId, ResourceId};
pub use name::{ResourceName, ResourceType, Scope};
pub use settings::{MonitorLimits, Switch};
