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
        /// The file or folder that could not be used.
        path: PathBuf,
        /// What the operating system answered.
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
        /// The second byte of the lab's addresses.
        block: u8,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// The description of the lab.
    #[error(
        "{path} is not a valid description of a lab: {problem}; remove the folder to begin a new one"
    )]
    Description {
        /// The file that could not be read.
        path: PathBuf,
        /// What is wrong, in words for the message.
        problem: String,
    },
    /// The pair's file is not valid.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// The lab's secrets could not be read or made.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A part that does not start.
    #[error("cannot start {part}: {source}")]
    Start {
        /// The part's name, as in its log's file name.
        part: &'static str,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// A part that does not come up.
    #[error(
        "{part} did not come up within {seconds} s ({problem}); its log {log} ends with:\n{tail}"
    )]
    NotUp {
        /// The part's name, as in its log's file name.
        part: String,
        /// How long it was waited for.
        seconds: u64,
        /// What the last attempt to reach it met.
        problem: String,
        /// The file of its output.
        log: PathBuf,
        /// The end of the log.
        tail: String,
    },
    /// A fault proxy could not listen.
    #[error("cannot listen on {address}: {source}")]
    FaultProxy {
        /// The address that could not be bound.
        address: std::net::SocketAddr,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// Azurite failed or refused.
    #[error(transparent)]
    Azurite(#[from] AzuriteError),
    /// The lab's Resource Manager failed or refused.
    #[error(transparent)]
    Arm(#[from] ArmError),
    /// No client of the ingresses.
    #[error("no HTTP client: {0}")]
    Http(#[source] reqwest::Error),
    /// The traffic manager's name server failed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A region's Kubernetes API failed or refused.
    #[error("the API of the {side} region: {source}")]
    Api {
        /// The side of the pair that the region is.
        side: Side,
        /// What the API answered, or why it could not be reached.
        #[source]
        source: Box<kube::Error>,
    },
    /// No client of a region's API.
    #[error("no client of the API of the {side} region: {source}")]
    Client {
        /// The side of the pair that the region is.
        side: Side,
        /// Why no client could be made of the kubeconfig.
        #[source]
        source: ConnectError,
    },
    /// A region that is waited for.
    #[error(
        "the {side} region was not ready within {seconds} s: it still waits for {missing}; logs are in {}",
        folder.display()
    )]
    NotReady {
        /// The side of the pair that the region is.
        side: Side,
        /// What it waits for.
        missing: String,
        /// How long it was waited for.
        seconds: u64,
        /// The folder with the region's logs.
        folder: PathBuf,
    },
    /// A disaster that cannot be.
    #[error(
        "{0}: this lab keeps its logs in folders, and there is no wire to a folder; install Azurite \
         (npm install -g azurite), and begin a new lab"
    )]
    NeedsAzurite(Disaster),
    /// A region's process could not be sent a signal.
    #[error("the process of the {side} region cannot be signalled: {source}")]
    Signal {
        /// The side of the pair that the region is.
        side: Side,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// The lab's control socket failed.
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
