//! Commands of `backstay` as a person would type them: with a kubeconfig, a token file and the pair's
//! file in the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use backstay_agent::INHERITED;
use tokio::process::Command;

/// How the drill runs commands of the binary: which program, with which environment.
#[derive(Clone, Debug)]
pub(super) struct Hands {
    /// The path of the program to run.
    pub(super) program: PathBuf,
    /// Whether the environment of this process is withheld from it, so that the machine's own
    /// `AZURE_STORAGE_*` cannot leak into a lab.
    pub(super) secluded: bool,
    /// Variables that it gets besides. Names of files: no secrets.
    pub(super) variables: BTreeMap<String, String>,
}

impl Hands {
    /// A command, not yet started. It ends when its handle is dropped or its standard input is, also
    /// when this process is killed: whoever starts it has to hold on to that.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--exit-with-parent").args(arguments);
        if self.secluded {
            let inherited = INHERITED
                .iter()
                .filter_map(|name| std::env::var_os(name).map(|value| (*name, value)));
            command.env_clear().envs(inherited);
        }
        command
            .envs(&self.variables)
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            // A Ctrl-C in the terminal reaches the drill, which decides.
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}
