#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::super::Fault;
use super::super::report::tests::{measured, report, verdict};
use super::super::report::{Report, judge};
use super::{Look, duration, grouped, render, resample};
use crate::workload::verdict::Verdict;

const PLAIN: Look = Look {
    width: 80,
    colour: false,
};

fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines()
        .find(|line| line.starts_with(start))
        .unwrap_or_else(|| panic!("no {start} in\n{text}"))
}

fn column(line: &str, what: char) -> usize {
    line.chars()
        .position(|character| character == what)
        .unwrap()
}

#[test]
fn phases_and_marks_share_one_axis() {
    let text = render(&report(), PLAIN);
    let recovers = line(&text, "detection");
    let marks = text
        .lines()
        .find(|line| line.contains("✖ SIGKILL"))
        .unwrap();
    assert_eq!(column(recovers, '━'), column(marks, '✖'), "{text}");
    let back = text
        .lines()
        .find(|line| line.contains("recovered 4.70 s"))
        .unwrap();
    assert_eq!(
        column(back, '✔'),
        column(line(&text, "ingest the rest"), '━'),
        "{text}"
    );
    assert!(line(&text, "ingest ").ends_with("4.00 s"), "{text}");
}

#[test]
fn what_the_rto_is_made_of_and_the_way_back_are_told() {
    let text = render(&report(), PLAIN);
    let parts = "of the RTO: detection 200 ms, holdoff 100 ms, all else 400 ms";
    assert!(text.contains(parts), "{text}");
    assert!(text.contains("promotion: 0 requests failed"), "{text}");
    assert!(text.contains("no region took writes for 900 ms"), "{text}");
    let mut frozen = report();
    frozen.fault = Fault::Freeze;
    assert!(render(&frozen, PLAIN).contains("✖ frozen 4.00 s"));
}

#[test]
fn the_rate_falls_to_nothing_in_the_outage() {
    let text = render(&report(), PLAIN);
    let rate = line(&text, "acknowledged/s");
    let marks = text
        .lines()
        .find(|line| line.contains("✖ SIGKILL"))
        .unwrap();
    // The fourth of the eight seconds has no acknowledgement; the kill is at its end.
    let axis: Vec<char> = rate.chars().skip(27).collect();
    let kill = column(marks, '✖') - 27;
    assert_eq!(axis[kill - 2], ' ', "{text}");
    assert_eq!(axis[0], '█', "{text}");
}

#[test]
fn a_failed_drill_says_so_and_shows_what_failed() {
    let bad = Verdict {
        lost: 3,
        examples: vec!["lost x-1".to_owned()],
        ..verdict()
    };
    let text = render(&judge(measured(), bad), PLAIN);
    assert!(text.contains("✘ FAILED"), "{text}");
    assert!(
        text.contains("✘ every acknowledged event is found"),
        "{text}"
    );
    assert!(text.contains("lost x-1"), "{text}");
    assert!(!render(&report(), PLAIN).contains('✘'));
}

#[test]
fn colours_are_used_only_when_allowed() {
    assert!(!render(&report(), PLAIN).contains('\x1b'));
    assert!(
        render(
            &report(),
            Look {
                colour: true,
                ..PLAIN
            }
        )
        .contains('\x1b')
    );
}

#[test]
fn numbers_are_written_for_people() {
    assert_eq!(
        [0, 999, 1_000, 1_234_567].map(grouped),
        ["0", "999", "1 000", "1 234 567"]
    );
    assert_eq!(
        [7, 1_500, 61_000].map(duration),
        ["7 ms", "1.50 s", "1 min 01 s"]
    );
}

proptest! {
    /// Whatever was measured, and however narrow the terminal: no panic, and no row of the picture
    /// beyond the width that a picture has at least.
    #[test]
    fn any_report_can_be_drawn(
        kill in 0..20_000_u64, back in 0..20_000_u64, total in 0..20_000_u64,
        starts in prop::collection::vec((0..20_000_u64, 0..20_000_u64), 0..6),
        rate in prop::collection::vec(0..1_000_000_u64, 0..50), width in 0..200_usize,
    ) {
        let mut report: Report = report();
        report.kill_ms = kill;
        report.recovered_ms = back;
        report.duration_ms = total;
        report.rate.acknowledged = rate;
        report.phases = starts.iter().map(|(start_ms, duration_ms)| {
            super::super::report::Phase { name: "phase", start_ms: *start_ms, duration_ms: *duration_ms }
        }).collect();
        let text = render(&report, Look { width, colour: false });
        for row in text.lines().filter(|line| line.contains(['━', '✖']) && !line.contains("RTO")) {
            prop_assert!(row.chars().count() <= width.max(78), "{}", text);
        }
    }

    #[test]
    fn no_event_is_lost_between_columns(
        counts in prop::collection::vec(0..10_000_u64, 1..80), columns in 1..200_usize, cut in 0..40_u64,
    ) {
        let total = (counts.len() as u64 * 50).saturating_sub(cut).max(1);
        let rates = resample(&counts, 50, total, columns);
        let sum: f64 = rates.iter().map(|rate| rate * total as f64 / columns as f64 / 1000.0).sum();
        let expected = counts.iter().sum::<u64>() as f64;
        prop_assert!((sum - expected).abs() < 1e-6 * expected.max(1.0), "{} {}", sum, expected);
    }
}
