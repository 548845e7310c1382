#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use backstay_kubeapi::LogOptions;
use futures::StreamExt as _;
use tempfile::TempDir;
use tokio::net::unix::pipe;

use super::{Lines, Log, MAX_PIECE_BYTES, pieces};

const TEST_TIMEOUT: Duration = Duration::from_secs(60);

async fn text(lines: Lines) -> String {
    let read = lines.map(|chunk| chunk.unwrap()).collect::<Vec<_>>();
    let chunks = tokio::time::timeout(TEST_TIMEOUT, read).await.unwrap();
    String::from_utf8(chunks.concat()).unwrap()
}

fn pipe() -> (std::io::PipeWriter, pipe::Receiver) {
    let (reader, writer) = std::io::pipe().unwrap();
    (
        writer,
        pipe::Receiver::from_owned_fd(reader.into()).unwrap(),
    )
}

fn following() -> LogOptions {
    LogOptions {
        follow: true,
        ..LogOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_see_every_byte_and_end_with_the_log() {
    let folder = TempDir::new().unwrap();
    let log = Log::new(folder.path(), 1).unwrap();
    let (mut writer, receiver) = pipe();
    let writing = tokio::spawn({
        let log = log.clone();
        async move { log.write(receiver).await }
    });
    let early = tokio::spawn(text(log.clone().read(&following()).unwrap()));
    let written = std::thread::spawn(move || {
        for line in 0..20_000 {
            writeln!(writer, "line {line}").unwrap();
        }
    });
    let late = tokio::spawn(text(log.clone().read(&following()).unwrap()));
    written.join().unwrap();
    writing.await.unwrap();
    let all: String = (0..20_000).map(|line| format!("line {line}\n")).collect();
    assert!(early.await.unwrap() == all);
    assert!(late.await.unwrap() == all);
    assert!(text(log.read(&LogOptions::default()).unwrap()).await == all);
    let kept = Log::kept(folder.path(), 1).unwrap();
    let limited = LogOptions {
        limit_bytes: Some(11),
        ..following()
    };
    assert_eq!(text(kept.read(&limited).unwrap()).await, "line 0\nline");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_keeps_its_end_and_its_followers() {
    let folder = TempDir::new().unwrap();
    let log = Log::new(folder.path(), 0).unwrap();
    let (mut writer, receiver) = pipe();
    let writing = tokio::spawn({
        let log = log.clone();
        async move { log.write(receiver).await }
    });
    let follower = tokio::spawn(text(log.clone().read(&following()).unwrap()));
    let line = "x".repeat(4000);
    let count = usize::try_from(4 * MAX_PIECE_BYTES).unwrap() / line.len();
    for number in 0..count {
        writeln!(writer, "{number} {line}").unwrap();
    }
    drop(writer);
    writing.await.unwrap();
    let followed = follower.await.unwrap();
    assert!(followed.ends_with(&format!("{} {line}\n", count - 1)));
    let end = text(log.read(&LogOptions::default()).unwrap()).await;
    assert!(end.ends_with(&format!("{} {line}\n", count - 1)));
    assert!(end.len() as u64 <= 2 * MAX_PIECE_BYTES && end.len() as u64 > MAX_PIECE_BYTES / 2);
    assert_eq!(pieces(folder.path()).unwrap().len(), 2);
}

#[test]
fn only_the_run_before_is_kept() {
    let folder = TempDir::new().unwrap();
    for run in 0..4 {
        let log = Log::new(folder.path(), run).unwrap();
        std::fs::write(log.path(0), "").unwrap();
    }
    assert!(Log::kept(folder.path(), 1).is_none());
    assert!(Log::kept(folder.path(), 2).is_some());
    let again: Arc<Log> = Log::new(folder.path(), 3).unwrap();
    assert!(!again.path(0).exists());
}
