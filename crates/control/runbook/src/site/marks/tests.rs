use super::*;

#[test]
fn a_failback_needs_a_failover_and_says_how_to_come_by_one() {
    let table = [
        (
            true,
            Some(true),
            "there is nothing to fail back",
            "backstay status",
        ),
        (
            false,
            Some(true),
            "there is nothing to fail back",
            "backstay status",
        ),
        (false, Some(false), "started by hand", "backstay failover"),
        (false, None, "no failover is on record", "backstay failover"),
    ];
    for (on_record, holds, says, helps) in table {
        let answer = failed_over(on_record, holds);
        let Answer::Refused { why, next } = &answer else {
            panic!("{answer:?}");
        };
        assert!(why.contains(says) && next.contains(helps), "{answer:?}");
    }
    for holds in [Some(false), None] {
        assert!(matches!(failed_over(true, holds), Answer::Holds(_)));
    }
}
