//! What a container is started with, and its commands: program, environment, folder, watchdog.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use k8s_openapi::api::core::v1::Container;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};

use crate::environment::expand;
use crate::groups::MARK;
use crate::paths::Mounts;

/// Variables of the agent that a pod still needs; everything else is withheld, so that the
/// machine's own `AZURE_STORAGE_*` cannot leak into a lab.
pub const INHERITED: [&str; 8] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "TZ",
    "RUST_BACKTRACE",
    "LLVM_PROFILE_FILE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// The image names no program that is known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "image {image:?} is none of this lab's, and the container has no command; known are: {known}"
)]
pub(crate) struct ImageError {
    image: String,
    known: String,
}

/// An image's name without tag and digest.
pub(crate) fn repository(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    match name.rsplit_once(':') {
        // A port belongs to the registry before it.
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    }
}

/// Program and arguments of a container: its own command, or else what stands for its image; then
/// its own arguments.
pub(crate) fn arguments(
    container: &Container,
    images: &BTreeMap<String, Vec<String>>,
    variables: &BTreeMap<String, String>,
    mounts: &Mounts,
) -> Result<Vec<String>, ImageError> {
    let own = |texts: Option<&Vec<String>>| -> Vec<String> {
        let texts = texts.into_iter().flatten();
        texts
            .map(|text| mounts.map(&expand(text, variables)))
            .collect()
    };
    let mut all = own(container.command.as_ref());
    if all.is_empty() {
        let image = container.image.as_deref().unwrap_or_default();
        let program = images
            .get(repository(image))
            .filter(|program| !program.is_empty());
        all = program.cloned().ok_or_else(|| ImageError {
            image: image.to_owned(),
            known: images.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
    }
    all.extend(own(container.args.as_ref()));
    Ok(all)
}

/// The surroundings of a container: what its process and its commands have in common.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Its own folder, which also marks its processes.
    pub folder: PathBuf,
    /// Where its processes are started.
    pub directory: PathBuf,
    pub variables: BTreeMap<String, String>,
    pub mounts: Mounts,
    pub address: Ipv4Addr,
}

impl fmt::Debug for Surroundings {
    /// Without the values of variables: they are partly keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("folder", &self.folder)
            .field("variables", &self.variables.keys())
            .finish_non_exhaustive()
    }
}

impl Surroundings {
    /// A command in these surroundings.
    pub fn command(&self, program: &str) -> Command {
        let inherited = INHERITED
            .iter()
            .filter_map(|name| std::env::var_os(name).map(|value| (*name, value)));
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(inherited)
            .envs(&self.variables)
            .env(MARK, &self.folder)
            .current_dir(&self.directory)
            .kill_on_drop(true);
        command
    }
}

/// What makes `curl` take a pod's localhost for the pod's own address: there are no network
/// namespaces either.
pub(crate) fn curl_config(address: Ipv4Addr) -> String {
    ["localhost", "127.0.0.1"]
        .map(|host| format!("connect-to = \"{host}::{address}:\"\n"))
        .concat()
}

/// The process of a container.
#[derive(Debug)]
pub(crate) struct Started {
    child: Child,
    /// Held open: its end is the process's end, if it knows the watchdog.
    _parent_pipe: Option<ChildStdin>,
}

impl Started {
    /// The process id; none once it has been waited for.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the process to end.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }
}

/// Starts a container's process. What it writes, to either of its outputs, comes out of the pipe.
pub(crate) fn start(
    surroundings: &Surroundings,
    arguments: &[String],
) -> io::Result<(Started, pipe::Receiver)> {
    let (program, arguments) = arguments.split_first().ok_or(io::ErrorKind::NotFound)?;
    let (reader, writer) = io::pipe()?;
    let mut command = surroundings.command(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    let mut child = command.spawn()?;
    let watchdog = child.stdin.take();
    let output = pipe::Receiver::from_owned_fd(reader.into())?;
    let started = Started {
        child,
        _parent_pipe: watchdog,
    };
    Ok((started, output))
}

/// Why a program cannot be started, as container runtimes say it.
pub(crate) fn start_error(program: &str, directory: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if !directory.is_dir() => {
            let directory = directory.display();
            format!("cannot start {program:?}: its folder {directory} is not there")
        }
        io::ErrorKind::NotFound if !program.contains('/') => {
            format!("exec: {program:?}: executable file not found in $PATH")
        }
        io::ErrorKind::NotFound => format!("exec: {program:?}: no such file or directory"),
        io::ErrorKind::PermissionDenied => format!("exec: {program:?}: permission denied"),
        _ => format!("exec: {program:?}: {error}"),
    }
}

#[cfg(test)]
mod tests;
