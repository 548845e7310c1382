#![allow(clippy::unwrap_used)]

use super::*;

fn line(message: &str) -> Line {
    Line {
        at_ms: 1_700_000_000_000,
        level: "INFO",
        target: "DataSnapshotLoader".to_owned(),
        message: message.to_owned(),
        fields: " bucketId=1".to_owned(),
    }
}

#[test]
fn a_full_queue_drops_what_comes_and_counts_it() {
    let (log, mut lines) = own_log();
    for number in 0..QUEUE + 3 {
        log.offer(line(&number.to_string()));
    }
    assert_eq!(lines.dropped.load(Ordering::Relaxed), 3);
    // What came first is there: a start's lines.
    assert_eq!(lines.lines.try_recv().unwrap().message, "0");
    log.offer(line("there is room again"));
    assert_eq!(lines.dropped.load(Ordering::Relaxed), 3);
    // Where nobody takes any, nothing is missed.
    drop(lines);
    log.offer(line("to nobody"));
    assert_eq!(log.dropped.load(Ordering::Relaxed), 3);
}

#[test]
fn a_line_is_bounded_and_its_event_says_what_it_is() {
    let (log, mut lines) = own_log();
    log.offer(line(&"ü".repeat(MAX_TEXT_BYTES)));
    let cut = lines.lines.try_recv().unwrap().message;
    assert!(cut.len() <= MAX_TEXT_BYTES && cut.chars().all(|it| it == 'ü'));
    let event = event(line("Checking"), "a-1".to_owned());
    assert_eq!(
        event.raw,
        "2023-11-14T22:13:20.000Z  INFO DataSnapshotLoader: Checking bucketId=1"
    );
    assert!(event.tags.contains(&("kind".to_owned(), "logs".to_owned())));
    assert!(
        event
            .fields
            .contains(&("loglevel".to_owned(), "INFO".to_owned()))
    );
    assert!(OwnLog::leaves_out(
        module_path!().trim_end_matches("::tests")
    ));
    assert!(!OwnLog::leaves_out("DataSnapshotLoader"));
}
