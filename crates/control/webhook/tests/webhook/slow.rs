//! Those who take their time.

use std::time::Duration;

use backstay_webhook::{Options, RefusalKind};
use chrono::TimeDelta;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::{HANG, RULE, Rig, SECRET, fired, on_loopback, secret};

async fn impatient() -> Rig {
    let mut options = Options::new(on_loopback(), RULE.parse().unwrap());
    options.secret = Some(secret());
    options.patience = Duration::from_millis(300);
    Rig::with(options).await
}

async fn read(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    // A connection may also be reset.
    let _ = tokio::time::timeout(HANG, stream.read_to_end(&mut all))
        .await
        .unwrap();
    String::from_utf8(all).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_cut_off_and_a_slow_body_is_told_so() {
    let mut rig = impatient().await;
    let mut stream = TcpStream::connect(rig.webhook.address()).await.unwrap();
    stream
        .write_all(b"POST /api/alert HTTP/1.1\r\nHo")
        .await
        .unwrap();
    let said = read(stream).await;
    assert!(!said.contains(" 200 "), "{said}");

    let mut stream = TcpStream::connect(rig.webhook.address()).await.unwrap();
    let head = format!(
        "POST /api/alert?code={SECRET} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let said = read(stream).await;
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    rig.nothing_more();
    assert_eq!(rig.counts().refused_as(RefusalKind::Slow), 1);
    assert!(!rig.logs.text().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_slow_ones_than_there_is_room_for_keep_no_alert_out() {
    let mut rig = impatient().await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(rig.webhook.address()).await.unwrap();
        stream.write_all(b"POST /api/alert").await.unwrap();
        slow.push(stream);
    }
    let answer = rig.post(&fired("a", TimeDelta::zero())).await;
    assert_eq!(answer.body, "taken");
    rig.alert().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_is_under_way() {
    let mut rig = Rig::start().await;
    let mut stream = TcpStream::connect(rig.webhook.address()).await.unwrap();
    let body = fired("a", TimeDelta::zero()).to_string();
    let head = format!(
        "POST /api/alert?code={SECRET} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let stopping = tokio::spawn(rig.webhook.stop());
    stream.write_all(body.as_bytes()).await.unwrap();
    let said = read(stream).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    tokio::time::timeout(HANG, stopping).await.unwrap().unwrap();
    assert!(rig.wakes.recv().await.is_some());
    assert_eq!(rig.wakes.recv().await, None);
}
