//! Real `curl`. What it is to do comes by its standard input: addresses hold secrets.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::rig::HANG;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub challenge: String,
}

/// Asks with these lines of a `curl` configuration, and a body.
pub async fn curl(url: &str, lines: &[&str], body: Option<&[u8]>) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let mut config = format!(
        "url = \"{url}\"\nsilent\nshow-error\nnoproxy = \"*\"\nmax-time = {}\n\
         write-out = \"\\n%{{http_code}} %header{{www-authenticate}}\"\n",
        HANG.as_secs()
    );
    if let Some(body) = body {
        let path = folder.path().join("body");
        std::fs::write(&path, body).unwrap();
        config += &format!("data-binary = \"@{}\"\n", path.display());
        config += "header = \"Content-Type: application/json; charset=utf-8\"\n";
    }
    for line in lines {
        config += line;
        config += "\n";
    }
    let mut curl = Command::new("curl")
        .args(["--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = curl.stdin.take().unwrap();
    input.write_all(config.as_bytes()).await.unwrap();
    drop(input);
    let output = curl.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{lines:?}: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, last) = text.rsplit_once('\n').unwrap();
    let (status, challenge) = last.split_once(' ').unwrap();
    Answer {
        status: status.parse().unwrap(),
        body: body.trim_end().to_owned(),
        challenge: challenge.to_owned(),
    }
}
