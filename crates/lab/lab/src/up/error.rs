//! Why a lab does not do what it should.

use std::io;
use std::path::PathBuf;

use backstay_names::NameError;
use backstay_pair::{PairError, Side};

use super::arm::ArmError;
use super::disaster::Disaster;
use super::keys::KeysError;
use crate::cluster::ConnectError;
use crate::control::ControlError;
use crate::region::AzuriteError;

/// Why a lab does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder's name.
    #[error(
        "{} cannot be a lab's folder: its path may have letters, digits and / . _ - only, because \
         it stands for the mount paths of pods; give another with --dir", .0.display()
    )]
    Folder(PathBuf),
    /// Another lab runs there.
    #[error("a lab runs in {} already; see `backstay lab status`, or end it with `backstay lab down`", .0.display())]
    Runs(PathBuf),
    /// Another lab, or another program, has the addresses.
    #[error(
        "the addresses 127.{block}.0.0/16 are in use or not there: {source}; choose others with --net"
    )]
    Block {
        /// The block.
        block: u8,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The description of the lab.
    #[error("{path} describes no lab: {problem}; remove the folder to begin a new one")]
    Description {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The pair's file.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// Its secrets.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A part that does not start.
    #[error("cannot start {part}: {source}")]
    Start {
        /// Which.
        part: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A part that does not come up.
    #[error(
        "{part} did not come up within {seconds} s ({problem}); its log {log} ends with:\n{tail}"
    )]
    NotUp {
        /// Which.
        part: String,
        /// How long it was waited for.
        seconds: u64,
        /// What is known.
        problem: String,
        /// Its log.
        log: PathBuf,
        /// The end of the log.
        tail: String,
    },
    /// A gate.
    #[error("cannot listen on {address}: {source}")]
    Gate {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Azurite.
    #[error(transparent)]
    Azurite(#[from] AzuriteError),
    /// The Resource Manager.
    #[error(transparent)]
    Arm(#[from] ArmError),
    /// No client of the ingresses.
    #[error("no HTTP client: {0}")]
    Http(#[source] reqwest::Error),
    /// DNS.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A region's API.
    #[error("the API of the {side} region: {source}")]
    Api {
        /// Which region.
        side: Side,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// No client of a region's API.
    #[error("no client of the API of the {side} region: {source}")]
    Client {
        /// Which region.
        side: Side,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// A region that is waited for.
    #[error(
        "the {side} region was not ready within {seconds} s: it still waits for {missing}; logs are in {}",
        folder.display()
    )]
    NotReady {
        /// Which region.
        side: Side,
        /// What it waits for.
        missing: String,
        /// How long it was waited for.
        seconds: u64,
        /// Its folder.
        folder: PathBuf,
    },
    /// A disaster that cannot be.
    #[error(
        "{0}: this lab keeps its logs in folders, and there is no wire to a folder; install Azurite \
         (npm install -g azurite), and begin a new lab"
    )]
    NeedsAzurite(Disaster),
    /// A signal.
    #[error("the process of the {side} region cannot be signalled: {source}")]
    Signal {
        /// Which region.
        side: Side,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A socket.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl LabError {
    pub(crate) fn api(side: Side, source: kube::Error) -> Self {
        Self::Api {
            side,
            source: Box::new(source),
        }
    }
}
