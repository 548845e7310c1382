//! The lab's own processes: a region, and what runs in its pods. Their parent holds the other end
//! of their standard input; when that is gone, so are they.

use std::path::Path;

use backstay_ingress::IngressOptions;
use backstay_lab::cluster;
use backstay_lab::place::Place;
use backstay_lab::watchdog;
use backstay_operators::{humio, strimzi};
use tokio_util::sync::CancellationToken;

use crate::args::{LabPart, Operator};
use crate::{Exit, complain, exit_with_parent, stopped};

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
                Err(error) => return ended(Err(error.to_string())),
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
            ended(ran.map_err(|error| error.to_string()))
        }
        LabPart::Operator { which } => ended(operator(*which).await),
        LabPart::Ingress => ended(ingress().await),
        LabPart::Pause => {
            stopped().await;
            Exit::Done
        }
        LabPart::Watchdog { command } => {
            ended(watchdog::run(command).await.map_err(|it| it.to_string()))
        }
    }
}

fn ended(how: Result<(), String>) -> Exit {
    match how {
        Ok(()) => Exit::Done,
        Err(problem) => {
            complain(&problem);
            Exit::Failed
        }
    }
}

/// A client as the pod has it: by its `KUBECONFIG`.
async fn client() -> Result<kube::Client, String> {
    let path = variable("KUBECONFIG")?;
    cluster::client(Path::new(&path), None).await
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("{name} is not set; the pod's manifest sets it"))
}

async fn operator(which: Operator) -> Result<(), String> {
    let client = client().await?;
    let namespace = variable("WATCH_NAMESPACE")?;
    let stop = until_stopped();
    match which {
        Operator::Humio => humio::run(client, namespace, stop).await,
        Operator::Strimzi => strimzi::run(client, namespace, stop).await,
    }
    Ok(())
}

async fn ingress() -> Result<(), String> {
    let address = |name: &str, text: String| {
        let parsed = text.parse::<std::net::SocketAddr>();
        parsed.map_err(|error| format!("{name}: `{text}`: {error}"))
    };
    let optional = |name: &str| match std::env::var(name) {
        Ok(text) => address(name, text).map(Some),
        Err(_) => Ok(None),
    };
    let http = "BACKSTAY_INGRESS_HTTP";
    let options = IngressOptions {
        https: optional("BACKSTAY_INGRESS_HTTPS")?,
        health: optional("BACKSTAY_INGRESS_HEALTH")?,
        ..IngressOptions::new(address(http, variable(http)?)?)
    };
    backstay_ingress::run(options, client().await?, until_stopped())
        .await
        .map_err(|error| error.to_string())
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
