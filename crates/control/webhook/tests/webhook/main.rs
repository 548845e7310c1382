//! The webhook as the world sees it: real sockets, a real `curl`, real tokens, the real traffic
//! manager, and everybody who should not be there.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod curl;
mod entra;
mod functions;
mod logs;
mod rig;
mod secret;
mod slow;
mod tokens;
mod traffic;
