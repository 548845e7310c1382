//! What a shipper says of an event besides its text: in the envelope, or in the query string for all
//! events of a request, as Splunk takes it.

use super::super::Context;
use super::super::draft::Draft;
use super::super::json::{Members, text};

/// Splunk's header that names a channel.
const CHANNEL: &str = "X-Splunk-Request-Channel";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) host: Option<String>,
    pub(super) source: Option<String>,
    pub(super) sourcetype: Option<String>,
    pub(super) timezone: Option<String>,
    index: Option<String>,
    channel: Option<String>,
}

impl Metadata {
    /// What a request says of all its events.
    pub(super) fn of_request(context: &Context<'_>) -> Self {
        let header = context.headers.get(CHANNEL);
        let mut metadata = Self {
            channel: header.and_then(|value| value.to_str().ok().map(str::to_owned)),
            ..Self::default()
        };
        let query = context.query.unwrap_or_default().as_bytes();
        for (name, value) in url::form_urlencoded::parse(query) {
            if let Some(place) = metadata.place(&name).filter(|_| !value.is_empty()) {
                *place = Some(value.into_owned());
            }
        }
        metadata
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "host" => Some(&mut self.host),
            "source" => Some(&mut self.source),
            "sourcetype" => Some(&mut self.sourcetype),
            "timezone" => Some(&mut self.timezone),
            "index" => Some(&mut self.index),
            "channel" => Some(&mut self.channel),
            _ => None,
        }
    }

    /// With what the envelope of an event says, which wins.
    pub(super) fn with(&self, members: &Members<'_>) -> Self {
        let mut metadata = self.clone();
        for name in ["host", "source", "sourcetype", "timezone", "index"] {
            let value = members.get(name).and_then(text);
            if let Some((place, value)) = metadata.place(name).zip(value) {
                *place = Some(value.into_owned());
            }
        }
        metadata
    }

    /// Puts it into fields.
    pub(super) fn add_to(&self, draft: &mut Draft) {
        let fields = [
            ("@host", &self.host),
            ("@source", &self.source),
            ("@sourcetype", &self.sourcetype),
            ("@timezone", &self.timezone),
            ("@index", &self.index),
            ("channel", &self.channel),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                draft.sent.push(name, value);
            }
        }
    }
}
