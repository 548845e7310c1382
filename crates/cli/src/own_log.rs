//! Gives the log of a node to the node itself, which keeps it in the repository `humio`.

use std::fmt::{Debug, Write as _};

use backstay_node::{OwnLog, OwnLogLine};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Hands on every event, but for those of what stores them.
pub struct OwnLogLayer(pub OwnLog);

impl<S: Subscriber> Layer<S> for OwnLogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if OwnLog::leaves_out(metadata.target()) {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        self.0.offer(OwnLogLine {
            at_ms: chrono::Utc::now().timestamp_millis(),
            level: metadata.level().as_str(),
            target: metadata.target().to_owned(),
            message: text.message,
            fields: text.fields,
        });
    }
}

/// An event's message and, one after the other, its fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // To write into a string succeeds.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
