use super::*;

fn observations(saw: &[Saw]) -> Vec<Observation> {
    let numbered = saw.iter().enumerate();
    numbered
        .map(|(n, saw)| Observation {
            from: n.to_string(),
            saw: *saw,
        })
        .collect()
}

fn ours(dns: Control, network: Control) -> OurSide {
    OurSide { dns, network }
}

#[derive(Debug, PartialEq)]
enum Kind {
    Answers,
    Down,
    Blind,
}

#[test]
fn views() {
    use Control::{Fails, Untried, Works};
    use Kind::{Answers, Blind, Down};
    let well = ours(Works, Works);
    let lonely = ours(Works, Fails);
    let nameless = ours(Fails, Works);
    let untried = ours(Untried, Untried);
    let cases = [
        (vec![], well, 1, Blind),
        (vec![Saw::Answers], well, 1, Answers),
        (vec![Saw::Answers], lonely, 1, Answers),
        (vec![Saw::Refused], well, 1, Down),
        (vec![Saw::TimedOut], well, 1, Down),
        (vec![Saw::TimedOut], untried, 1, Down),
        (vec![Saw::WrongStatus(503)], well, 1, Down),
        (vec![Saw::WrongStatus(404)], well, 1, Down),
        (vec![Saw::GivenUp], well, 1, Down),
        (vec![Saw::StillTrusted], well, 1, Blind),
        (vec![Saw::Refused, Saw::StillTrusted], well, 1, Down),
        // One answer, from wherever, stands against all else.
        (
            vec![Saw::Refused, Saw::GivenUp, Saw::Answers],
            well,
            1,
            Answers,
        ),
        // What an outage of ours explains is nothing.
        (vec![Saw::TimedOut], lonely, 1, Blind),
        (vec![Saw::TimedOut], nameless, 1, Blind),
        (vec![Saw::Nothing(Ours::Dns)], nameless, 1, Blind),
        (vec![Saw::Nothing(Ours::Identity)], well, 1, Blind),
        (vec![Saw::TimedOut, Saw::GivenUp], lonely, 1, Down),
        // It does not explain what somebody has answered.
        (vec![Saw::Refused], lonely, 1, Down),
        (vec![Saw::WrongStatus(503)], nameless, 1, Down),
        // Witnesses.
        (vec![Saw::Refused], well, 2, Blind),
        (vec![Saw::Refused, Saw::GivenUp], well, 2, Down),
        (vec![Saw::TimedOut, Saw::Refused], lonely, 2, Blind),
    ];
    for (saw, ours, witnesses, wanted) in cases {
        let kind = match put_together(&observations(&saw), ours, witnesses).view {
            View::Answers(_) => Answers,
            View::Down(_) => Down,
            View::Blind(_) => Blind,
        };
        assert_eq!(kind, wanted, "{saw:?} {ours:?} {witnesses}");
    }
}

#[test]
fn who_still_trusts_is_told() {
    let saw = observations(&[Saw::Refused, Saw::StillTrusted]);
    let seen = put_together(&saw, OurSide::default(), 1);
    assert_eq!(seen.trusted_by, ["1"]);
}
