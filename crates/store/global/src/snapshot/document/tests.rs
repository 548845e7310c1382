#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::snapshot::sample;
use crate::state::arbitrary::state;

fn written(state: &State) -> Vec<u8> {
    let mut text = Vec::new();
    write(state, &mut text).unwrap();
    text
}

/// Gives few bytes at a time.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.1.min(into.len());
        self.0.read(&mut into[..length])
    }
}

/// Goes as deep as the text does, and keeps the text of what is within.
fn fields(text: &[u8]) -> Vec<(String, String)> {
    let mut window = Reader {
        window: Window::new(text),
        within: String::new(),
    };
    let mut fields = Vec::new();
    window.expect(b'{').unwrap();
    loop {
        let name: String = window.value().unwrap();
        window.expect(b':').unwrap();
        let value: Box<RawValue> = window.value().unwrap();
        fields.push((name, value.get().to_owned()));
        if !window.comma_or(b'}').unwrap() {
            return fields;
        }
    }
}

fn joined(fields: &[(String, String)]) -> String {
    let all: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}:{value}", serde_json::to_string(name).unwrap()))
        .collect();
    format!("{{{}}}", all.join(" ,\n\t"))
}

proptest! {
    #[test]
    fn what_was_written_is_read_and_written_the_same(state in state(), step in 1_usize..40) {
        let text = written(&state);
        let again = read(Trickle(&text, step)).unwrap();
        prop_assert_eq!(&again, &state);
        prop_assert_eq!(written(&again), text);
    }

    #[test]
    fn fields_may_stand_in_any_order(state in state(), by in any::<u64>()) {
        let mut fields = fields(&written(&state));
        fields.sort_by_key(|(name, _)| name.bytes().fold(by, |hash, b| hash.rotate_left(7) ^ u64::from(b) ^ by));
        let again = read(joined(&fields).as_bytes()).unwrap();
        let sorted = |state: &State| {
            let mut extra: Vec<(String, String)> =
                state.extra.iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
            extra.sort();
            extra
        };
        prop_assert_eq!(sorted(&again), sorted(&state));
        prop_assert_eq!(State { extra: state.extra.clone(), ..again }, state);
    }

    #[test]
    fn a_text_that_is_cut_anywhere_is_no_snapshot(state in state(), cut in any::<prop::sample::Index>()) {
        let text = written(&state);
        // The last byte is a space behind the last brace.
        let cut = cut.index(text.trim_ascii_end().len());
        prop_assert!(read(&text[..cut]).is_err());
    }

    #[test]
    fn no_text_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&text[..]).is_err());
    }

    #[test]
    fn a_changed_byte_does_not_make_it_panic(
        state in state(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut text = written(&state);
        let at = at.index(text.len());
        text[at] = byte;
        let _ = read(&text[..]);
    }
}

#[test]
fn the_first_sixty_lines_answer_the_operators_question() {
    let text = String::from_utf8(written(&sample::state(100))).unwrap();
    let head: Vec<&str> = text.lines().take(60).collect();
    let head = head.join("\n");
    for wanted in [
        "\"clusterId\": \"5f0c6a4be02d4a2f9a4f6f0a4a3f1d77\"",
        "\"epoch\": 0",
        "\"offset\": 1329609",
        "\"bucket\": \"primarylogscalecontainer\"",
        "\"endpoint\": \"https://primaryacct.blob.core.windows.net\"",
        "\"keyPrefix\": \"z072ef-drpri/\"",
        "\"readOnly\": false",
    ] {
        assert!(head.contains(wanted), "{wanted} is not in\n{head}");
    }
}

#[test]
fn what_must_be_there_must_be_there_once() {
    let all = fields(&written(&sample::state(2)));
    for (at, (name, _)) in all.iter().enumerate() {
        let mut less = all.clone();
        less.remove(at);
        let error = read(joined(&less).as_bytes()).unwrap_err();
        assert!(
            matches!(error, DocumentError::Missing(missing) if missing == name),
            "without {name}: {error}"
        );
        let mut more = all.clone();
        more.push(all[at].clone());
        let error = read(joined(&more).as_bytes()).unwrap_err();
        assert!(
            matches!(&error, DocumentError::Twice(twice) if twice == name),
            "twice {name}: {error}"
        );
    }
}

#[test]
fn a_field_of_a_later_version_is_kept_but_a_later_layout_refused() {
    let mut all = fields(&written(&sample::state(2)));
    all.push(("later".to_owned(), "[ 1.0, {\"x\":2} ]".to_owned()));
    let state = read(joined(&all).as_bytes()).unwrap();
    assert_eq!(state.extra.get("later"), Some("[ 1.0, {\"x\":2} ]"));
    let text = String::from_utf8(written(&state)).unwrap();
    assert!(text.contains("\"later\": [ 1.0, {\"x\":2} ]"), "{text}");
    for (name, value) in &mut all {
        if name == "version" {
            *value = (VERSION + 1).to_string();
        }
    }
    let error = read(joined(&all).as_bytes()).unwrap_err();
    assert!(matches!(error, DocumentError::Version(_)), "{error}");
}

#[test]
fn a_segment_is_there_once() {
    let mut all = fields(&written(&sample::state(1)));
    for (name, value) in &mut all {
        if name == "segments" {
            let only = value.trim_matches(['[', ']', '\n']).to_owned();
            *value = format!("[{only},{only}]");
        }
    }
    let error = read(joined(&all).as_bytes()).unwrap_err();
    assert!(matches!(error, DocumentError::SegmentTwice(_)), "{error}");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let text = String::from_utf8(written(&sample::state(3))).unwrap();
    let at = text.find("\"rawBytes\":").unwrap();
    let wrong = text.replacen("\"rawBytes\":", "\"rawBytes\":x", 1);
    match read(wrong.as_bytes()).unwrap_err() {
        DocumentError::Syntax {
            at: said, within, ..
        } => {
            assert_eq!(within, "segments");
            // The place of the segment, whose text is some hundred bytes long.
            assert!(
                said <= at as u64 && at as u64 - said < 300,
                "{said} for {at}"
            );
        }
        other => panic!("{other}"),
    }
    let after = format!("{text} true");
    assert!(
        read(after.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("more text")
    );
}
