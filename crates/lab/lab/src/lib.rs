//! Two regions on one machine, and the drill that kills one of them.
//!
//! A claim such as "nothing acknowledged is lost" is worth what its proof is worth. The lab proves
//! it from outside: the nodes are real child processes that are killed with SIGKILL, and
//! everything that is known about them comes over HTTP or out of their buckets. Nothing here
//! looks into a node.
//!
//! - [`up`]: a lab that runs: the supervisor, what it provisions, disasters, status;
//! - [`cluster`]: the process of one region; [`fault_proxy`]: the wires, which can be cut;
//!   [`place`]: its addresses and folders; [`control`]: commands to one that runs;
//! - [`child`], [`watchdog`]: processes that never outlive their parent;
//! - [`client`]: the few calls of a node's HTTP API that a client of it makes;
//! - [`workload`]: log lines with identities, the senders that retry them, the ledger of what was
//!   acknowledged, and the verdict;
//! - [`drill`]: the play, its report and its pictures;
//! - [`supervisor`], [`region`]: single nodes and their buckets without a region around them, for
//!   the tests that kill nodes.
//!
//! The fault tests of the binary are made of the same parts.

pub mod child;
pub mod client;
pub mod cluster;
pub mod control;
pub mod drill;
pub mod fault_proxy;
pub mod place;
pub mod region;
pub mod supervisor;
pub mod up;
pub mod watchdog;
pub mod workload;
