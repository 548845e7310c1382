#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn line(moment: u64, text: usize) -> String {
    let moment = Timestamp::from_nanosecond(i128::from(moment) * 250_000_000).unwrap();
    format!("{moment} line {text}")
}

#[test]
fn what_has_no_moment_is_passed_on() {
    let mut resume = Resume::default();
    assert_eq!(resume.take("plain text"), Some("plain text"));
    assert_eq!(resume.take(""), Some(""));
    assert_eq!(resume.take("2026-11-25T02:47:10Z "), Some(""));
    assert_eq!(resume.take("2026-11-25T02:47:10Z"), Some(""));
    assert_eq!(
        resume.begin(),
        Some("2026-11-25T02:47:10Z".parse().unwrap())
    );
}

proptest! {
    /// A log whose moments never go back, and breaks anywhere.
    #[test]
    fn every_line_comes_once_and_in_order(
        steps in prop::collection::vec(0..3_u64, 1..40), breaks in prop::collection::vec(0..10_usize, 0..10),
    ) {
        let mut moment = 0;
        let log: Vec<(u64, String)> = steps.iter().enumerate().map(|(at, step)| {
            moment += step;
            (moment, line(moment, at))
        }).collect();
        let mut resume = Resume::default();
        let mut come = Vec::new();
        for after in breaks.into_iter().chain([usize::MAX]) {
            let since = resume.begin();
            let from = since.map_or(0, |it| u64::try_from(it.as_second()).unwrap() * 4);
            let served = log.iter().filter(|(moment, _)| *moment >= from).take(after);
            come.extend(served.filter_map(|(_, line)| resume.take(line).map(str::to_owned)));
        }
        let all: Vec<String> = (0..log.len()).map(|at| format!("line {at}")).collect();
        prop_assert_eq!(come, all);
    }

    #[test]
    fn nothing_makes_it_panic(lines in prop::collection::vec(".*", 0..10)) {
        let mut resume = Resume::default();
        for line in &lines {
            resume.take(line);
            resume.begin();
        }
    }
}
