//! A lab that runs: its parts, its gates, and what is done to them.

pub mod arm;
pub mod describe;
pub mod disaster;
pub mod keys;
pub mod part;
pub mod store;
