//! The `backstay` command: arguments in, output and exit codes out. What it does is done by the
//! crates below; nothing is decided here.
//!
//! Standard output belongs to the result of a command, and with `--output json` it is one JSON
//! object and nothing else, also when the command fails. Logs, progress and errors go to standard
//! error.

mod args;
mod confirm;
mod control;
mod derive;
#[cfg(feature = "lab")]
mod drill;
mod failover;
#[cfg(feature = "lab")]
mod lab;
mod logging;
mod man;
mod node;
mod own_log;
#[cfg(feature = "lab")]
mod part;
mod runbook;
mod status;
mod token_hash;
mod traffic;
mod variables;
mod verify;
mod watch;
mod webhook;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::{CommandFactory, Parser};
use tokio::signal::unix::{SignalKind, signal};

use args::{Arguments, Command, Output};
use backstay_runbook::{Choices, Command as Run};

/// Gives freed memory back to the system, from a thread of its own, whichever thread had it. See
/// ARCHITECTURE.md for what others keep.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    /// The command has done what it was asked for.
    Done = 0,
    /// The command has failed; standard error says why.
    Failed = 1,
    /// Wrong arguments, or a variable that cannot be used. Clap uses the same.
    Usage = 2,
    /// A check says no.
    No = 3,
    /// A person has to do something.
    Waits = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Whether a result has been written to standard output.
static RESULT_WRITTEN: AtomicBool = AtomicBool::new(false);
/// The last error that was written to standard error.
static LAST_ERROR: Mutex<String> = Mutex::new(String::new());

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // What is wanted cannot be known from arguments that are wrong, but this can.
            let wants_json = std::env::args().skip(1).any(|it| it == "--output=json")
                || std::env::args()
                    .zip(std::env::args().skip(1))
                    .any(|(flag, value)| {
                        flag == "--output" && (value == "json" || value == "ndjson")
                    });
            if error.use_stderr() && wants_json {
                remember(&error.render().to_string());
                failed_as_json(Exit::Usage);
            }
            error.exit();
        }
    };
    let output = arguments.output;
    let exit = run(arguments);
    if output.is_json() && exit != Exit::Done && !RESULT_WRITTEN.load(Ordering::Relaxed) {
        failed_as_json(exit);
    }
    exit.into()
}

/// Whoever reads standard output gets an object in every case.
fn failed_as_json(exit: Exit) {
    let error = LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner);
    let exit_code = exit as u8;
    print_json(&serde_json::json!({ "ok": false, "error": *error, "exit_code": exit_code }));
}

fn run(arguments: Arguments) -> Exit {
    if arguments.exit_with_parent {
        exit_with_parent();
    }
    let (own_log, own_lines) = match &arguments.command {
        Command::Node(_) => {
            let (log, lines) = backstay_node::own_log();
            (Some(log), Some(lines))
        }
        _ => (None, None),
    };
    let quiet = arguments.command.quiet();
    let traces = match logging::start(arguments.log_format, quiet, own_log) {
        Ok(traces) => traces,
        Err(error) => {
            print_error(&error.to_string());
            return Exit::Usage;
        }
    };
    if arguments.output == Output::Prometheus && !arguments.command.has_metrics() {
        print_error("--output prometheus: this command has no metrics; use text or json");
        return Exit::Usage;
    }
    let flags = match &arguments.command {
        Command::Node(flags) => node::variables(flags).into_keys().collect(),
        _ => BTreeSet::new(),
    };
    if let Err(error) = variables::look(&arguments.command, &flags) {
        print_error(&error.to_string());
        return Exit::Usage;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(&format!("cannot start the runtime: {error}"));
            return Exit::Failed;
        }
    };
    if arguments.command.serves()
        && let Err(error) = outlive_hangup(&runtime)
    {
        print_error(&format!("cannot wait for signals: {error}"));
        return Exit::Failed;
    }
    let exit = match arguments.command {
        Command::Node(flags) => runtime.block_on(node::run(&flags, own_lines)),
        Command::Traffic(flags) => runtime.block_on(traffic::run(&flags, arguments.output)),
        Command::Derive(flags) => derive::run(&flags, arguments.output),
        Command::Verify(flags) => runtime.block_on(verify::run(&flags, arguments.output)),
        #[cfg(feature = "lab")]
        Command::Lab(flags) => runtime.block_on(lab::run(&flags, arguments.output)),
        #[cfg(feature = "lab")]
        Command::Drill(flags) => runtime.block_on(drill::run(&flags, arguments.output)),
        #[cfg(not(feature = "lab"))]
        Command::Lab(_) | Command::Drill(_) => without_lab(),
        Command::Watch(flags) => runtime.block_on(watch::run(&flags, arguments.output)),
        Command::Failover(flags) => runtime.block_on(failover::run(&flags, arguments.output)),
        Command::Promote(flags) => {
            let choices = Choices::default();
            let run = runbook::run(&flags.run, Run::Promote, choices, arguments.output);
            runtime.block_on(run)
        }
        Command::Failback(flags) => {
            let choices = Choices {
                skip_reverse_recovery: flags.skip_reverse_recovery,
                quiet_seconds: flags.quiet_seconds,
                ..Choices::default()
            };
            let run = runbook::run(&flags.run, Run::Failback, choices, arguments.output);
            runtime.block_on(run)
        }
        Command::CleanSecondary(flags) => {
            let choices = Choices::default();
            let run = runbook::run(&flags.run, Run::CleanSecondary, choices, arguments.output);
            runtime.block_on(run)
        }
        Command::Runs(flags) => runtime.block_on(runbook::runs(&flags, arguments.output)),
        Command::Status(flags) => runtime.block_on(status::run(&flags, arguments.output)),
        Command::Completions { shell } => completions(shell),
        Command::TokenHash(flags) => token_hash::run(flags, arguments.output),
        Command::Man(flags) => man::run(&flags, arguments.output),
    };
    drop(traces);
    exit
}

