//! Records of a log: each a moment, a tag and a line, as the container runtime interface has them.
//! `F` is a whole line, `P` a piece of one that is longer than a record, or that was cut by the
//! end.

use backstay_kubeapi::LogOptions;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// A longer line is several records.
const MAX_RECORD_BYTES: usize = 16 << 10;

const FULL: u8 = b'F';
const PARTIAL: u8 = b'P';

/// Makes records of output that comes in any pieces.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    begun: Vec<u8>,
}

impl Splitter {
    /// The records that are complete with this output.
    pub fn take(&mut self, output: &[u8], now: DateTime<Utc>) -> Vec<u8> {
        let moment = moment(now);
        let mut records = Vec::new();
        for part in output.split_inclusive(|byte| *byte == b'\n') {
            match part.split_last() {
                Some((b'\n', line)) => {
                    self.begun.extend_from_slice(line);
                    self.cut(&moment, &mut records);
                    write(&mut records, &moment, FULL, &self.begun);
                    self.begun.clear();
                }
                _ => {
                    self.begun.extend_from_slice(part);
                    self.cut(&moment, &mut records);
                }
            }
        }
        records
    }

    fn cut(&mut self, moment: &str, records: &mut Vec<u8>) {
        while self.begun.len() > MAX_RECORD_BYTES {
            let rest = self.begun.split_off(MAX_RECORD_BYTES);
            write(records, moment, PARTIAL, &self.begun);
            self.begun = rest;
        }
    }

    /// What is left when no more output comes.
    pub fn rest(&mut self, now: DateTime<Utc>) -> Vec<u8> {
        let mut records = Vec::new();
        if !self.begun.is_empty() {
            write(&mut records, &moment(now), PARTIAL, &self.begun);
            self.begun.clear();
        }
        records
    }
}

fn moment(now: DateTime<Utc>) -> String {
    now.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn write(records: &mut Vec<u8>, moment: &str, tag: u8, line: &[u8]) {
    records.extend_from_slice(moment.as_bytes());
    records.extend_from_slice(&[b' ', tag, b' ']);
    records.extend_from_slice(line);
    records.push(b'\n');
}

struct Record<'a> {
    moment: &'a [u8],
    whole: bool,
    line: &'a [u8],
}

/// What is no record was damaged with the machine, and is left out.
fn parse(record: &[u8]) -> Option<Record<'_>> {
    let mut parts = record.strip_suffix(b"\n")?.splitn(3, |byte| *byte == b' ');
    let (moment, tag, line) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = match tag {
        [FULL] => true,
        [PARTIAL] => false,
        _ => return None,
    };
    Some(Record {
        moment,
        whole,
        line,
    })
}

fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(parse)
}

/// The text of records.
pub(super) fn show(bytes: &[u8], timestamps: bool) -> Vec<u8> {
    shown(records(bytes), timestamps)
}

fn shown<'a>(records: impl Iterator<Item = Record<'a>>, timestamps: bool) -> Vec<u8> {
    let mut text = Vec::new();
    let mut begins = true;
    for record in records {
        if timestamps && begins {
            text.extend_from_slice(record.moment);
            text.push(b' ');
        }
        text.extend_from_slice(record.line);
        if record.whole {
            text.push(b'\n');
        }
        begins = record.whole;
    }
    text
}

