//! `port-forward` over a WebSocket whose messages begin with the number of their channel, as kube-rs
//! and other clients that do not speak SPDY have it, and as a kubelet serves it
//! (`k8s.io/kubelet/pkg/cri/streaming/portforward`, `websocket.go`): the ports are in the request,
//! the n-th has channel 2n for its bytes and 2n+1 for an error, and each channel begins with its
//! port, two bytes, the lower one first. There is no half-closing.

use axum::extract::ws::{Message, WebSocket};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::{Api, BUFFER_BYTES, refused};
use crate::http::exec::write;
use crate::runtime::PodName;
use crate::status::{ApiError, ApiResult};

pub(super) const V4: &str = "v4.channel.k8s.io";
/// Each port has two channels, and their number is one byte.
const MAX_PORTS: usize = 128;
/// Messages that wait for a slow reader, each way.
const MAX_QUEUED_MESSAGES: usize = 16;

/// The ports that a request names: `ports=80,8080`, or each by itself.
pub(super) fn ports(parameters: &[String]) -> ApiResult<Vec<u16>> {
    let texts = parameters.iter().flat_map(|it| it.split(','));
    let ports: Vec<u16> = texts
        .map(|text| {
            let port = text.trim().parse().ok().filter(|port| *port > 0);
            port.ok_or_else(|| ApiError::bad_request(format!("invalid port {text:?}")))
        })
        .collect::<ApiResult<_>>()?;
    match ports.len() {
        0 => Err(ApiError::bad_request("at least one port is required")),
        1..=MAX_PORTS => Ok(ports),
        _ => Err(ApiError::bad_request(format!(
            "no more than {MAX_PORTS} ports"
        ))),
    }
}

/// Serves one connection to each of the ports, until the last of them or the client has ended.
pub(super) async fn run(api: Api, pod: PodName, ports: Vec<u16>, socket: WebSocket) {
    let (sink, mut source) = socket.split();
    let (out, outgoing) = mpsc::channel::<Bytes>(MAX_QUEUED_MESSAGES);
    let mut inputs = Vec::with_capacity(ports.len());
    // What is forwarded ends with the connection.
    let mut forwarding = tokio::task::JoinSet::new();
    for (channel, port) in (0..=u8::MAX).step_by(2).zip(ports) {
        let (input, incoming) = mpsc::channel(MAX_QUEUED_MESSAGES);
        inputs.push(Some(input));
        let (api, pod, out) = (api.clone(), pod.clone(), out.clone());
        forwarding.spawn(async move {
            forward(&api, &pod, port, channel, incoming, &out).await;
        });
    }
    drop(out);
    let inwards = async {
        while let Some(Ok(message)) = source.next().await {
            let Message::Binary(bytes) = message else {
                continue;
            };
            let Some(&channel) = bytes.first() else {
                continue;
            };
            // Errors go one way only.
            let input = inputs.get_mut(usize::from(channel / 2));
            if let Some(input) = input.filter(|_| channel.is_multiple_of(2))
                && let Some(to) = input
                && to.send(bytes.slice(1..)).await.is_err()
            {
                *input = None;
            }
        }
    };
    tokio::select! {
        () = inwards => {}
        () = write(sink, outgoing) => {}
    }
}

async fn forward(
    api: &Api,
    pod: &PodName,
    port: u16,
    channel: u8,
    mut incoming: mpsc::Receiver<Bytes>,
    out: &mpsc::Sender<Bytes>,
) {
    for channel in [channel, channel + 1] {
        if out
            .send(message(channel, &port.to_le_bytes()))
            .await
            .is_err()
        {
            return;
        }
    }
    let connection = match api.runtime.connect(pod, port).await {
        Ok(connection) => connection,
        Err(error) => {
            let text = refused(pod, port, &error);
            let _ = out.send(message(channel + 1, text.as_bytes())).await;
            return;
        }
    };
    let (mut from_pod, mut to_pod) = tokio::io::split(connection);
    let inwards = async {
        while let Some(bytes) = incoming.recv().await {
            if to_pod.write_all(&bytes).await.is_err() {
                break;
            }
        }
        // The client has said nothing of an end; the pod says when it is over.
        std::future::pending::<()>().await;
    };
    let outwards = async {
        let mut buffer = vec![0; BUFFER_BYTES / 2];
        while let Ok(count @ 1..) = from_pod.read(&mut buffer).await {
            let read = buffer.get(..count).unwrap_or_default();
            if out.send(message(channel, read)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = outwards => {}
        () = inwards => {}
    }
}

fn message(channel: u8, bytes: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(bytes.len() + 1);
    message.put_u8(channel);
    message.put_slice(bytes);
    message.freeze()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn which_ports_are_meant() {
        let of = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|it| (*it).to_owned()).collect();
            ports(&texts)
        };
        assert_eq!(of(&["8080"]).unwrap(), [8080]);
        assert_eq!(of(&["80, 8080", "9000"]).unwrap(), [80, 8080, 9000]);
        for wrong in [
            &[][..],
            &[""],
            &["0"],
            &["65536"],
            &["80,"],
            &["http"],
            &["1"; 129],
        ] {
            assert_eq!(of(wrong).unwrap_err().code, 400, "{wrong:?}");
        }
    }
}
