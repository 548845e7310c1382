//! What the checker must find, and must not find, in a partition.

use stateright::{Checker, Model};

use super::partition::{LOST, ONE, ORDER, Partition, Rules, THIRD, TWICE, Takers};

fn check(rules: Rules, takers: Takers) -> impl Checker<Partition> {
    Partition { rules, takers }
        .checker()
        .threads(2)
        .spawn_bfs()
        .join()
}

#[test]
fn the_protocol_holds() {
    let checker = check(Rules::Whole, Takers::Global);
    checker.assert_properties();
    assert!(checker.unique_state_count() > 100_000);
}

#[test]
fn of_two_strangers_with_the_same_term_one_is_superseded() {
    let checker = check(Rules::Whole, Takers::Strangers);
    for property in [LOST, ONE, TWICE, ORDER] {
        checker.assert_no_discovery(property);
    }
    checker.assert_any_discovery(THIRD);
    let checker = check(Rules::SealerIgnoresRival, Takers::Strangers);
    checker.assert_any_discovery(ONE);
}

fn finds(rules: Rules, property: &'static str) {
    let checker = Partition {
        rules,
        takers: Takers::Global,
    }
    .checker()
    .threads(2)
    .finish_when(stateright::HasDiscoveries::AnyOf([property].into()))
    .spawn_bfs()
    .join();
    let found = checker.discovery(property);
    let states = checker.unique_state_count();
    assert!(
        found.is_some(),
        "{rules:?} goes unnoticed in {states} states"
    );
}

#[test]
fn without_put_if_absent_an_acknowledged_batch_is_lost() {
    finds(Rules::SealOverwrites, LOST);
}

#[test]
fn a_writer_that_steps_over_a_seal_loses_what_it_acknowledges() {
    finds(Rules::SealIgnored, LOST);
}

#[test]
fn acknowledging_over_a_gap_loses_what_is_acknowledged() {
    finds(Rules::AckOverGap, LOST);
}

#[test]
fn several_slots_on_their_way_behind_the_seal_change_the_order() {
    finds(Rules::ManyNearSeal, ORDER);
}

#[test]
fn a_trimmed_seal_lets_a_thawed_writer_acknowledge_into_the_void() {
    finds(Rules::TrimDeletesSeals, LOST);
}

#[test]
fn a_trimmed_dead_slot_lets_its_late_visitor_acknowledge_into_the_void() {
    finds(Rules::TrimDeletesDead, LOST);
}

#[test]
fn trimming_what_is_not_covered_loses_it() {
    finds(Rules::TrimUncovered, LOST);
}

#[test]
fn a_floor_above_what_the_owners_writer_has_settled_doubles_a_batch() {
    finds(Rules::FloorAboveOwnFlights, TWICE);
}

#[test]
fn a_sealer_that_stalls_and_looks_only_once_seals_trimmed_ground() {
    finds(Rules::NoSecondLook, LOST);
}
