//! Large and slow bodies, which are passed on as they come.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::any;
use futures::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use crate::client::curl_command;
use crate::pod::{Pod, count};
use crate::proxy::Proxy;
use crate::region::{Region, TEST_TIMEOUT};

const LARGE_BYTES: u64 = 100 << 20;

/// The most memory that this process, pods and proxy and all, has had.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<u64>().unwrap() << 10
}

/// `/down` sends so many bytes, with a length or in chunks; `/up` counts them.
fn large() -> Router {
    let parts =
        || stream::repeat(Bytes::from(vec![b'x'; 1 << 16])).take(LARGE_BYTES as usize >> 16);
    let chunked = move || async move { Body::from_stream(parts().map(Ok::<_, std::io::Error>)) };
    let sized = move || async move {
        let body = Body::from_stream(parts().map(Ok::<_, std::io::Error>));
        ([("content-length", LARGE_BYTES.to_string())], body)
    };
    let up = |request: axum::extract::Request| async move {
        let (head, body) = request.into_parts();
        let length = head.headers.get("content-length").cloned();
        format!("{} {length:?}", count(body).await)
    };
    Router::new()
        .route("/chunked", any(chunked))
        .route("/sized", any(sized))
        .route("/up", any(up))
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_through_without_being_held() {
    let region = Region::with_ui().await;
    let pod = Pod::serve(large()).await;
    region.add("ui", &pod).await;
    let proxy = Proxy::start(&region).await;
    assert_eq!(proxy.curl("/none", &[]).await.status, 404);
    let before = peak();
    for path in ["/chunked", "/sized"] {
        let url = format!("http://{}{path}", proxy.http);
        let arguments = ["--output", "/dev/null", "--no-include", "--write-out"];
        let arguments = [&arguments[..], &["%{http_code} %{size_download}"]].concat();
        let output = curl_command(&url, &arguments).output().await.unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output, format!("200 {LARGE_BYTES}"), "{path}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(LARGE_BYTES).unwrap();
    let file = file.path().to_str().unwrap();
    let answer = proxy.curl("/up", &["--upload-file", file]).await;
    assert_eq!(
        answer.body,
        format!("{LARGE_BYTES} Some(\"{LARGE_BYTES}\")")
    );
    let chunked = ["--upload-file", file, "-H", "Transfer-Encoding: chunked"];
    let answer = proxy.curl("/up", &chunked).await;
    assert_eq!(answer.body, format!("{LARGE_BYTES} None"));
    let grown = peak() - before;
    assert!(grown < LARGE_BYTES / 2, "{grown} bytes more at the peak");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_is_passed_on_before_the_next_is_there() {
    let region = Region::with_ui().await;
    // The pod sends back each part as it comes, and nothing before.
    let echo = |body: Body| async move { Body::from_stream(body.into_data_stream()) };
    let pod = Pod::serve(Router::new().route("/", any(echo))).await;
    region.add("ui", &pod).await;
    let proxy = Proxy::start(&region).await;
    let mut client = TcpStream::connect(proxy.http).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(head).await.unwrap();
    let mut seen = String::new();
    for part in ["first", "second", "third"] {
        let chunk = format!("{:x}\r\n{part}\r\n", part.len());
        client.write_all(chunk.as_bytes()).await.unwrap();
        while !seen.contains(part) {
            let mut bytes = [0; 1024];
            let read = tokio::time::timeout(TEST_TIMEOUT, client.read(&mut bytes)).await;
            let read = read.expect("the part does not come").unwrap();
            assert_ne!(read, 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }
    client.write_all(b"0\r\n\r\n").await.unwrap();
    assert!(seen.starts_with("HTTP/1.1 200 "), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_stops_its_pod_and_is_cut_off() {
    let region = Region::with_ui().await;
    let freed = Arc::new(Notify::new());
    let (sent, mut sending) = mpsc::unbounded_channel::<usize>();
    let notify = freed.clone();
    let endless = move || {
        let (sent, notify) = (sent.clone(), notify.clone());
        async move {
            struct Tell(Arc<Notify>);
            impl Drop for Tell {
                fn drop(&mut self) {
                    self.0.notify_one();
                }
            }
            let tell = Tell(notify);
            Body::from_stream(
                stream::repeat(Bytes::from(vec![0; 1 << 16])).map(move |part| {
                    let _ = (&tell, sent.send(part.len()));
                    Ok::<_, std::io::Error>(part)
                }),
            )
        }
    };
    let pod = Pod::serve(Router::new().route("/", any(endless))).await;
    region.add("ui", &pod).await;
    let proxy = Proxy::with(&region, |options| {
        options.quiet = Duration::from_secs(1);
    })
    .await;
    let mut client = TcpStream::connect(proxy.http).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(request).await.unwrap();
    tokio::time::timeout(TEST_TIMEOUT, freed.notified())
        .await
        .unwrap();
    let mut bytes = 0;
    while let Ok(part) = sending.try_recv() {
        bytes += part as u64;
    }
    // What fits into the buffers of two connections, and not what could be sent in the meantime.
    assert!(bytes > 0 && bytes < LARGE_BYTES, "{bytes}");
}
