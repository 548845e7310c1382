//! Segments, the query language and its execution.
//!
//! A *segment* is an immutable Parquet file with the events of one stretch of time
//! ([`segment`]). A *query* ([`Query`]) is text in the part of LogScale's language that this crate
//! knows. An [`Execution`] runs a query over segments, read by ranges through [`SegmentSource`],
//! and over events that are in no segment yet.
//!
//! The executor is a thin one of our own over `parquet` and `arrow`, not DataFusion: the language
//! is a pipe of filters and a handful of aggregates, so there is nothing for an optimiser to do;
//! what decides the speed is which row groups are never read, and that is decided by a filter over
//! the raw text that Parquet does not define. DataFusion 55 would also pin `object_store` 0.13,
//! which cannot flush the folder bucket to disk, and costs minutes of every build.
//!
//! This crate knows no bucket: range reads come through a trait, so that it can be tested, and
//! used, over any bytes.

pub mod cache;
mod context;
mod error;
mod event;
mod execute;
mod filter;
mod gram;
mod live;
mod memory;
mod query;
mod range;
mod repository;
pub mod segment;
mod source;
mod work;

pub use error::SearchError;
pub use event::Event;
pub use execute::{Execution, Limits, Progress, QueryResult, Row, Stats};
pub use live::LiveEvents;
pub use memory::{AnswerMemory, MemoryPermit, MemoryPool, Resources, Unbounded, allocated};
pub use query::{ParseError, Query};
pub use range::{RangeError, TimeRange};
pub use repository::{REPOSITORY, live_of, segment_of};
pub use source::{MemorySource, SegmentSource, SourceError};
