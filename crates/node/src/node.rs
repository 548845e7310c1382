//! The listener and the engine as one process.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use crate::config::NodeConfig;
use crate::engine::{Engine, EngineError};

/// A running node.
pub struct Node {
    engine: Engine,
    address: SocketAddr,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// Why a node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The port cannot be had.
    #[error("cannot listen on {address}: {source}; is another process there? (PORT, BACKSTAY_BIND)")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The listener broke.
    #[error("the HTTP server ended: {0}")]
    Serve(#[source] std::io::Error),
    /// The engine could not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Node {
    /// Listens, and begins to load the state. Returns as soon as it listens.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        todo!()
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where it listens (of interest when the port was given as 0).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until SIGTERM or SIGINT, drains, and ends.
    ///
    /// # Errors
    /// When the engine cannot start or the listener breaks.
    pub async fn run_until_signal(self) -> Result<(), NodeError> {
        todo!()
    }
}
