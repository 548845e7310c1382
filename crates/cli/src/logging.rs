//! Logs on standard error; and traces to a collector, where one is named.

use std::io::{self, IsTerminal};

use backstay_node::OwnLog;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::LogFormat;
use crate::own_log::OwnLogLayer;

/// The variables that name a collector (OpenTelemetry Protocol Exporter, "Configuration Options":
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>). Without either, nothing is sent.
const COLLECTOR: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The variable cannot be understood.
    #[error("BACKSTAY_LOG: {0}; give a level such as `debug`, or `backstay_node=debug,info`")]
    Filter(#[from] ParseError),
    /// The collector cannot be sent to.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: {0}")]
    Collector(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// What is still to be sent when the process ends.
#[derive(Default)]
pub struct Traces(Option<SdkTracerProvider>);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "not all traces could be sent");
        }
    }
}

/// Starts them. `BACKSTAY_LOG` says which logs; without it warnings, or more if not `quiet`. A node keeps its
/// log itself, too.
///
/// # Errors
/// When `BACKSTAY_LOG` or the collector's address cannot be understood.
pub fn start(
    format: LogFormat,
    quiet: bool,
    own_log: Option<OwnLog>,
) -> Result<Traces, LoggingError> {
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
    let provider = collector()?;
    // A collector wants all of ours, however quiet the terminal is to be.
    let traces = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("backstay"))
            .with_filter(EnvFilter::new("off,backstay=info"))
    });
    // What a cluster keeps of its own log does not depend on what is shown here.
    let own_log = own_log.map(|log| OwnLogLayer(log).with_filter(LevelFilter::INFO));
    let registry = tracing_subscriber::registry().with(traces).with(own_log);
    let logs = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Text => {
            let logs = logs.with_ansi(colour(io::stderr().is_terminal()));
            registry.with(logs.with_filter(filter)).init();
        }
        LogFormat::Json => {
            let logs = logs.json().flatten_event(true);
            registry.with(logs.with_filter(filter)).init();
        }
    }
    Ok(Traces(provider))
}

/// The way to the collector that the environment names.
fn collector() -> Result<Option<SdkTracerProvider>, LoggingError> {
    let named = |name: &str| std::env::var(name).is_ok_and(|it| !it.trim().is_empty());
    if !COLLECTOR.iter().any(|name| named(name)) {
        return Ok(None);
    }
    // An error means that one is installed already.
    backstay_tls::install_provider();
    // Its endpoint, headers and timeout are read from OpenTelemetry's own variables.
    let exporter = SpanExporter::builder().with_http().build()?;
    let resource = Resource::builder().with_service_name("backstay").build();
    Ok(Some(
        SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build(),
    ))
}

/// Whether colours may be used: on a terminal, unless `NO_COLOR` (<https://no-color.org>) is set.
pub fn colour(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
