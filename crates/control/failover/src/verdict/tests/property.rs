//! What holds of the verdict whatever it is given.

use proptest::prelude::*;

use super::*;

fn saw() -> impl Strategy<Value = Saw> {
    prop_oneof![
        12 => Just(Saw::TimedOut),
        8 => Just(Saw::Refused),
        2 => Just(Saw::Answers),
        2 => Just(Saw::WrongStatus(503)),
        1 => Just(Saw::StillTrusted),
        2 => Just(Saw::GivenUp),
        1 => Just(Saw::Nothing(Ours::Dns)),
        1 => Just(Saw::Nothing(Ours::Identity)),
        1 => Just(Saw::Nothing(Ours::Network)),
    ]
}

/// Mostly the first of these, at times another one, or unknown.
fn known<T: Clone + std::fmt::Debug + 'static>(of: Vec<T>) -> impl Strategy<Value = Known<T>> {
    prop_oneof![
        8 => Just(Known::Is(of[0].clone())),
        2 => prop::sample::select(of).prop_map(Known::Is),
        1 => Just(Known::Unknown("?".to_owned())),
    ]
}

fn control() -> impl Strategy<Value = Control> {
    prop_oneof![
        8 => Just(Control::Works),
        1 => Just(Control::Fails),
        1 => Just(Control::Untried),
    ]
}

/// A mark that is so old, or has anything in it.
fn time(oldest: u64) -> impl Strategy<Value = Option<Ago>> {
    prop_oneof![
        1 => Just(None),
        6 => (0..oldest).prop_map(|it| Some(Ago::Seconds(it))),
        1 => any::<u64>().prop_map(|it| Some(Ago::Anything(it))),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Ago {
    Seconds(u64),
    Anything(u64),
}

/// Marks as others may have left them; their times are filled in when they are used.
#[derive(Clone, Debug)]
struct Others {
    times: [Option<Ago>; 5],
    rest: Marks,
}

impl Others {
    fn at(&self, now: Epoch) -> Marks {
        let [
            degraded_since,
            seen_down,
            answered,
            unstable_since,
            last_failover,
        ] = self.times.map(|it| {
            it.map(|it| match it {
                Ago::Seconds(ago) => now.before(seconds(ago)),
                Ago::Anything(epoch) => Epoch(epoch),
            })
        });
        Marks {
            degraded_since,
            seen_down,
            answered,
            unstable_since,
            last_failover,
            ..self.rest.clone()
        }
    }
}

fn others() -> impl Strategy<Value = Others> {
    let stage = prop::option::weighted(0.05, any::<bool>());
    let paused = prop::option::weighted(0.05, ".{0,5}");
    let unreadable = prop::bool::weighted(0.05);
    let last = prop_oneof![3 => Just(None), 1 => time(600)];
    let times = (time(300), time(120), time(300), time(600), last);
    (times, stage, paused, unreadable).prop_map(|(times, done, paused, unreadable)| Others {
        times: times.into(),
        rest: Marks {
            paused,
            run: done.and_then(|done| run(if done { Stage::Done } else { Stage::Acting })),
            unreadable: match unreadable {
                true => vec![(RUN.to_owned(), "?".to_owned())],
                false => Vec::new(),
            },
            ..Marks::default()
        },
    })
}

/// A look, at an offset from the one before, that took so long, and how what it persists fares.
fn any_look() -> impl Strategy<Value = (u64, u64, Look, Option<Others>, bool)> {
    let locks = vec![
        Lock::Mine(Revision("l".to_owned())),
        Lock::Free(None),
        Lock::Held("b".to_owned()),
    ];
    let standby = vec![
        Vec::new(),
        vec![ReadinessBlocker {
            what: "x".to_owned(),
            remedy: None,
        }],
    ];
    let sights = (prop::collection::vec(saw(), 0..3), control(), control());
    let rest = (
        known(locks),
        known(standby),
        known(vec![Endpoint::Enabled, Endpoint::Disabled]),
        known(vec![Side::Primary, Side::Secondary]),
        prop::bool::weighted(0.9),
    );
    let fate = (
        1_u64..60,
        0_u64..40,
        prop::option::weighted(0.3, others()),
        any::<bool>(),
    );
    (sights, rest, fate).prop_map(|((saws, dns, network), rest, fate)| {
        let (lock, standby, endpoint, term, readable) = rest;
        let (offset, took, others, applied) = fate;
        let mut look = look(0, Saw::TimedOut, &Marks::default());
        let numbered = saws.into_iter().enumerate();
        look.observations = numbered
            .map(|(n, saw)| Observation {
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
    let down = look.observations.iter().any(|it| match it.saw {
        Saw::TimedOut => look.ours.dns != Control::Fails && look.ours.network != Control::Fails,
        Saw::Refused | Saw::WrongStatus(_) | Saw::GivenUp => true,
        _ => false,
    });
    let wrong = |it: &Observation| matches!(it.saw, Saw::Answers | Saw::StillTrusted);
    let marks = &reading.marks;
    down && !look.observations.iter().any(wrong)
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
        first in others(),
        holdoff in prop::sample::select(vec![0_u64, 20, 60]),
    ) {
        let settings = Settings {
            holdoff: seconds(holdoff),
            crash_loop: None,
            ..settings()
        };
        let (mut memory, mut marks) = (Memory::default(), first.at(Epoch(THEN)));
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
            if look.observations.iter().any(|it| it.saw == Saw::Answers) {
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
                let taken_up = look.term == Known::Is(Side::Secondary);
                let begun = begun && marks.run.is_none();
                prop_assert!(!begins(&decision) || begun);
                prop_assert!(!begun || begins(&decision) || taken_up);
                prop_assert_eq!(&to.paused, &marks.paused);
                // What is on record is never taken back.
                prop_assert!(to.run.is_some() || marks.run.is_none());
            }
            let disables = decision.next.contains(&Next::DisableAgain);
            let reopened = look.endpoint == Known::Is(Endpoint::Enabled)
                && look.term != Known::Is(Side::Primary);
            prop_assert!(!disables || reopened);
            match (others, to) {
                (Some(others), _) => marks = others.at(Epoch(THEN + at)),
                (None, Some(to)) if applied => marks = to,
                _ => {}
            }
        }
    }
}
