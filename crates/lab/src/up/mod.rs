//! x
pub mod part;
