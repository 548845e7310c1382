//! A terminal for a command, without its size.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe;

/// A terminal's two ends.
pub(crate) struct Terminal {
    /// What is typed.
    pub input: pipe::Sender,
    /// What is shown.
    pub output: Output,
    /// What the command gets.
    pub command: OwnedFd,
}

/// What a terminal shows, to its end.
pub(crate) struct Output(pipe::Receiver);

/// A new terminal. Those that are started meanwhile do not inherit it: they would keep it open.
pub(crate) fn open() -> io::Result<Terminal> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let ours = posix_openpt(flags)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let theirs = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_NOCTTY.bits())
        .open(ptsname_r(&ours)?)?;
    // Our end is no pipe, but it is read, written and waited for in the same way.
    let end = || ours.as_fd().try_clone_to_owned();
    Ok(Terminal {
        input: pipe::Sender::from_owned_fd_unchecked(end()?)?,
        output: Output(pipe::Receiver::from_owned_fd_unchecked(end()?)?),
        command: theirs.into(),
    })
}

impl AsyncRead for Output {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.0).poll_read(context, buffer) {
            // Nobody has the other end any more.
            Poll::Ready(Err(error)) if error.raw_os_error() == Some(Errno::EIO as i32) => {
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}
