//! Each refusal, alone and together.

use super::*;

#[test]
fn refusals_say_why() {
    type Change = fn(&mut Look);
    let cases: [(&str, Change, State, Code); 20] = [
        (
            "it answers",
            |it| it.observations[0].saw = Saw::Answers,
            State::Resolved,
            Code::PrimaryAnswers,
        ),
        (
            "it answers somebody",
            |it| {
                it.observations.push(Observation {
                    from: "there".to_owned(),
                    saw: Saw::Answers,
                })
            },
            State::Resolved,
            Code::PrimaryAnswers,
        ),
        (
            "it is trusted",
            |it| {
                it.observations.push(Observation {
                    from: "tm".to_owned(),
                    saw: Saw::StillTrusted,
                })
            },
            State::Holding,
            Code::StillTrusted,
        ),
        (
            "our names",
            |it| it.observations[0].saw = Saw::Nothing(Ours::Dns),
            State::Holding,
            Code::OurDns,
        ),
        (
            "our token",
            |it| it.observations[0].saw = Saw::Nothing(Ours::Identity),
            State::Holding,
            Code::OurIdentity,
        ),
        (
            "our names, by control",
            |it| it.ours.dns = Control::Fails,
            State::Holding,
            Code::OurDns,
        ),
        (
            "our network",
            |it| it.ours.network = Control::Fails,
            State::Holding,
            Code::OurNetwork,
        ),
        (
            "no observation",
            |it| it.observations.clear(),
            State::Holding,
            Code::TooFewWitnesses,
        ),
        (
            "no API",
            |it| it.reading = Known::Unknown("503".to_owned()),
            State::Suspect,
            Code::StandbyApiUnreachable,
        ),
        (
            "not able",
            |it| {
                it.standby = Known::Is(vec![ReadinessBlocker {
                    what: "no snapshot".to_owned(),
                    remedy: Some("az".to_owned()),
                }])
            },
            State::Holding,
            Code::StandbyNotAble,
        ),
        (
            "able?",
            |it| it.standby = Known::Unknown("denied".to_owned()),
            State::Holding,
            Code::StandbyUnknown,
        ),
        (
            "another's run",
            |it| it.lock = Known::Is(Lock::Held("b".to_owned())),
            State::Holding,
            Code::RunInProgress,
        ),
        (
            "whose lock?",
            |it| it.lock = Known::Unknown("denied".to_owned()),
            State::Holding,
            Code::LockUnknown,
        ),
        (
            "cooldown",
            |it| marks(it).last_failover = Some(Epoch(THEN - 80)),
            State::Cooldown,
            Code::Cooldown,
        ),
        (
            "cooldown of the future",
            |it| marks(it).last_failover = Some(Epoch(u64::MAX)),
            State::Cooldown,
            Code::Cooldown,
        ),
        (
            "paused",
            |it| marks(it).paused = Some("upgrade".to_owned()),
            State::Paused,
            Code::Paused,
        ),
        (
            "holdoff",
            |it| *marks(it) = held(100, 200),
            State::Holding,
            Code::HoldoffRunning,
        ),
        (
            "nobody looked",
            |it| *marks(it) = held(0, 110),
            State::Holding,
            Code::Unwatched,
        ),
        (
            "started in the future",
            |it| *marks(it) = held(9_000, 200),
            State::Holding,
            Code::FutureDated,
        ),
        (
            "a run that cannot be read",
            |it| marks(it).unreadable.push((RUN.to_owned(), "?".to_owned())),
            State::Suspect,
            Code::UnreadableMark,
        ),
    ];
    for (name, change, state, code) in cases {
        let mut alone = Alone::new(held(0, 195));
        alone.sees(190, Saw::TimedOut);
        alone.marks = held(0, 195);
        let mut seen = look(200, Saw::TimedOut, &alone.marks);
        let base = decide(&alone.settings, &mut alone.memory.clone(), &seen);
        assert!(begins(&base), "{name}: {:?}", codes(&base));
        change(&mut seen);
        let decision = alone.decides(&seen);
        assert_eq!(decision.state, state, "{name}: {decision:?}");
        assert!(decision.says(code), "{name}: {:?}", codes(&decision));
        assert!(!begins(&decision), "{name}");
        let run = decision.persist.and_then(|it| it.to.run);
        assert_eq!(run, None, "{name}");
    }
}

fn marks(look: &mut Look) -> &mut Marks {
    match &mut look.reading {
        Known::Is(reading) => &mut reading.marks,
        Known::Unknown(why) => panic!("{why}"),
    }
}

#[test]
fn several_reasons_are_all_told() {
    let mut alone = Alone::new(held(100, 195));
    alone.memory.failures = 2;
    let mut seen = look(200, Saw::TimedOut, &alone.marks);
    seen.lock = Known::Is(Lock::Held("b".to_owned()));
    seen.standby = Known::Unknown("denied".to_owned());
    let decision = alone.decides(&seen);
    let wanted = [
        Code::HoldoffRunning,
        Code::StandbyUnknown,
        Code::RunInProgress,
    ];
    assert_eq!(codes(&decision), wanted);
    let next = decision.reasons[1].next.as_deref();
    assert_eq!(next, Some("backstay verify"));
}
