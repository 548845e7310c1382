//! Batches in which some events are damaged, at random places and in random ways, for each format:
//! what a node that crashes, recovers or passes them on must still do right with them. The good
//! ones are known by their texts, each there once; the bad ones by their places.
//!
//! Nothing here knows the node from inside, so that any test can send these.

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};

/// A format, as it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Structured,
    Unstructured,
    Hec,
    HecLines,
    HecArray,
    HecRaw,
    Bulk,
    OtlpJson,
    OtlpProtobuf,
}

pub const FORMATS: [Format; 9] = [
    Format::Structured,
    Format::Unstructured,
    Format::Hec,
    Format::HecLines,
    Format::HecArray,
    Format::HecRaw,
    Format::Bulk,
    Format::OtlpJson,
    Format::OtlpProtobuf,
];

impl Format {
    /// Where it is sent to.
    pub fn path(self) -> &'static str {
        match self {
            Self::Structured => "/api/v1/ingest/humio-structured",
            Self::Unstructured => "/api/v1/ingest/humio-unstructured",
            Self::Hec | Self::HecLines | Self::HecArray => "/services/collector",
            Self::HecRaw => "/services/collector/raw",
            Self::Bulk => "/api/v1/ingest/elastic-bulk/_bulk",
            Self::OtlpJson | Self::OtlpProtobuf => "/api/v1/ingest/otlp/v1/logs",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::OtlpProtobuf => "application/x-protobuf",
            _ => "application/json",
        }
    }

    /// A bad event is stored as it came, with `@error`; the others refuse it.
    pub fn stores_bad_events(self) -> bool {
        matches!(self, Self::Structured | Self::Unstructured | Self::HecRaw)
    }
}

/// A batch with damage.
#[derive(Clone, Debug)]
pub struct Hostile {
    pub format: Format,
    pub body: Vec<u8>,
    /// The texts of the good events. No other event has one of them.
    pub good: Vec<String>,
    /// The places of the bad ones; none if only the good ones are foreseen.
    pub bad: Option<Vec<usize>>,
}

/// How one event of a batch is.
#[derive(Clone, Debug)]
enum Slot {
    Good(String),
    /// Damage of a kind that the format's list has.
    Bad(usize),
    /// One byte is another; what becomes of the event is open, but not what becomes of the others.
    Flipped(prop::sample::Index, u8),
}

fn slots(with_flips: bool) -> impl Strategy<Value = Vec<Slot>> {
    let good = "[^\r\n]{0,12}".prop_map(Slot::Good);
    let bad = (0_usize..1000).prop_map(Slot::Bad);
    let flipped = (any::<prop::sample::Index>(), any::<u8>());
    let flipped = flipped.prop_map(|(at, byte)| Slot::Flipped(at, byte));
    let flips = u32::from(with_flips) * 2;
    let slot = prop_oneof![3 => good, 2 => bad, flips => flipped];
    prop::collection::vec(slot, 1..12)
}

/// Batches of a format. `name` tells their events from those of other calls.
pub fn batches(format: Format, name: &str) -> impl Strategy<Value = Hostile> + use<> {
    let name = name.to_owned();
    // Where events stand on lines of their own, no damage of one may reach the next.
    let is_by_lines = matches!(format, Format::HecLines | Format::Bulk | Format::HecRaw);
    slots(is_by_lines).prop_map(move |slots| batch(format, &name, &slots))
}

fn batch(format: Format, name: &str, slots: &[Slot]) -> Hostile {
    let mut events: Vec<Vec<u8>> = Vec::new();
    let mut good = Vec::new();
    let mut bad = Some(Vec::new());
    for (at, slot) in slots.iter().enumerate() {
        match slot {
            Slot::Good(text) => {
                let text = format!("{name} good {at} {text}.");
                events.push(event(format, &text));
                good.push(text);
            }
            Slot::Bad(kind) => {
                let kinds = damaged(format, &format!("{name} bad {at}"));
                events.push(kinds[kind % kinds.len()].clone());
                bad.iter_mut().for_each(|bad| bad.push(at));
            }
            Slot::Flipped(place, byte) => {
                let mut flipped = event(format, &format!("{name} flipped {at}"));
                let place = place.index(flipped.len());
                flipped[place] = *byte;
                events.push(flipped);
                bad = None;
            }
        }
    }
    Hostile {
        format,
        body: body(format, &events),
        good,
        bad,
    }
}

fn record(text: &str) -> Vec<u8> {
    let body = AnyValue {
        value: Some(Any::StringValue(text.to_owned())),
    };
    LogRecord {
        body: Some(body),
        ..LogRecord::default()
    }
    .encode_to_vec()
}

