//! The lab's own processes: a region, and what runs in its pods. Their parent holds the other end
//! of their standard input; when that is gone, so are they.

use std::path::Path;

use backstay_ingress::{IngressError, IngressOptions};
use backstay_lab::cluster;
use backstay_lab::place::Place;
use backstay_lab::watchdog;
use backstay_operators::{humio, strimzi};
use tokio_util::sync::CancellationToken;

use crate::args::{LabPart, Operator};
use crate::{Exit, exit_with_parent, print_error, stopped};

/// Runs a part until it is told to stop.
pub async fn run(folder: &Path, part: &LabPart) -> Exit {
    // What a watchdog runs has to end before it does.
    if !matches!(part, LabPart::Watchdog { .. }) {
        exit_with_parent();
    }
    match part {
        LabPart::Region {
            side,
            block,
            name,
            node,
        } => {
            let place = Place {
                folder: folder.to_owned(),
                block: *block,
            };
            let program = match std::env::current_exe() {
                Ok(program) => program,
                Err(error) => return ended(Err(error)),
            };
            let ran = cluster::run(
                &place,
                *side,
                name.clone(),
                &program,
                node.as_deref(),
                stopped(),
            )
            .await;
            ended(ran)
        }
        LabPart::Operator { which, hurry } => ended(operator(*which, *hurry).await),
        LabPart::Ingress => ended(ingress().await),
        LabPart::Pause => {
            stopped().await;
            Exit::Done
        }
        LabPart::Watchdog { command } => ended(watchdog::run(command).await),
    }
}

/// Why a part could not begin, or has ended.
#[derive(Debug, thiserror::Error)]
enum PartError {
    #[error("{0} is not set; the pod's manifest sets it")]
    Unset(&'static str),
    #[error("{name}: `{text}`: {source}")]
    Address {
        name: &'static str,
        text: String,
        #[source]
        source: std::net::AddrParseError,
    },
    #[error(transparent)]
    Connect(#[from] cluster::ConnectError),
    #[error(transparent)]
    Ingress(#[from] IngressError),
}

fn ended<E: std::error::Error>(how: Result<(), E>) -> Exit {
    match how {
        Ok(()) => Exit::Done,
        Err(problem) => {
            print_error(&problem.to_string());
            Exit::Failed
        }
    }
}

/// A client as the pod has it: by its `KUBECONFIG`.
async fn client() -> Result<kube::Client, PartError> {
    let path = variable("KUBECONFIG")?;
    Ok(cluster::client(Path::new(&path), None).await?)
}

fn variable(name: &'static str) -> Result<String, PartError> {
    std::env::var(name).map_err(|_| PartError::Unset(name))
}

async fn operator(which: Operator, hurry: u32) -> Result<(), PartError> {
    let client = client().await?;
    let namespace = variable("WATCH_NAMESPACE")?;
    let stop = until_stopped();
    match which {
        Operator::Humio => humio::run_hurried(client, namespace, hurry, stop).await,
        Operator::Strimzi => strimzi::run(client, namespace, stop).await,
    }
    Ok(())
}

async fn ingress() -> Result<(), PartError> {
    let address = |name: &'static str, text: String| {
        let parsed = text.parse::<std::net::SocketAddr>();
        parsed.map_err(|source| PartError::Address { name, text, source })
    };
    let optional = |name: &'static str| match std::env::var(name) {
        Ok(text) => address(name, text).map(Some),
        Err(_) => Ok(None),
    };
    let http = "BACKSTAY_INGRESS_HTTP";
    let options = IngressOptions {
        https: optional("BACKSTAY_INGRESS_HTTPS")?,
        health: optional("BACKSTAY_INGRESS_HEALTH")?,
        ..IngressOptions::new(address(http, variable(http)?)?)
    };
    Ok(backstay_ingress::run(options, client().await?, until_stopped()).await?)
}

fn until_stopped() -> CancellationToken {
    let token = CancellationToken::new();
    let told = token.clone();
    tokio::spawn(async move {
        stopped().await;
        told.cancel();
    });
    token
}
