//! Connections beyond the bound, silent ones, slow ones, and beside them clients that work: of
//! their requests none may fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use backstay_listen::{LeastRate, Limits, Refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::common::{Certificate, HANG, Served, ask, ask_for, read_to_end, until};

/// Answers at once, when told to, a probe, and what it was sent.
fn router(go: &Arc<Semaphore>, entered: &Arc<AtomicUsize>) -> Router {
    let (go, entered) = (go.clone(), entered.clone());
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/healthz", get(|| async { "well" }))
        .route("/echo", post(|body: Bytes| async { body }))
        .layer(DefaultBodyLimit::disable())
        .route(
            "/held",
            get(move || async move {
                entered.fetch_add(1, SeqCst);
                go.acquire().await.unwrap().forget();
                "held"
            }),
        )
}

pub fn simple() -> Router {
    router(&Arc::new(Semaphore::new(0)), &Arc::default())
}

pub fn limits(connections: usize, per_address: usize) -> Limits {
    Limits {
        connections,
        per_address,
        handshake: HANG,
        head: HANG,
        idle: HANG,
        end: HANG,
        ..Limits::default()
    }
}

/// A client that works: asks again and again on one connection, and again on new ones.
pub async fn works(served: &Served, last: u8) {
    let mut kept = served.connect_from(last).await;
    for _ in 0..20 {
        assert!(ask(&mut kept).await.ends_with("hello"));
        let mut new = served.connect_from(last).await;
        assert!(ask(&mut new).await.ends_with("hello"));
        let body = "x".repeat(100_000);
        let post = format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert!(ask_for(&mut kept, &post).await.ends_with(&body));
    }
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut byte)).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_hold_nobody_up_from_whatever_address() {
    for last in [1, 2] {
        let served = Served::start(simple(), None, limits(16, 8)).await;
        let mut silent = Vec::new();
        for n in 0..300 {
            let mut stream = served.connect_from(last).await;
            if n % 2 == 0 {
                // Half a head.
                stream.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
            }
            silent.push(stream);
        }
        works(&served, 1).await;
        assert!(served.count(Refusal::Evicted) > 0);
        assert_eq!(served.count(Refusal::Crowded), 0);
        // Those that were not let go are few.
        assert!(served.refusals.open() <= 16 + 64 + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_handshakes_hold_nobody_up() {
    let certificate = Certificate::new("localhost");
    let served = Served::start(simple(), Some(certificate.tls()), limits(16, 8)).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        let mut stream = served.connect().await;
        stream.write_all(&[0x16, 0x03]).await.unwrap();
        silent.push(stream);
    }
    for _ in 0..20 {
        let mut client = certificate.connect(served.connect().await).await.unwrap();
        assert!(ask(&mut client).await.ends_with("hello"));
    }
    assert!(served.count(Refusal::Evicted) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_bound_requests_are_refused_and_probes_are_answered() {
    let (go, entered) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let served = Served::start(router(&go, &entered), None, limits(4, 4)).await;
    let mut busy = Vec::new();
    for _ in 0..4 {
        let mut stream = served.connect().await;
        stream
            .write_all(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        busy.push(stream);
    }
    until("four are in", || async { entered.load(SeqCst) == 4 }).await;
    for last in [1, 2] {
        let answer = ask(&mut served.connect_from(last).await).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("retry-after: 1"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        let probe = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
        let answer = ask_for(&mut served.connect_from(last).await, probe).await;
        assert!(answer.ends_with("well"), "{answer}");
        // It gets to see the refusal, although it is still sending.
        let length = 4 << 20;
        let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let mut client = served.connect_from(last).await;
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&vec![0; length]).await.unwrap();
        let answer = read_to_end(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    assert_eq!(served.count(Refusal::Crowded), 4);
    // Silent ones take no probe's place.
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(served.connect().await);
    }
    let probe = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = ask_for(&mut served.connect_from(2).await, probe).await;
    assert!(answer.ends_with("well"), "{answer}");
    // None of those under way has noticed.
    go.add_permits(4);
    for mut stream in busy {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_no_more_than_its_share() {
    let (go, entered) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let served = Served::start(router(&go, &entered), None, limits(8, 4)).await;
    let mut busy = Vec::new();
    for n in 1..=20 {
        let mut stream = served.connect_from(2).await;
        stream
            .write_all(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        busy.push(stream);
        if n <= 4 {
            until("it is in", || async { entered.load(SeqCst) == n }).await;
        }
    }
    works(&served, 1).await;
    until("all are refused", || async {
        served.count(Refusal::Crowded) == 16
    })
    .await;
    assert_eq!(entered.load(SeqCst), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_is_answered_408() {
    let short = Limits {
        body: LeastRate {
            bytes_per_second: 1 << 20,
            pause: Duration::from_millis(200),
        },
        ..limits(64, 32)
    };
    let served = Served::start(simple(), None, short).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = served.connect_from(2).await;
        let head = format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            32 << 20
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        slow.push(tokio::spawn(async move {
            let trickle = async {
                while to.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::select! {
                answer = read_to_end(&mut from) => answer,
                () = trickle => read_to_end(&mut from).await,
            }
        }));
    }
    for slow in slow {
        let answer = slow.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(served.count(Refusal::SlowBody), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn trickling_bodies_beside_clients_that_work() {
    let served = Served::start(simple(), None, limits(16, 8)).await;
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut stream = served.connect_from(2).await;
        let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 33554432\r\n\r\nx";
        stream.write_all(head).await.unwrap();
        slow.push(stream);
    }
    works(&served, 1).await;
}

#[tokio::test]
async fn heads_have_a_deadline_and_what_rests_between_requests_has_another() {
    let short = Limits {
        head: Duration::from_secs(1),
        ..limits(64, 64)
    };
    let served = Served::start(simple(), None, short).await;
    let mut kept = served.connect().await;
    assert!(ask(&mut kept).await.ends_with("hello"));
    let mut silent = served.connect().await;
    let mut slow = served.connect().await;
    slow.write_all(b"GET / HT").await.unwrap();
    assert_eq!(read_to_end(&mut silent).await, "");
    assert_eq!(read_to_end(&mut slow).await, "");
    assert_eq!(served.count(Refusal::Silent), 1);
    assert_eq!(served.count(Refusal::SlowHead), 1);
    assert!(!is_closed(&mut kept).await);
    // The head of a second request has a deadline too.
    kept.write_all(b"GET / HT").await.unwrap();
    assert_eq!(read_to_end(&mut kept).await, "");
    assert_eq!(served.count(Refusal::SlowHead), 2);

    let impatient = Limits {
        idle: Duration::from_secs(1),
        ..limits(64, 64)
    };
    let served = Served::start(simple(), None, impatient).await;
    let mut rests = served.connect().await;
    assert!(ask(&mut rests).await.ends_with("hello"));
    assert_eq!(read_to_end(&mut rests).await, "");
    // Which is nobody's fault.
    assert!(Refusal::ALL.iter().all(|it| served.count(*it) == 0));
}
