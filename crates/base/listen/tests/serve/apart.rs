//! A server on a thread of its own: probes are answered whatever else goes on.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use backstay_listen::Limits;
use futures::{StreamExt as _, stream};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

use super::bounds::{limits, simple, works};
use crate::common::{HANG, Served, ask, read_to_end};

fn ask_and_wait(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_probe_is_answered_while_all_threads_are_busy() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (enter, entered) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = Arc::new(Mutex::new(gone));
    let router = simple().route(
        "/busy",
        get(move || async move {
            enter.send(()).unwrap();
            // As who computes, and gives nobody else a turn.
            let _ = gone.lock().unwrap().recv();
            "done"
        }),
    );
    let served = runtime.block_on(Served::start_apart(router, limits(16, 16)));
    let address = served.address;
    let busy = std::thread::spawn(move || ask_and_wait(address, "/busy"));
    entered.recv_timeout(HANG).unwrap();
    for _ in 0..3 {
        assert!(ask_and_wait(address, "/healthz").ends_with("well"));
    }
    drop(go);
    assert!(busy.join().unwrap().ends_with("done"));
    // It ends with the runtime of its handlers.
    drop(runtime);
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_as_any_other() {
    let served = Served::start_apart(simple(), limits(16, 16)).await;
    works(&served, 1).await;
    let mut idle = served.connect().await;
    assert!(ask(&mut idle).await.ends_with("hello"));
    served.stop.cancel();
    assert_eq!(read_to_end(&mut idle).await, "");
    tokio::time::timeout(HANG, served.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_piece_by_piece_and_half_of_one_does_not_look_whole() {
    let router = Router::new()
        .route(
            "/whole",
            get(|| async {
                let pieces = stream::iter(0..100).map(|n| Ok::<_, std::io::Error>(format!("{n};")));
                Body::from_stream(pieces)
            }),
        )
        .route(
            "/half",
            get(|| async {
                let pieces = stream::iter(0..100).map(|n| {
                    assert!(n < 3, "it breaks here");
                    Ok::<_, std::io::Error>(format!("{n};"))
                });
                Body::from_stream(pieces)
            }),
        )
        .route(
            "/panics",
            get(|| async {
                assert!(HANG.is_zero(), "it breaks here");
                "never"
            }),
        );
    let served = Served::start_apart(router, limits(16, 16)).await;
    let answer = async |path: &str| {
        let mut client = served.connect().await;
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        read_to_end(&mut client).await
    };
    // The end of a body in chunks.
    let end = "\r\n0\r\n\r\n";
    let whole = answer("/whole").await;
    assert!(whole.contains("99;") && whole.ends_with(end), "{whole}");
    let half = answer("/half").await;
    assert!(!half.ends_with(end), "{half}");
    let panics = answer("/panics").await;
    assert!(panics.starts_with("HTTP/1.1 500 "), "{panics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_stops_what_it_asked_for() {
    struct Tell(Arc<Notify>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (entered, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let router = Router::new()
        .route("/handler", {
            let (entered, dropped) = (entered.clone(), dropped.clone());
            get(move || async move {
                let _tell = Tell(dropped);
                entered.notify_one();
                std::future::pending::<()>().await;
            })
        })
        .route("/body", {
            let (entered, dropped) = (entered.clone(), dropped.clone());
            get(move || async move {
                let tell = Tell(dropped);
                entered.notify_one();
                Body::from_stream(stream::pending::<Result<String, std::io::Error>>().map(
                    move |it| {
                        let _ = &tell;
                        it
                    },
                ))
            })
        });
    let served = Served::start_apart(router, Limits::default()).await;
    for path in ["/handler", "/body"] {
        let mut client = served.connect().await;
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        tokio::time::timeout(HANG, entered.notified())
            .await
            .unwrap();
        drop(client);
        tokio::time::timeout(HANG, dropped.notified())
            .await
            .unwrap();
    }
}
