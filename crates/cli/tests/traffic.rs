//! `backstay traffic` as a person or a script runs it: the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

fn backstay(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
    command
        .args(["traffic", "--output", "json", "--exit-with-parent"])
        .args(["--dns", "127.0.0.1:0", "--arm", "127.0.0.1:0"])
        .args(["--observe", "127.0.0.1:0", "--zone", "tm.test"])
        .arg("--state")
        .arg(folder.join("state.json"))
        .arg("--token-file")
        .arg(folder.join("token.txt"))
        .env_remove("BACKSTAY_LOG")
        .env_remove("BACKSTAY_LOG_FORMAT")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The one line that says where it listens.
fn told(child: &mut Child) -> (Value, BufReader<std::process::ChildStdout>) {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let told = serde_json::from_str(&line).unwrap_or_else(|error| {
        let mut said = String::new();
        child.kill().unwrap();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        panic!("{error}: {line}{said}")
    });
    (told, out)
}

fn terminate(child: &Child) {
    let sent = Command::new("kill").arg(child.id().to_string()).status();
    assert!(sent.unwrap().success());
}

#[test]
fn it_says_where_it_listens_keeps_its_token_to_itself_and_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = backstay(folder.path()).spawn().unwrap();
    let _parent = child.stdin.take();
    let (told, mut rest) = told(&mut child);
    assert!(
        told["arm"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:")
    );
    assert!(told["dns"][0].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(told["zone"], "tm.test");
    let file = folder.path().join("token.txt");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).unwrap();
    let token = token.trim();
    assert!(token.len() >= 40);
    terminate(&child);
    let mut said = String::new();
    rest.read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "more than one object on standard output");
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(!said.contains(token) && !told.to_string().contains(token));
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
}

/// Signed by themselves: each is its own authority.
fn write_certificate(folder: &Path, authority: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.join(authority), made.cert.pem()).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// Whether who trusts this authority alone gets an answer.
fn trusts(folder: &Path, authority: &str, url: &str) -> bool {
    let asked = Command::new("curl")
        .args(["--silent", "--output", "/dev/null", "--noproxy", "*"])
        .args(["--max-time", "60", "--cacert"])
        .arg(folder.join(authority))
        .arg(url)
        .status();
    asked.unwrap().success()
}

#[test]
fn a_certificate_that_changes_is_reloaded_at_a_signal_and_half_of_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let put = |certificate: &str, key: &str| {
        std::fs::write(folder.join("cert.pem"), certificate).unwrap();
        std::fs::write(folder.join("key.pem"), key).unwrap();
    };
    let first = write_certificate(folder, "first.pem");
    put(&first.0, &first.1);
    let mut child = backstay(folder)
        .arg("--tls-cert")
        .arg(folder.join("cert.pem"))
        .arg("--tls-key")
        .arg(folder.join("key.pem"))
        .spawn()
        .unwrap();
    let _parent = child.stdin.take();
    let (told, _rest) = told(&mut child);
    let url = told["arm"].as_str().unwrap();
    assert!(trusts(folder, "first.pem", url));
    let hang_up = || {
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(sent.unwrap().success());
    };
    let second = write_certificate(folder, "second.pem");
    put(&second.0, &second.1);
    hang_up();
    let begun = std::time::Instant::now();
    while !trusts(folder, "second.pem", url) {
        assert!(begun.elapsed().as_secs() < 60, "it was never reloaded");
    }
    assert!(!trusts(folder, "first.pem", url));
    // The certificate is there, its key is not yet.
    let third = write_certificate(folder, "third.pem");
    put(&third.0, &second.1);
    hang_up();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    log.find(|line| line.as_ref().unwrap().contains("stays in use"))
        .unwrap()
        .unwrap();
    assert!(trusts(folder, "second.pem", url));
    assert!(!trusts(folder, "third.pem", url));
    // Without a signal too, a little later.
    put(&third.0, &third.1);
    let begun = std::time::Instant::now();
    while !trusts(folder, "third.pem", url) {
        assert!(begun.elapsed().as_secs() < 60, "it was never reloaded");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let reading = std::thread::spawn(move || log.for_each(drop));
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    reading.join().unwrap();
}

#[test]
fn it_ends_with_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = backstay(folder.path()).spawn().unwrap();
    let _told = told(&mut child);
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn exit_codes_say_what_was_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut child = backstay(folder.path()).args(arguments).spawn().unwrap();
        let _parent = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["ok"], false, "{said}");
        assert!(said.contains(result["error"].as_str().unwrap()), "{said}");
        (output.status.code(), said)
    };
    let wrong = [
        (vec!["--vantage-points", "a,a"], 2, "called 'a'"),
        (vec!["--quorum", "4"], 2, "quorum"),
        (vec!["--name-servers", "ns1.tm.test=x"], 2, "NAME=ADDRESS"),
        (
            vec![
                "--tls-cert",
                "/nowhere/cert.pem",
                "--tls-key",
                "/nowhere/key.pem",
            ],
            1,
            "--tls-cert",
        ),
    ];
    for (arguments, code, words) in wrong {
        let (found, said) = run(&arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    // A state that is not ours is left alone, and one that is in use is not shared.
    std::fs::write(folder.path().join("state.json"), "not ours").unwrap();
    let (code, said) = run(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("restore it from a backup"), "{said}");
    std::fs::remove_file(folder.path().join("state.json")).unwrap();
    let mut first = backstay(folder.path()).spawn().unwrap();
    let _parent = first.stdin.take();
    let _told = told(&mut first);
    let (code, said) = run(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another traffic manager"), "{said}");
    terminate(&first);
    assert_eq!(first.wait().unwrap().code(), Some(0));
}
