//! Points in a real process: the test binary runs itself as the victim.
#![cfg(all(debug_assertions, unix))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Not a test of its own: the body of the child process of the tests below.
#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn victim() {
    for round in 1..=3 {
        backstay_failpoint::hit("test.loop.first");
        println!("between {round}");
        backstay_failpoint::hit("test.loop.second");
    }
    println!("survived");
}

fn run(variables: &[(&str, &str)]) -> Output {
    command(variables).output().unwrap()
}

fn command(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "victim",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env_remove("BACKSTAY_KILL_AT")
        .env_remove("BACKSTAY_STOP_AT")
        .env_remove("BACKSTAY_FAILPOINT_LOG")
        .envs(variables.iter().copied());
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn log_file(directory: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(directory);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path.join("points")
}

#[test]
fn without_variables_nothing_happens() {
    let output = run(&[]);
    assert!(output.status.success());
    assert!(stdout(&output).contains("survived"));
}

#[test]
fn the_named_hit_is_the_last_thing_that_happens() {
    let output = run(&[("BACKSTAY_KILL_AT", "test.loop.second:2")]);
    assert_eq!(output.status.signal(), Some(9));
    let text = stdout(&output);
    assert!(text.contains("between 2"), "{text}");
    assert!(!text.contains("between 3"), "{text}");
}

#[test]
fn a_name_alone_means_its_first_hit() {
    let output = run(&[("BACKSTAY_KILL_AT", "test.loop.first")]);
    assert_eq!(output.status.signal(), Some(9));
    assert!(!stdout(&output).contains("between 1"));
}

#[test]
fn a_count_beyond_the_hits_kills_nothing() {
    let output = run(&[("BACKSTAY_KILL_AT", "test.loop.first:4")]);
    assert!(output.status.success());
}

#[test]
fn the_log_has_every_pass_and_is_shared_by_processes() {
    let path = log_file("failpoint-log");
    let log = ("BACKSTAY_FAILPOINT_LOG", path.to_str().unwrap());
    run(&[log]);
    let loops = "test.loop.first\ntest.loop.second\n".repeat(3);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), loops);
    // The second process dies at its first point, which it has logged by then.
    run(&[log, ("BACKSTAY_KILL_AT", "test.loop.first:1")]);
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        format!("{loops}test.loop.first\n")
    );
}

#[test]
fn one_that_is_stopped_goes_on_when_it_is_continued() {
    let child = command(&[("BACKSTAY_STOP_AT", "test.loop.second:2")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(stopped, WaitStatus::Stopped(pid, Signal::SIGSTOP));
    kill(pid, Signal::SIGCONT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(stdout(&output).contains("survived"));
}

#[test]
fn a_variable_that_means_nothing_ends_the_process() {
    for value in [
        "",
        ":1",
        "test.loop.first:",
        "test.loop.first:0",
        "test.loop.first:x",
    ] {
        let output = run(&[("BACKSTAY_KILL_AT", value)]);
        assert_eq!(output.status.code(), Some(2), "{value}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("BACKSTAY_KILL_AT"), "{text}");
    }
    let output = run(&[("BACKSTAY_FAILPOINT_LOG", "/nonexistent/folder/points")]);
    assert_eq!(output.status.code(), Some(2));
}
