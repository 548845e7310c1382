//! The listener as its clients see it, over sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "serve/apart.rs"]
mod apart;
#[path = "serve/bounds.rs"]
mod bounds;
mod common;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::get;
use backstay_listen::{Limits, Peer, Tls};
use futures::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use common::{Certificate, HANG, Served, ask, read_to_end, until};

fn plain() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

fn limits() -> Limits {
    Limits {
        // Nothing here waits for these.
        handshake: HANG,
        head: HANG,
        idle: HANG,
        end: HANG,
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_request_knows_who_sent_it() {
    let who = get(|request: Request| async move {
        let peer = request.extensions().get::<Peer>().unwrap();
        format!("{} {}", peer.address, peer.secure)
    });
    let router = Router::new().route("/", who);
    let served = Served::start(router.clone(), None, limits()).await;
    let mut client = served.connect().await;
    let address = client.local_addr().unwrap();
    assert!(
        ask(&mut client)
            .await
            .ends_with(&format!("{address} false"))
    );

    let certificate = Certificate::new("localhost");
    let served = Served::start(router, Some(certificate.tls()), limits()).await;
    let mut client = certificate.connect(served.connect().await).await.unwrap();
    assert!(ask(&mut client).await.ends_with(" true"));
}

#[tokio::test]
async fn slow_handshakes_hold_nobody_up() {
    let certificate = Certificate::new("localhost");
    let some = Limits {
        connections: 4,
        ..limits()
    };
    let served = Served::start(plain(), Some(certificate.tls()), some).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut stream = served.connect().await;
        // The beginning of a handshake, and no more.
        stream.write_all(&[0x16, 0x03]).await.unwrap();
        slow.push(stream);
    }
    let mut client = certificate.connect(served.connect().await).await.unwrap();
    assert!(ask(&mut client).await.ends_with("hello"));
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_gives_its_place_back() {
    let certificate = Certificate::new("localhost");
    let one = Limits {
        connections: 1,
        handshake: Duration::from_millis(50),
        ..limits()
    };
    let served = Served::start(plain(), Some(certificate.tls()), one).await;
    let mut slow = served.connect().await;
    assert_eq!(read_to_end(&mut slow).await, "");
    until("it answers", || async {
        // A loaded machine may be too slow for the short deadline.
        match certificate.connect(served.connect().await).await {
            Ok(mut client) => ask(&mut client).await.ends_with("hello"),
            Err(_) => false,
        }
    })
    .await;
}

#[tokio::test]
async fn a_certificate_is_exchanged_while_connections_are_open() {
    let (first, second) = (Certificate::new("localhost"), Certificate::new("localhost"));
    let tls: Tls = first.tls();
    let served = Served::start(plain(), Some(tls.clone()), limits()).await;
    let mut early = first.connect(served.connect().await).await.unwrap();
    assert!(ask(&mut early).await.ends_with("hello"));
    assert!(second.connect(served.connect().await).await.is_err());
    tls.exchange(second.config());
    let mut late = second.connect(served.connect().await).await.unwrap();
    assert!(ask(&mut late).await.ends_with("hello"));
    assert!(first.connect(served.connect().await).await.is_err());
    assert!(ask(&mut early).await.ends_with("hello"));
}

#[tokio::test]
async fn a_head_has_a_deadline_and_a_size() {
    let short = Limits {
        head: Duration::from_millis(50),
        head_bytes: 4096,
        ..limits()
    };
    let served = Served::start(plain(), None, short).await;
    let mut slow = served.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let answer = read_to_end(&mut slow).await;
    assert!(!answer.contains("200"), "{answer}");

    let served = Served::start(
        plain(),
        None,
        Limits {
            head: HANG,
            ..short
        },
    )
    .await;
    let mut large = served.connect().await;
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n",
        "x".repeat(8192)
    );
    large.write_all(head.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut large).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let mut bad = served.connect().await;
    bad.write_all(b"\x00\x01 / HTTP/1.1\r\n\r\n").await.unwrap();
    let answer = read_to_end(&mut bad).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn who_takes_nothing_of_what_is_sent_is_cut_off() {
    let dropped = Arc::new(Notify::new());
    struct Tell(Arc<Notify>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let router = Router::new().route("/", {
        let dropped = dropped.clone();
        get(move || async move {
            let tell = Tell(dropped);
            let endless = stream::repeat(Bytes::from(vec![0; 65_536])).map(move |bytes| {
                let _ = &tell;
                Ok::<_, std::io::Error>(bytes)
            });
            Body::from_stream(endless)
        })
    });
    let impatient = Limits {
        stalled: Some(Duration::from_millis(100)),
        ..limits()
    };
    let served = Served::start(router, None, impatient).await;
    let mut client = served.connect().await;
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    tokio::time::timeout(HANG, dropped.notified())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stop_ends_what_is_under_way_and_takes_nothing_new() {
    let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let router = plain().route("/slow", {
        let (entered, go) = (entered.clone(), go.clone());
        get(move || async move {
            entered.notify_one();
            go.notified().await;
            "done"
        })
    });
    let served = Served::start(router, None, limits()).await;
    let mut idle = served.connect().await;
    assert!(ask(&mut idle).await.ends_with("hello"));
    let mut slow = served.connect().await;
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    entered.notified().await;
    served.stop.cancel();
    assert_eq!(read_to_end(&mut idle).await, "");
    let address = served.address;
    until("it listens no more", || async move {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    assert!(!served.task.is_finished());
    go.notify_one();
    let answer = read_to_end(&mut slow).await;
    assert!(answer.ends_with("done"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    tokio::time::timeout(HANG, served.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let entered = Arc::new(Notify::new());
    let router = Router::new().route("/", {
        let entered = entered.clone();
        get(move || async move {
            entered.notify_one();
            std::future::pending::<()>().await;
        })
    });
    let short = Limits {
        end: Duration::from_millis(50),
        ..limits()
    };
    let served = Served::start(router, None, short).await;
    let mut stuck = served.connect().await;
    stuck
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    entered.notified().await;
    served.stop.cancel();
    tokio::time::timeout(HANG, served.task)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read_to_end(&mut stuck).await, "");
}

#[tokio::test]
async fn a_server_that_is_dropped_cuts_its_connections() {
    let served = Served::start(plain(), None, limits()).await;
    let mut client = served.connect().await;
    assert!(ask(&mut client).await.ends_with("hello"));
    served.task.abort();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(HANG, client.read_to_end(&mut rest)).await;
    assert!(read.unwrap().is_err() || rest.is_empty());
}

#[tokio::test]
async fn who_is_refused_in_the_middle_of_a_request_gets_to_see_it() {
    // Nobody reads what is sent.
    let served = Served::start(plain(), None, limits()).await;
    let length = 16 << 20;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    let mut client = served.connect().await;
    client.write_all(head.as_bytes()).await.unwrap();
    // All of it is taken, although the answer is there before.
    client.write_all(&vec![0; length]).await.unwrap();
    let answer = ask(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[tokio::test]
async fn who_asks_before_it_sends_is_not_told_to_send_what_nobody_wants() {
    let served = Served::start(plain(), None, limits()).await;
    let mut client = served.connect().await;
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    client.write_all(head).await.unwrap();
    let answer = read_to_end(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}
