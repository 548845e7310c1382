//! Encrypted object storage: Azure Blob, S3, Google Cloud Storage, or a folder.
//!
//! Everything that must survive a region is kept in a bucket, so this crate decides what "kept"
//! means:
//!
//! - **Nothing is stored in the clear and nothing altered is read back.** Each object is
//!   AES-256-GCM in authenticated chunks, bound to its own name; see the module `seal` for the format. A
//!   wrong key, a flipped bit, a truncated or swapped object is an error that names the object,
//!   never a part of its content.
//! - **Put-if-absent is real.** The journal's protocol stands on it; [`Bucket::open`] tries it and
//!   refuses a store that only pretends.
//! - **Every call ends.** Calls are repeated with backoff and jitter until the deadline of
//!   [`BucketConfig::deadline`]; then they fail with [`Error::Unreachable`].
//!
//! Keys are relative to the object key prefix, which is put in front of them as it is: with the
//! prefix `z072ef-drpri/`, the key `globalsnapshots/x` is the object `z072ef-drpri/globalsnapshots/x`.
//!
//! # Example
//! ```
//! use backstay_bucket::{Bucket, BucketConfig, Created, Role, Secret};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let config = BucketConfig::local(folder.path(), Secret::new("a generated secret"), Role::Own);
//! let bucket = Bucket::open(config).await?;
//! assert_eq!(bucket.put_if_absent("slot", "first".into()).await?, Created::New);
//! assert_ne!(bucket.put_if_absent("slot", "second".into()).await?, Created::New);
//! assert_eq!(bucket.get("slot").await?, "first");
//! # Ok(())
//! # }
//! ```

mod bucket;
mod config;
mod error;
mod fault;
mod retry;
mod seal;
mod secret;
mod store;
mod writer;

pub use bucket::{Bucket, Created, ObjectInfo};
pub use config::{BucketConfig, GcpCredentials, Provider, Role, S3Credentials};
pub use error::{Error, Result, Source};
pub use secret::Secret;
pub use writer::ObjectWriter;