/// A good event of this text.
fn event(format: Format, text: &str) -> Vec<u8> {
    let json: Value = match format {
        Format::Structured => json!({ "timestamp": 1_700_000_000_000_i64, "rawstring": text }),
        Format::Unstructured => json!(text),
        Format::Hec | Format::HecLines | Format::HecArray => json!({ "event": text }),
        Format::OtlpJson => json!({ "body": { "stringValue": text } }),
        Format::Bulk => {
            let document = json!({ "message": text, "n": 1 });
            return format!("{{\"index\":{{}}}}\n{document}").into_bytes();
        }
        Format::HecRaw => return text.as_bytes().to_vec(),
        Format::OtlpProtobuf => return record(text),
    };
    json.to_string().into_bytes()
}

/// Events that cannot be what they should be, around a text.
fn damaged(format: Format, text: &str) -> Vec<Vec<u8>> {
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let texts: Vec<String> = match format {
        Format::Structured => vec![
            format!("{{\"timestamp\":,\"rawstring\":\"{text}\"}}"),
            format!("{{\"rawstring\":\"{text}\"}}"),
            format!("{{\"timestamp\":\"soon\",\"rawstring\":\"{text}\"}}"),
            format!("{{\"timestamp\":99999999999999,\"rawstring\":\"{text}\"}}"),
            format!("{{\"timestamp\":1700000000000,\"rawstring\":\"{text}\\ud800\"}}"),
            format!("{{\"timestamp\":1700000000000,\"rawstring\":\"{text}\\x\"}}"),
            format!("{{\"timestamp\":1700000000000,\"attributes\":\"{text}\"}}"),
            format!("\"{text}\""),
            "{}".to_owned(),
            "null".to_owned(),
            deep,
        ],
        Format::Unstructured => vec![
            "7".to_owned(),
            "null".to_owned(),
            format!("{{\"a\":\"{text}\"}}"),
            format!("\"{text}\\ud800\""),
            format!("\"{text}\\x\""),
            format!("{{\"{text}\":}}"),
            "oops".to_owned(),
            deep,
        ],
        Format::Hec | Format::HecArray => vec![
            format!("{{\"event\":\"{text}\",}}"),
            format!("{{\"event\":\"{text}\\x\"}}"),
            format!("{{\"evnt\":\"{text}\"}}"),
            "{\"event\":null}".to_owned(),
            "{\"event\":\"\"}".to_owned(),
            "{\"event\":}".to_owned(),
            "{}".to_owned(),
            format!("\"{text}\""),
        ],
        Format::HecLines => vec![
            format!("{{\"event\":\"{text}\""),
            format!("{{\"event\":\"{text}"),
            format!("{{\"event\":\"{text}\"oops\"}}"),
            format!("{{\"event\":{{\"{text}\":[}}"),
            format!("{{\"event\":[\"{text}\"}}"),
            "nonsense".to_owned(),
            "{".to_owned(),
            "7".to_owned(),
        ],
        Format::Bulk => vec![
            "{\"index\":{}}\n[1]".to_owned(),
            "{\"index\":{}}\n".to_owned(),
            format!("{{\"index\":{{}}}}\n{{\"message\":\"{text}"),
            format!("{{\"create\":{{}}}}\n{{\"message\":\"{text}\"}}{{}}"),
            "{\"delete\":{\"_id\":\"1\"}}".to_owned(),
            format!("{{\"update\":{{\"_id\":\"1\"}}}}\n{{\"doc\":\"{text}\"}}"),
            format!("{{\"index\":\n{{\"message\":\"{text}\"}}"),
            format!("{{\"purge\":{{}}}}\n{{\"message\":\"{text}\"}}"),
            format!("nonsense\n{{\"message\":\"{text}\"}}"),
        ],
        Format::OtlpJson => vec![
            format!("{{\"body\":{{\"string_value\":\"{text}\"}}}}"),
            "{\"body\":{\"intValue\":\"x\"}}".to_owned(),
            "{\"body\":}".to_owned(),
            "{\"traceId\":7}".to_owned(),
            "[]".to_owned(),
            "7".to_owned(),
            deep,
        ],
        Format::HecRaw => {
            return vec![[text.as_bytes(), b"\xff\xfe"].concat(), b"\xc0".to_vec()];
        }
        Format::OtlpProtobuf => {
            let whole = record(text);
            return vec![
                whole[..whole.len() - 1].to_vec(),
                vec![0xff; 11],
                vec![0x2a, 0x7f],
                // A body of the wrong type.
                vec![0x28, 0x01],
            ];
        }
    };
    texts.into_iter().map(String::into_bytes).collect()
}

