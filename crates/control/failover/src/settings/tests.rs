#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn the_defaults_are_the_sources() {
    let settings = Settings::default();
    settings.check().unwrap();
    assert_eq!(settings.holdoff, Duration::from_secs(180));
    assert_eq!(settings.cooldown, Duration::from_secs(300));
}

#[test]
fn the_drills_settings_are_possible() {
    let drill = Settings {
        holdoff: Duration::ZERO,
        spacing: Duration::from_secs(1),
        failures: 1,
        ..Settings::default()
    };
    drill.check().unwrap();
}

#[test]
fn contradictions_are_told() {
    type Change = fn(&mut Settings);
    let cases: [(Change, &str); 8] = [
        (|it| it.failures = 0, "failures must be more than zero"),
        (|it| it.witnesses = 0, "witnesses must be"),
        (|it| it.spacing = Duration::ZERO, "spacing must be"),
        (|it| it.recovered = Duration::ZERO, "recovered must be"),
        (|it| it.look = Duration::ZERO, "look must be"),
        (|it| it.lease = Duration::ZERO, "lease must be"),
        (
            |it| it.unwatched = Duration::from_secs(29),
            "raise unwatched or look more often",
        ),
        (
            |it| it.crash_loop = Some(Duration::from_secs(239)),
            "must not be shorter than holdoff",
        ),
    ];
    for (change, wanted) in cases {
        let mut settings = Settings::default();
        change(&mut settings);
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}
