#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn reading(marks: Marks) -> Reading {
    Reading {
        marks,
        revision: Revision("7".to_owned()),
        now: Epoch(1_000),
    }
}

#[test]
fn what_the_source_writes_is_read() {
    let marks = Marks::read(&annotations(&[
        (DEGRADED_SINCE, "1700000000"),
        (LAST_FAILOVER, " 1690000000\n"),
        (PAUSED, ""),
        ("deployment.kubernetes.io/revision", "3"),
    ]));
    let wanted = Marks {
        degraded_since: Some(Epoch(1_700_000_000)),
        last_failover: Some(Epoch(1_690_000_000)),
        paused: Some(String::new()),
        ..Marks::default()
    };
    assert_eq!(marks, wanted);
}

#[test]
fn what_cannot_be_read_is_told_and_counts_as_the_safer() {
    for text in ["", "soon", "-1", "1.5", "0x10", "99999999999999999999999"] {
        let marks = Marks::read(&annotations(&[
            (DEGRADED_SINCE, text),
            (LAST_FAILOVER, text),
        ]));
        assert_eq!(marks.degraded_since, None);
        assert_eq!(marks.last_failover, Some(Epoch(u64::MAX)));
        assert_eq!(marks.unreadable(DEGRADED_SINCE), Some(text));
        assert_eq!(marks.unreadable(LAST_FAILOVER), Some(text));
    }
    for text in [
        "",
        "acting",
        "acting 5",
        "acting 5 ",
        "acting x y",
        "ended 5 y",
    ] {
        let marks = Marks::read(&annotations(&[(RUN, text)]));
        assert_eq!(
            (marks.run.clone(), marks.unreadable(RUN)),
            (None, Some(text))
        );
    }
}

#[test]
fn only_what_changes_is_written() {
    let from = Marks::read(&annotations(&[
        (DEGRADED_SINCE, "soon"),
        (SEEN_DOWN, "900"),
        (ANSWERED, "800"),
        (LAST_FAILOVER, "yesterday"),
    ]));
    let to = Marks {
        degraded_since: Some(Epoch(1_000)),
        answered: None,
        ..from.clone()
    };
    let change = Persist::change(&reading(from.clone()), to).unwrap();
    assert_eq!(change.expected, Revision("7".to_owned()));
    let wanted = [(ANSWERED, None), (DEGRADED_SINCE, Some("1000".to_owned()))];
    assert_eq!(change.annotations(), BTreeMap::from(wanted));
    assert_eq!(Persist::change(&reading(from.clone()), from), None);
}

#[test]
fn the_end_of_a_run() {
    assert_eq!(Persist::finish(&reading(Marks::default())), None);
    let run = Run {
        id: "one two".to_owned(),
        began: Epoch(5),
        stage: Stage::Acting,
    };
    let acting = Marks {
        degraded_since: Some(Epoch(3)),
        last_failover: Some(Epoch(5)),
        run: Some(run),
        ..Marks::default()
    };
    let finish = Persist::finish(&reading(acting)).unwrap();
    let wanted = [
        (DEGRADED_SINCE, None),
        (RUN, Some("done 5 one two".to_owned())),
    ];
    assert_eq!(finish.annotations(), BTreeMap::from(wanted));
    assert_eq!(Persist::finish(&reading(finish.to)), None);
}

fn any_marks() -> impl Strategy<Value = Marks> {
    let time = || prop::option::of(any::<u64>().prop_map(Epoch));
    let run = ("[^ ].*", any::<u64>(), any::<bool>()).prop_map(|(id, began, done)| Run {
        id,
        began: Epoch(began),
        stage: if done { Stage::Done } else { Stage::Acting },
    });
    let times = (time(), time(), time(), time(), time());
    (times, prop::option::of(".*"), prop::option::of(run)).prop_map(|(times, paused, run)| Marks {
        degraded_since: times.0,
        seen_down: times.1,
        answered: times.2,
        unstable_since: times.3,
        last_failover: times.4,
        paused,
        run,
        unreadable: Vec::new(),
    })
}

proptest! {
    /// A change, written, is read back as what it should be, from whatever was there.
    #[test]
    fn what_is_written_is_read_back(from in any_marks(), to in any_marks()) {
        let mut object = annotations(&[("other", "kept")]);
        for state in [&from, &to] {
            let before = Marks::read(&object);
            let change = Persist { expected: Revision(String::new()), from: before, to: state.clone() };
            for (name, text) in change.annotations() {
                match text {
                    Some(text) => object.insert(name.to_owned(), text),
                    None => object.remove(name),
                };
            }
        }
        prop_assert_eq!(Marks::read(&object), to);
        prop_assert_eq!(object.get("other").map(String::as_str), Some("kept"));
    }

    #[test]
    fn no_annotation_makes_it_panic(
        texts in prop::collection::vec((0_usize..7, ".{0,40}"), 0..7)
    ) {
        let names = [DEGRADED_SINCE, SEEN_DOWN, ANSWERED, UNSTABLE_SINCE, LAST_FAILOVER, PAUSED, RUN];
        let object = texts.into_iter().map(|(n, text)| (names[n].to_owned(), text)).collect();
        Marks::read(&object);
    }
}
