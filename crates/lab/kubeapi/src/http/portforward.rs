//! `port-forward`: SPDY streams inside a WebSocket, as `kubectl` does it since 1.31
//! (<https://kep.k8s.io/4006>), or on the connection itself, as it did before. For each connection the client opens two streams with one request
//! id: one for errors, one for the bytes. Or without SPDY, by [`channels`].

mod channels;

use std::collections::HashMap;

use axum::extract::ws::{Message, WebSocket};
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::Api;
use super::exec::upgrade;
use super::pod::any_container;
use super::read::existing;
use super::request::{Call, Target};
use super::spdy::{Incoming, Session, Stream, Upgrade};
use crate::runtime::{PodName, RuntimeError};
use crate::status::{ApiError, ApiResult};

const PROTOCOL: &str = "portforward.k8s.io";
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const BUFFER_BYTES: usize = 64 << 10;
/// Half-open pairs of streams that wait for their other half.
const MAX_HALVES: usize = 256;

pub(super) async fn portforward(
    api: &Api,
    call: &Call,
    target: &Target,
    mut parts: Parts,
) -> ApiResult<Response> {
    let pod = existing(api, target)?;
    let container = any_container(&pod)?;
    if let Some(spdy) = Upgrade::of(&mut parts, &[PROTOCOL])? {
        let forwards = api.clone();
        let run = move |session| serve(forwards, container, session);
        return Ok(spdy.serve(api.stopping.clone(), run));
    }
    let upgrade = upgrade(&mut parts).await?.protocols([TUNNEL, channels::V4]);
    let api = api.clone();
    match upgrade.selected_protocol().map(|it| it.as_bytes()) {
        Some(chosen) if chosen == channels::V4.as_bytes() => {
            let ports = channels::ports(&call.parameters("ports"))?;
            return Ok(upgrade.on_upgrade(move |socket| async move {
                let stopping = api.stopping.clone();
                let run = channels::run(api, container, ports, socket);
                stopping.run_until_cancelled(run).await;
            }));
        }
        Some(_) => {}
        None => {
            return Err(ApiError::bad_request(format!(
                "unable to upgrade: the protocols served are {TUNNEL} and {}",
                channels::V4
            )));
        }
    }
    Ok(upgrade.on_upgrade(move |socket| async move {
        let stopping = api.stopping.clone();
        let (ours, theirs) = duplex(BUFFER_BYTES);
        let tunnel = tunnel(socket, theirs);
        let serve = serve(api, container, Session::start(ours));
        let both = async {
            tokio::select! {
                () = tunnel => {}
                () = serve => {}
            }
        };
        stopping.run_until_cancelled(both).await;
    }))
}

/// Carries bytes between the WebSocket and the SPDY session.
async fn tunnel(socket: WebSocket, stream: DuplexStream) {
    let (mut sink, mut source) = socket.split();
    let (mut read, mut write) = tokio::io::split(stream);
    let inwards = async {
        while let Some(Ok(message)) = source.next().await {
            if let Message::Binary(bytes) = message
                && write.write_all(&bytes).await.is_err()
            {
                return;
            }
        }
    };
    let outwards = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match read.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                    if sink.send(Message::Binary(bytes)).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = inwards => {}
        () = outwards => {}
    }
}

#[derive(Default)]
struct Halves {
    error: Option<Stream>,
    data: Option<Stream>,
}

async fn serve(api: Api, pod: PodName, mut session: Session) {
    let mut waiting: HashMap<String, Halves> = HashMap::new();
    // What is forwarded ends with the session.
    let mut forwarding = tokio::task::JoinSet::new();
    while let Some(Incoming { headers, stream }) = session.accept().await {
        let header = |name: &str| {
            headers
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
                .unwrap_or_default()
        };
        let Ok(port) = header("port").parse::<u16>() else {
            stream.reset().await;
            continue;
        };
        let id = header("requestid").to_owned();
        if waiting.len() >= MAX_HALVES && !waiting.contains_key(&id) {
            stream.reset().await;
            continue;
        }
        let halves = waiting.entry(id.clone()).or_default();
        match header("streamtype") {
            "error" => halves.error = Some(stream),
            "data" => halves.data = Some(stream),
            _ => {
                stream.reset().await;
                continue;
            }
        }
        if halves.error.is_some()
            && halves.data.is_some()
            && let Some(Halves {
                error: Some(error),
                data: Some(data),
            }) = waiting.remove(&id)
        {
            let (api, pod) = (api.clone(), pod.clone());
            forwarding.spawn(async move { forward(&api, &pod, port, error, data).await });
        }
        while forwarding.try_join_next().is_some() {}
    }
}

async fn forward(api: &Api, pod: &PodName, port: u16, mut error: Stream, data: Stream) {
    match api.runtime.connect(pod, port).await {
        Ok(connection) => {
            let (mut from_pod, mut to_pod) = tokio::io::split(connection);
            let (mut from_client, mut to_client) = data.split();
            let inwards = async {
                while let Some(bytes) = from_client.receive().await {
                    if to_pod.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                let _ = to_pod.shutdown().await;
            };
            let outwards = async {
                let mut buffer = vec![0; BUFFER_BYTES / 2];
                while let Ok(count @ 1..) = from_pod.read(&mut buffer).await {
                    let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                    if !to_client.send(bytes).await {
                        return;
                    }
                }
                to_client.finish().await;
            };
            // A client may be done sending long before the pod is done answering, but not the
            // other way round: what the pod has closed takes no more.
            tokio::select! {
                () = outwards => {}
                () = async { inwards.await; std::future::pending().await } => {}
            }
        }
        Err(cause) => {
            let text = refused(pod, port, &cause);
            error.send(Bytes::from(text)).await;
            data.split().1.finish().await;
        }
    }
    error.finish().await;
}

/// What a kubelet says when it cannot connect.
fn refused(pod: &PodName, port: u16, error: &RuntimeError) -> String {
    format!(
        "an error occurred forwarding {port} -> {port}: error forwarding port {port} to pod {}, uid : {error}",
        pod.name
    )
}
