//! Resource providers of Azure behind which no server of ours stands: in Azure, accounts belong to
//! the cloud, and the lab says here what it has instead of them.

mod accounts;
mod provider;

pub use accounts::StorageError;
pub use provider::{Place, StorageApi};

pub(crate) use provider::STORAGE_ACCOUNT;
