//! Whole batches: damaged at random, and made to take long.

use super::*;
use backstay_testkit::hostile::{self, FORMATS, Format, Hostile};

fn format_of(format: Format) -> IngestFormat {
    match format {
        Format::Structured => IngestFormat::Structured,
        Format::Unstructured => IngestFormat::Unstructured,
        Format::Hec | Format::HecLines | Format::HecArray => IngestFormat::Hec,
        Format::HecRaw => IngestFormat::HecRaw,
        Format::Bulk => IngestFormat::ElasticBulk,
        Format::OtlpJson | Format::OtlpProtobuf => IngestFormat::Otlp,
    }
}

fn check(batch: &Hostile) {
    let request = Request::of(batch.format.content_type());
    let shown = String::from_utf8_lossy(&batch.body);
    match request.decode(format_of(batch.format), batch.body.clone()) {
        Ok(decoded) => {
            let texts: Vec<String> = decoded.events.iter().map(|it| it.raw.clone()).collect();
            hostile::check_found(batch, &texts);
            let marked = decoded.events.iter().filter(|event| {
                let mut names = event.fields.iter().map(|(name, _)| name.as_str());
                names.any(|name| name == "@error")
            });
            if let Some(bad) = &batch.bad {
                let wanted = usize::from(batch.format.stores_bad_events()) * bad.len();
                assert_eq!(marked.count(), wanted, "{shown}");
            }
            let (status, body) = answer(decoded);
            hostile::check_answer(batch, status, &body);
        }
        Err(error) => {
            assert_eq!(status(&error), 400, "{shown}");
            assert_eq!(batch.good, [] as [String; 0], "{shown}: {error}");
        }
    }
}

proptest! {
    #[test]
    fn the_good_events_of_a_damaged_batch_are_stored_once_and_the_bad_ones_named(
        batch in prop::sample::select(FORMATS.to_vec())
            .prop_flat_map(|format| hostile::batches(format, "unit")),
    ) {
        check(&batch);
    }
}

/// The same piece over and over is where an algorithm that grows with the square shows, and where
/// one that is not bounded overflows its stack.
#[test]
fn no_batch_of_one_piece_over_and_over_is_too_much() {
    const BYTES: usize = 64 << 10;
    let pieces = [
        "{\"event\":\"x\"\n",
        "{\"event\":\"x\n",
        "{\"event\":",
        "{\"a\":[\n",
        "{\n",
        "\"\n",
        "\"x\n\"",
        "\"a\"b",
        "[",
        "]",
        "{\"event\":\"x\",}",
        "{\"index\":{}}\n",
        "x\n",
        "\\ud800",
        "\u{fffd}=",
        "a=\"",
    ];
    let around = [
        ("", ""),
        ("[", "]"),
        ("{\"event\":\"", "\"}"),
        ("[{\"messages\":[", "]}]"),
        ("[{\"messages\":[\"", "\"]}]"),
        ("[{\"events\":[", "]}]"),
        (
            "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[",
            "]}]}]}",
        ),
        ("{\"index\":{}}\n{\"message\":\"", "\"}"),
    ];
    let formats: [IngestFormat; 6] = [
        IngestFormat::Hec,
        IngestFormat::HecRaw,
        IngestFormat::Structured,
        IngestFormat::Unstructured,
        IngestFormat::ElasticBulk,
        IngestFormat::Otlp,
    ];
    for piece in pieces {
        for (begin, end) in around {
            let body = format!("{begin}{}{end}", piece.repeat(BYTES / piece.len()));
            for format in formats {
                let _ = Request::of("application/json").decode(format, body.clone());
            }
        }
    }
    let parsers = ["json", "kv", "accesslog", "syslog"];
    let lines = pieces.map(|piece| piece.replace('\n', " ").repeat(BYTES / piece.len()));
    let begins = [
        "",
        "<13>1 - - - - - [x ",
        "Nov 23 03:13:14 ",
        "<13>",
        "{\"a\":\"",
    ];
    for line in lines {
        for begin in begins {
            for parser in parsers {
                let request = Request {
                    parser: Some(parser.to_owned()),
                    ..Request::of("text/plain")
                };
                let _ = request.decode(IngestFormat::HecRaw, format!("{begin}{line}"));
            }
        }
    }
}