#[cfg(not(feature = "lab"))]
fn without_lab() -> Exit {
    print_error(
        "this binary was built without the lab, as for production; build one with the feature `lab`, \
         which is on by default: cargo install --path crates/cli",
    );
    Exit::Usage
}

/// From now on SIGHUP does not end this process. Servers reload their certificates at it.
fn outlive_hangup(runtime: &tokio::runtime::Runtime) -> io::Result<()> {
    let _guard = runtime.enter();
    // The handler stays when this, its first receiver, is gone.
    signal(SignalKind::hangup()).map(drop)
}

fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "backstay", &mut script);
    print_bytes(&script)
}

/// Writes a result to standard output: the object for programs, the text for people.
fn print_result(
    output: Output,
    object: &impl serde::Serialize,
    text: impl FnOnce() -> String,
) -> Exit {
    match output.is_json() {
        true => print_json(object),
        false => print_bytes(text().as_bytes()),
    }
}

/// Writes a result to standard output. A reader that went away, as `head` does, is no failure.
fn print_bytes(result: &[u8]) -> Exit {
    RESULT_WRITTEN.store(true, Ordering::Relaxed);
    match write(result) {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            print_error(&format!("cannot write to standard output: {error}"));
            Exit::Failed
        }
    }
}

/// Writes what goes on to standard output, as one JSON object on a line of its own. Whoever does not
/// read it any more need not keep the command from its end.
fn print_json_line(value: &impl serde::Serialize) {
    let _ = line_of(value).map(|line| write(&line));
}

fn write(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}

/// A value as JSON, and the end of its line.
fn line_of(value: &impl serde::Serialize) -> serde_json::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    Ok(text)
}

/// Writes an error to standard error; if that fails, nobody is left to be told.
fn print_error(text: &str) {
    remember(text);
    let _ = writeln!(io::stderr(), "backstay: {text}");
}

fn remember(error: &str) {
    let mut last = LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner);
    error.trim().clone_into(&mut last);
}

/// Writes a result to standard output as one JSON object.
fn print_json(value: &impl serde::Serialize) -> Exit {
    match line_of(value) {
        Ok(line) => print_bytes(&line),
        Err(error) => {
            print_error(&format!("cannot write the result as JSON: {error}"));
            Exit::Failed
        }
    }
}

/// Ends this process when its standard input ends, which is when the parent that holds the other
/// end is gone, however it went. On a thread of its own: nothing that this process does may delay it.
fn exit_with_parent() {
    std::thread::spawn(|| {
        // An error is an end too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(Exit::Failed as i32);
    });
}

/// Resolves at Ctrl-C or SIGTERM.
async fn stopped() {
    let wait = async |kind| match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        // Without a handler the signal ends the process, and the nodes with it.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
    }
}
