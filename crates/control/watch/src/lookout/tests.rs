#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use backstay_probe::Prober;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

#[test]
fn what_a_probe_is_worth() {
    let failed = Outcome::Failed;
    let cases = [
        (Outcome::Healthy, Saw::Answers),
        (
            failed(ProbeError::Timeout(Duration::from_secs(1))),
            Saw::TimedOut,
        ),
        (
            failed(ProbeError::Resolve("no such name".into())),
            Saw::Nothing(Ours::Dns),
        ),
        (failed(ProbeError::Status(503)), Saw::WrongStatus(503)),
        (
            failed(ProbeError::Connect(ErrorKind::ConnectionRefused)),
            Saw::Refused,
        ),
        // No route is what our own broken network looks like, too.
        (
            failed(ProbeError::Connect(ErrorKind::NetworkUnreachable)),
            Saw::TimedOut,
        ),
        (failed(ProbeError::Closed), Saw::Refused),
        (
            Outcome::Void("the clock jumped"),
            Saw::Nothing(Ours::Network),
        ),
    ];
    for (outcome, expected) in cases {
        assert_eq!(seen(&outcome), expected, "{outcome:?}");
    }
}

/// Probes go by the code alone: a region that says of itself that something is degraded takes events.
#[tokio::test]
async fn degraded_is_alive() {
    let degraded = r#"{"status":"OK","degraded":[{"reason":"bucket","what":"b","detail":"d"}]}"#;
    let unavailable = r#"{"status":"UNAVAILABLE","degraded":[]}"#;
    for (code, body, expected) in [
        (200, "OK", Saw::Answers),
        (200, degraded, Saw::Answers),
        (503, degraded, Saw::WrongStatus(503)),
        (503, unavailable, Saw::WrongStatus(503)),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = format!(
            "HTTP/1.1 {code} X\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let monitor = MonitorConfig {
            protocol: ProbeProtocol::Http,
            port,
            path: Some("/api/v1/status".to_owned()),
            interval: 10,
            timeout: 60,
            tolerated: 0,
            headers: Vec::new(),
            expected: Vec::new(),
        };
        let here = "127.0.0.1".to_owned().into();
        let spec = Spec::new(&monitor, &here, &[]);
        let prober = Prober::new().unwrap();
        let (outcome, _) = prober.probe(&spec, None).await;
        assert_eq!(seen(&outcome), expected, "{code} {body}");
        server.await.unwrap();
    }
}
