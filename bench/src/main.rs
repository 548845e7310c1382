//! Benchmarks. Each one measures Backstay and a *peer* in the same run, alternating, and prints a
//! table and one line `ratio …`: a figure of one machine says little, a ratio of two figures that
//! were taken together says what of the cost is ours.
//!
//! | Command | What | Peer |
//! | --- | --- | --- |
//! | `ingest` | log lines over HTTP until they are acknowledged, and until they are in segments, on one core | `zstd -3` of the same bytes to a file, on that core |
//! | `failover` | from SIGKILL of a primary until it is served again, with nobody's help | PostgreSQL under Patroni |
//! | `standby` | from SIGKILL of a primary to the first complete search on a standby that is started at once | the same with 10 segments, and loading the snapshot |
//! | `hostile` | recovering the worst that clients send | recovering plain log lines of as many bytes |
//! | `recovery` | loading a snapshot of a million segments | decrypting, unpacking and parsing the same bytes to nothing |
//! | `dns` | queries a second on one core; from a failed probe to another answer | gdnsd, pdns-server |
//! | `search` | finding a rare text in 1 GB of log lines | `rg` over the raw file |
//!
//! `cargo run --release -p backstay-bench -- recovery`. With `--output json`, one object and
//! nothing else is written to standard output; progress goes to standard error. The exit code is
//! 0, 1 when a measurement failed or a limit does not hold, 2 when something needed is missing.

mod dns;
mod failover;
mod hostile;
mod ingest;
mod lines;
mod measure;
mod process;
mod recovery;
mod search;
mod standby;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use table::Report;

/// Measures Backstay against named peers.
#[derive(Debug, Parser)]
#[command(name = "backstay-bench")]
struct Arguments {
    /// How the result is written.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Log lines over HTTP on one core, against zstd.
    Ingest(ingest::Options),
    /// From the kill of a primary until it is served again, against Patroni.
    Failover(failover::Options),
    /// From the kill of a primary to a search on the standby, as the state grows.
    Standby(standby::Options),
    /// Recovering the worst that clients send, against plain log lines.
    Hostile(hostile::Options),
    /// DNS with health checks, against gdnsd and PowerDNS.
    Dns(dns::Options),
    /// Loading a large snapshot, against parsing the same bytes to nothing.
    Recovery(recovery::Options),
    /// Finding a rare text, against ripgrep.
    Search(search::Options),
    /// Loads a snapshot once and tells the peak memory; `recovery` runs it as a process.
    #[command(hide = true)]
    RecoveryOnce(recovery::OnceOptions),
}

/// Why there is no result.
#[derive(Debug)]
enum Failure {
    /// Something went wrong.
    Failed(String),
    /// Something that is needed is not on this machine.
    Missing(String),
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(Failure::from(error)),
    };
    let result = runtime.block_on(async {
        match arguments.bench {
            Bench::Ingest(options) => ingest::run(&options).await,
            Bench::Failover(options) => failover::run(&options).await,
            Bench::Standby(options) => standby::run(&options).await,
            Bench::Hostile(options) => hostile::run(&options).await,
            Bench::Dns(options) => dns::run(&options).await,
            Bench::Recovery(options) => recovery::run(&options).await,
            Bench::Search(options) => search::run(&options).await,
            Bench::RecoveryOnce(options) => recovery::once(&options).await,
        }
    });
    let report = match result {
        Ok(report) => report,
        Err(failure) => return fail(failure),
    };
    match show(&report, arguments.output) {
        Ok(()) if report.ok => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(1),
        Err(error) => fail(Failure::from(error)),
    }
}

fn show(report: &Report, output: Output) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match output {
        Output::Text => write!(out, "{report}")?,
        Output::Json => {
            serde_json::to_writer(&mut out, report)?;
            writeln!(out)?;
        }
    }
    out.flush()
}

fn fail(failure: Failure) -> ExitCode {
    let (text, code) = match failure {
        Failure::Failed(text) => (text, 1),
        Failure::Missing(text) => (text, 2),
    };
    note(&text);
    ExitCode::from(code)
}

/// Tells on standard error what is going on; if that fails, nobody is left to be told.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "backstay-bench: {text}");
}
