//! A watchdog for programs that know of none: runs one, and ends it when standard input ends, which is
//! when the parent that holds the other end is gone, however it went.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Runs a program until it ends, or standard input does, or somebody says so.
///
/// # Errors
/// When it cannot be run.
pub async fn run(command: &[OsString]) -> io::Result<()> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (gone, alone) = tokio::sync::oneshot::channel();
    // A thread of its own, because a read of standard input cannot be cancelled.
    std::thread::spawn(move || {
        // An error is an end too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // Nobody waits any more when the program has ended.
        let _ = gone.send(());
    });
    tokio::select! {
        ended = child.wait() => return ended.and_then(|status| {
            if status.success() {
                Ok(())
            } else {
                Err(io::Error::other(format!("{} ended: {status}", program.display())))
            }
        }),
        _ = alone => return child.kill().await,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    child.wait().await.map(|_| ())
}
