//! Bodies of log shippers into events: one module a format, and nothing of HTTP but its types.
//!
//! [`IngestFormat::decode`] turns an unpacked body into the events that are stored and the answer
//! that its sender gets once they are. `batch` and `draft` decide for all formats what becomes of an
//! event that is not as it should be; [`parse`] turns a raw line into fields. What a decoder takes of
//! the process's memory it asks for first ([`Memory`]), so that a small body cannot become large.
//!
//! Who may send, how a body is read and unpacked, and the acknowledgement are the node's.

mod batch;
mod context;
mod draft;
mod elastic;
mod error;
mod format;
mod groups;
mod hec;
mod json;
mod otlp;
pub mod parse;
mod structured;
mod times;
mod unstructured;

pub use batch::Batch;
pub use context::{Context, Memory, Unbounded};
pub use elastic::ELASTIC_PRODUCT;
pub use error::{BodyError, NoMemory};
pub use format::IngestFormat;

#[cfg(test)]
mod tests;