/// The text of those records that are young enough and near enough to the end.
pub(super) fn select(bytes: &[u8], options: &LogOptions, now: DateTime<Utc>) -> Vec<u8> {
    let mut all: Vec<Record<'_>> = records(bytes).collect();
    if let Some(seconds) = options.since_seconds {
        let back = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds);
        let since = back.and_then(|back| now.checked_sub_signed(back));
        // The moments of a log have one form, and their order is that of their texts.
        let since = since.map(moment).unwrap_or_default();
        let first = all
            .iter()
            .position(|record| record.moment >= since.as_bytes());
        all.drain(..first.unwrap_or(all.len()));
    }
    if let Some(tail) = options.tail_lines {
        let tail = usize::try_from(tail).unwrap_or(usize::MAX);
        // A line begins where the record before it was the end of one.
        let begins = (0..all.len()).rev().filter(|at| {
            at.checked_sub(1)
                .and_then(|before| all.get(before))
                .is_none_or(|before| before.whole)
        });
        let first = match tail {
            0 => Some(all.len()),
            tail => begins.take(tail).last(),
        };
        all.drain(..first.unwrap_or(0));
    }
    shown(all.into_iter(), options.timestamps)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    fn log() -> Vec<u8> {
        let mut splitter = Splitter::default();
        let mut log = splitter.take(b"one\ntwo\n", at(0));
        log.extend(splitter.take(b"thr", at(5)));
        log.extend(splitter.take(b"ee\n\nfive", at(10)));
        log.extend(splitter.rest(at(20)));
        log
    }

    fn selected(options: LogOptions) -> String {
        String::from_utf8(select(&log(), &options, at(20))).unwrap()
    }

    #[test]
    fn what_is_asked_for_is_shown() {
        let all = LogOptions::default();
        for (tail, since, text) in [
            (None, None, "one\ntwo\nthree\n\nfive"),
            (Some(0), None, ""),
            (Some(1), None, "five"),
            (Some(2), None, "\nfive"),
            (Some(3), None, "three\n\nfive"),
            (Some(99), None, "one\ntwo\nthree\n\nfive"),
            (None, Some(12), "three\n\nfive"),
            (None, Some(10), "three\n\nfive"),
            (None, Some(9), "five"),
            (Some(1), Some(12), "five"),
            (None, Some(u64::MAX), "one\ntwo\nthree\n\nfive"),
            (Some(u64::MAX), None, "one\ntwo\nthree\n\nfive"),
        ] {
            let options = LogOptions {
                tail_lines: tail,
                since_seconds: since,
                ..all.clone()
            };
            assert_eq!(selected(options), text, "{tail:?} {since:?}");
        }
        let stamped = selected(LogOptions {
            timestamps: true,
            tail_lines: Some(3),
            ..all
        });
        assert_eq!(
            stamped,
            "2023-11-14T22:13:30.000000000Z three\n2023-11-14T22:13:30.000000000Z \n2023-11-14T22:13:40.000000000Z five"
        );
    }

    #[test]
    fn what_is_no_record_is_left_out() {
        let mut damaged = b"\n\xff\xfe\nx y z\n2023 Q line\n".to_vec();
        damaged.extend(log());
        damaged.extend(b"2023-11-14T22:13:40.000000000Z F cut o");
        assert_eq!(show(&damaged, false), show(&log(), false));
    }

    proptest! {
        /// However output is cut into pieces, the log has its bytes, and no record is long.
        #[test]
        fn nothing_is_lost_or_made_up(
            pieces in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..40),
                    (0_usize..40_000).prop_map(|length| vec![b'x'; length]),
                ],
                0..8,
            ),
        ) {
            let mut splitter = Splitter::default();
            let mut log = Vec::new();
            for piece in &pieces {
                log.extend(splitter.take(piece, at(0)));
            }
            log.extend(splitter.rest(at(1)));
            prop_assert_eq!(show(&log, false), pieces.concat());
            for record in log.split(|byte| *byte == b'\n') {
                prop_assert!(record.len() <= MAX_RECORD_BYTES + 40);
            }
        }

        #[test]
        fn a_tail_is_the_end_of_the_whole(text in "([a-c]{0,3}\n){0,12}[a-c]{0,3}", tail in 0_u64..15) {
            let mut splitter = Splitter::default();
            let mut log = splitter.take(text.as_bytes(), at(0));
            log.extend(splitter.rest(at(0)));
            let options = LogOptions { tail_lines: Some(tail), ..LogOptions::default() };
            let shown = String::from_utf8(select(&log, &options, at(1))).unwrap();
            prop_assert!(text.ends_with(&shown));
            let lines = text.lines().count() as u64;
            prop_assert_eq!(shown.lines().count() as u64, lines.min(tail));
        }

        #[test]
        fn any_bytes_are_read(bytes in any::<Vec<u8>>(), tail in any::<Option<u64>>(), since in any::<Option<u64>>()) {
            let options = LogOptions { tail_lines: tail, since_seconds: since, ..LogOptions::default() };
            let _ = select(&bytes, &options, at(0));
        }
    }
}