fn joined(events: &[Vec<u8>], before: &str, between: &str, behind: &str) -> Vec<u8> {
    let middle = events.join(between.as_bytes());
    [before.as_bytes(), &middle, behind.as_bytes()].concat()
}

/// The events as one body.
fn body(format: Format, events: &[Vec<u8>]) -> Vec<u8> {
    match format {
        Format::Structured => joined(events, "[{\"events\":[", ",", "],\"tags\":{\"a\":\"b\"}}]"),
        Format::Unstructured => joined(events, "[{\"messages\":[", ", ", "]}]"),
        Format::Hec => joined(events, "", "", ""),
        Format::HecArray => joined(events, "[", ",", "]"),
        Format::HecLines | Format::HecRaw | Format::Bulk => joined(events, "", "\n", "\n"),
        Format::OtlpJson => joined(
            events,
            "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[",
            ",",
            "]}]}]}",
        ),
        Format::OtlpProtobuf => {
            // The numbers are those of the fields in `logs.proto` and `logs_service.proto`.
            let wrapped = |tag: u8, inner: &[u8]| {
                let mut message = vec![tag << 3 | 2];
                prost::encoding::encode_varint(inner.len() as u64, &mut message);
                message.extend_from_slice(inner);
                message
            };
            let records: Vec<Vec<u8>> = events.iter().map(|event| wrapped(2, event)).collect();
            wrapped(1, &wrapped(2, &records.concat()))
        }
    }
}

/// Checks what was answered: the bad ones are named in the terms of the protocol.
pub fn check_answer(batch: &Hostile, status: u16, answer: &[u8]) {
    let Some(bad) = &batch.bad else {
        assert!([200, 400].contains(&status), "{batch:?}");
        return;
    };
    let shown = String::from_utf8_lossy(&batch.body);
    let json = || serde_json::from_slice::<Value>(answer).unwrap_or_default();
    match batch.format {
        _ if bad.is_empty() => assert_eq!(status, 200, "{shown}"),
        Format::Structured | Format::Unstructured | Format::HecRaw => {
            assert_eq!(status, 200, "{shown}");
        }
        Format::Hec | Format::HecLines | Format::HecArray => {
            let json = json();
            assert_eq!(status, 400, "{shown}");
            assert_eq!(json["invalid-event-number"], bad[0], "{shown}: {json}");
            assert_eq!(json["eventCount"], batch.good.len(), "{shown}: {json}");
        }
        Format::Bulk => {
            let json = json();
            let items = json["items"].as_array().unwrap();
            assert_eq!(items.len(), bad.len() + batch.good.len(), "{shown}: {json}");
            for (at, item) in items.iter().enumerate() {
                let (_, item) = item.as_object().unwrap().iter().next().unwrap();
                let wanted = if bad.contains(&at) { 400 } else { 201 };
                assert_eq!(item["status"], wanted, "{shown}: {at} of {json}");
            }
        }
        _ if batch.good.is_empty() => assert_eq!(status, 400, "{shown}"),
        Format::OtlpJson => {
            let rejected = &json()["partialSuccess"]["rejectedLogRecords"];
            assert_eq!(rejected, &bad.len().to_string(), "{shown}");
        }
        Format::OtlpProtobuf => assert!(!answer.is_empty(), "{shown}"),
    }
}

/// Checks what was found: each good event once, and what was refused not at all.
pub fn check_found(batch: &Hostile, texts: &[String]) {
    let shown = String::from_utf8_lossy(&batch.body);
    for good in &batch.good {
        let times = texts.iter().filter(|text| *text == good).count();
        assert_eq!(times, 1, "{good:?} of {shown}: {texts:?}");
    }
    if let Some(bad) = &batch.bad {
        let kept = if batch.format.stores_bad_events() {
            bad.len()
        } else {
            0
        };
        assert_eq!(texts.len(), batch.good.len() + kept, "{shown}: {texts:?}");
    }
}

/// An event that has more of something than there may be.
pub fn wide_event(number: usize, text: &str) -> Value {
    let attributes = match number % 4 {
        0 => (0..20_000)
            .map(|n| (format!("field{n}"), json!(n)))
            .collect(),
        1 => {
            let deep = (0..300).fold(json!("x"), |inner, n| json!({ format!("n{n}"): inner }));
            json!({ "deep": deep })
        }
        2 => json!({ "n".repeat(100_000): "x", "value": "v".repeat(500_000) }),
        _ => (0..2000)
            .map(|n| (format!("{n}{}", "n".repeat(900)), json!([n, n])))
            .collect(),
    };
    json!({ "timestamp": 1_700_000_000_000_i64, "rawstring": text, "attributes": attributes })
}
