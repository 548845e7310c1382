//! Logs on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::args::LogFormat;

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The variable cannot be understood.
    #[error("BACKSTAY_LOG: {0}; give a level such as `debug`, or `backstay_node=debug,info`")]
    Filter(#[from] ParseError),
}

/// Starts them. `BACKSTAY_LOG` says which; without it warnings, or more if not `quiet`.
///
/// # Errors
/// When `BACKSTAY_LOG` cannot be understood.
pub fn start(format: LogFormat, quiet: bool) -> Result<(), LoggingError> {
    // What a Kubernetes client cannot do is told by whoever asked it to; it need not shout as well.
    let default = if quiet {
        "warn,kube_client::client::builder=off"
    } else {
        "info,kube_client::client::builder=off"
    };
    let filter = match std::env::var("BACKSTAY_LOG") {
        Ok(text) if !text.trim().is_empty() => EnvFilter::try_new(text)?,
        _ => EnvFilter::try_new(default)?,
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(colour(io::stderr().is_terminal())).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Whether colours may be used: on a terminal, unless `NO_COLOR` (<https://no-color.org>) is set.
pub fn colour(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
