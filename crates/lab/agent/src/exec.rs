//! Commands that run beside a container's process: for `kubectl exec`, and for probes.

use std::future::Future;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use backstay_kubeapi::{Attachment, ExecRequest, RuntimeError};
use tokio::process::{Child, Command};

use crate::groups::{Group, Groups};
use crate::launch::{Surroundings, start_error};
use crate::pty;

/// As a shell says it: the code, or 128 and the signal.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(255)
}

/// A command with its group, which ends with it.
struct Running {
    child: Child,
    group: Option<Group>,
}

impl Running {
    fn start(mut command: Command, groups: &Arc<Groups>) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let group = child.id().map(|pid| groups.adopt(pid)).transpose();
        match group {
            Ok(group) => Ok(Self { child, group }),
            Err(error) => {
                // It is marked, so it would not be lost; but it would not be frozen.
                let _ = child.start_kill();
                Err(error)
            }
        }
    }

    async fn end(mut self) -> io::Result<i32> {
        let status = self.child.wait().await?;
        // What it has left running is the container's, and ends with that.
        if let Some(group) = self.group.take() {
            group.leave();
        }
        Ok(exit_code(status))
    }
}

/// Starts a command for somebody who is connected to it.
pub(crate) fn attach(
    surroundings: &Surroundings,
    groups: &Arc<Groups>,
    request: &ExecRequest,
) -> Result<Attachment, RuntimeError> {
    let mapped = surroundings.mounts.map_all(&request.command);
    let Some((program, arguments)) = mapped.split_first() else {
        return Err(RuntimeError::BadRequest("no command given".to_owned()));
    };
    let failed = |error: io::Error| {
        let why = start_error(program, &surroundings.directory, &error);
        RuntimeError::Failed(format!("failed to exec in container: {why}"))
    };
    if request.tty {
        return terminal(surroundings, groups, program, arguments).map_err(failed);
    }
    let mut command = surroundings.command(program);
    command
        .args(arguments)
        .process_group(0)
        .stdin(if request.stdin {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = Running::start(command, groups).map_err(failed)?;
    let child = &mut running.child;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    Ok(Attachment {
        stdin: stdin.map(|stdin| Box::pin(stdin) as _),
        stdout: stdout.map_or_else(
            || Box::pin(tokio::io::empty()) as _,
            |out| Box::pin(out) as _,
        ),
        stderr: stderr.map_or_else(
            || Box::pin(tokio::io::empty()) as _,
            |out| Box::pin(out) as _,
        ),
        exit: exit(running),
    })
}

fn exit(running: Running) -> futures::future::BoxFuture<'static, Result<i32, RuntimeError>> {
    let end = running.end();
    Box::pin(async move {
        end.await
            .map_err(|error| RuntimeError::Failed(error.to_string()))
    })
}

/// With a terminal, and where `setsid` of util-linux is installed one that it controls, so that
/// Ctrl-C and the jobs of a shell work.
fn terminal(
    surroundings: &Surroundings,
    groups: &Arc<Groups>,
    program: &str,
    arguments: &[String],
) -> io::Result<Attachment> {
    let terminal = pty::open()?;
    let theirs = terminal.command;
    // A program that is not there is an error here, not one that `setsid` writes to the terminal.
    let can_control = on_path("setsid") && (program.contains('/') || on_path(program));
    let mut command = if can_control {
        let mut command = surroundings.command("setsid");
        command.arg("--ctty").arg(program);
        command
    } else {
        let mut command = surroundings.command(program);
        command.process_group(0);
        command
    };
    command
        .args(arguments)
        .env("TERM", "xterm")
        .stdin(theirs.try_clone()?)
        .stdout(theirs.try_clone()?)
        .stderr(theirs);
    let running = Running::start(command, groups)?;
    Ok(Attachment {
        stdin: Some(Box::pin(terminal.input)),
        stdout: Box::pin(terminal.output),
        stderr: Box::pin(tokio::io::empty()),
        exit: exit(running),
    })
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

/// Runs a command to its end, without input and output. It is killed when dropped.
pub(crate) fn run(
    surroundings: &Surroundings,
    groups: &Arc<Groups>,
    command: &[String],
) -> io::Result<impl Future<Output = io::Result<i32>> + use<>> {
    let mapped = surroundings.mounts.map_all(command);
    let (program, arguments) = mapped.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut command = surroundings.command(program);
    command
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let running = Running::start(command, groups)?;
    Ok(running.end())
}
