//! What holds of the verdict whatever it is given.

use proptest::prelude::*;

use super::*;

fn saw() -> impl Strategy<Value = Saw> {
    prop_oneof![
        3 => Just(Saw::TimedOut),
        2 => Just(Saw::Refused),
        1 => Just(Saw::Answers),
        1 => Just(Saw::WrongStatus(503)),
        1 => Just(Saw::StillTrusted),
        1 => Just(Saw::GivenUp),
        1 => Just(Saw::Nothing(Ours::Dns)),
        1 => Just(Saw::Nothing(Ours::Identity)),
        1 => Just(Saw::Nothing(Ours::Network)),
    ]
}

fn known<T: Clone + std::fmt::Debug + 'static>(of: Vec<T>) -> impl Strategy<Value = Known<T>> {
    prop_oneof![
        4 => prop::sample::select(of).prop_map(Known::Is),
        1 => Just(Known::Unknown("?".to_owned())),
    ]
}

fn control() -> impl Strategy<Value = Control> {
    prop::sample::select(vec![
        Control::Works,
        Control::Works,
        Control::Fails,
        Control::Untried,
    ])
}

fn time() -> impl Strategy<Value = Option<Epoch>> {
    prop_oneof![
        2 => Just(None),
        4 => (THEN - 400..THEN + 300).prop_map(|it| Some(Epoch(it))),
        1 => any::<u64>().prop_map(|it| Some(Epoch(it))),
    ]
}

fn any_marks() -> impl Strategy<Value = Marks> {
    let stage = prop::option::weighted(0.1, any::<bool>());
    let paused = prop::option::weighted(0.1, ".{0,5}");
    let unreadable = prop::bool::weighted(0.05);
    (
        (time(), time(), time(), time(), time()),
        stage,
        paused,
        unreadable,
    )
        .prop_map(|(times, done, paused, unreadable)| Marks {
            degraded_since: times.0,
            seen_down: times.1,
            answered: times.2,
            unstable_since: times.3,
            last_failover: times.4,
            paused,
            run: done.and_then(|done| run(if done { Stage::Done } else { Stage::Acting })),
            unreadable: match unreadable {
                true => vec![(RUN.to_owned(), "?".to_owned())],
                false => Vec::new(),
            },
        })
}

/// A look, at an offset from the one before, that took so long, and how what it persists fares.
fn any_look() -> impl Strategy<Value = (u64, u64, Look, Option<Marks>, bool)> {
    let locks = vec![
        Lock::Mine(Revision("l".to_owned())),
        Lock::Free(None),
        Lock::Held("b".to_owned()),
    ];
    let standby = vec![
        Vec::new(),
        Vec::new(),
        vec![Shortcoming {
            what: "x".to_owned(),
            remedy: None,
        }],
    ];
    let sights = (prop::collection::vec(saw(), 0..3), control(), control());
    let rest = (
        known(locks),
        known(standby),
        known(vec![Endpoint::Enabled, Endpoint::Disabled]),
        known(vec![Side::Primary, Side::Primary, Side::Secondary]),
        prop::bool::weighted(0.9),
    );
    let fate = (
        1_u64..60,
        0_u64..40,
        prop::option::weighted(0.2, any_marks()),
        any::<bool>(),
    );
    (sights, rest, fate).prop_map(|((saws, dns, network), rest, fate)| {
        let (lock, standby, endpoint, term, readable) = rest;
        let (offset, took, others, applied) = fate;
        let mut look = look(0, Saw::TimedOut, &Marks::default());
        let numbered = saws.into_iter().enumerate();
        look.sightings = numbered
            .map(|(n, saw)| Sighting {
                from: n.to_string(),
                saw,
            })
            .collect();
        look.ours = OurSide { dns, network };
        (look.lock, look.standby, look.endpoint, look.term) = (lock, standby, endpoint, term);
        if !readable {
            look.reading = Known::Unknown("?".to_owned());
        }
        (offset, took, look, others, applied)
    })
}

/// Whether a run may begin on this look, found out in another way than the verdict does.
fn may_begin(settings: &Settings, look: &Look) -> bool {
    let Known::Is(reading) = &look.reading else {
        return false;
    };
    let down = look.sightings.iter().any(|it| match it.saw {
        Saw::TimedOut => look.ours.dns != Control::Fails && look.ours.network != Control::Fails,
        Saw::Refused | Saw::WrongStatus(_) | Saw::GivenUp => true,
        _ => false,
    });
    let wrong = |it: &Sighting| matches!(it.saw, Saw::Answers | Saw::StillTrusted);
    let marks = &reading.marks;
    down && !look.sightings.iter().any(wrong)
        && look.mono - look.began <= settings.look
        && matches!(look.lock, Known::Is(Lock::Mine(_)))
        && look.standby == Known::Is(Vec::new())
        && look.term != Known::Is(Side::Secondary)
        && marks.paused.is_none()
        && marks.run.is_none()
        && marks.unreadable.is_empty()
        && marks.degraded_since.is_some()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// One instance over any looks, with marks that others change as they like and writes that
    /// fail as they like: a run begins only where it may, never on a look that saw an answer, and
    /// never when this instance has seen an answer within the holdoff.
    #[test]
    fn a_run_begins_only_where_it_may(
        looks in prop::collection::vec(any_look(), 1..25),
        first in any_marks(),
        holdoff in prop::sample::select(vec![0_u64, 20, 60]),
    ) {
        let settings = Settings {
            holdoff: seconds(holdoff),
            crash_loop: None,
            ..settings()
        };
        let (mut memory, mut marks) = (Memory::default(), first);
        let mut at = 0;
        let mut answered = None;
        for (offset, took, mut look, others, applied) in looks {
            look.began = seconds(at + offset);
            at += offset + took;
            look.mono = seconds(at);
            if let Known::Is(reading) = &mut look.reading {
                reading.marks = marks.clone();
                reading.now = Epoch(THEN + at);
            }
            let decision = decide(&settings, &mut memory, &look);
            if look.sightings.iter().any(|it| it.saw == Saw::Answers) {
                answered = Some(look.began);
            }
            if begins(&decision) {
                prop_assert!(may_begin(&settings, &look), "{decision:?}\n{look:?}");
                let quiet = answered.is_none_or(|it| look.mono - it >= settings.holdoff);
                prop_assert!(quiet, "answered at {answered:?}, begins at {:?}", look.mono);
            }
            let to = decision.persist.as_ref().map(|it| it.to.clone());
            if let Some(to) = &to {
                let begun = to.run.as_ref().is_some_and(|it| it.stage == Stage::Acting);
                prop_assert_eq!(begun && marks.run.is_none(), begins(&decision));
                prop_assert_eq!(&to.paused, &marks.paused);
                // What is on record is never taken back.
                prop_assert!(to.run.is_some() || marks.run.is_none());
            }
            let disables = decision.next.contains(&Next::DisableAgain);
            let reopened = look.endpoint == Known::Is(Endpoint::Enabled)
                && look.term != Known::Is(Side::Primary);
            prop_assert!(!disables || reopened);
            match (others, to) {
                (Some(others), _) => marks = others,
                (None, Some(to)) if applied => marks = to,
                _ => {}
            }
        }
    }
}
