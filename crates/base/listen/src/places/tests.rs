#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use super::*;

fn from(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn places(connections: usize, per_address: usize) -> Arc<Places> {
    let limits = Limits {
        connections,
        per_address,
        ..Limits::default()
    };
    Places::new(&limits, Refusals::new("test"))
}

fn evicted(place: &Place) -> bool {
    place.seat.standing() == Standing::Leaving
}

#[test]
fn the_source_with_the_most_loses_the_one_that_has_waited_longest() {
    let now = Instant::now();
    let at = |seconds| now + Duration::from_secs(seconds);
    for (waiting, expected) in [
        (vec![], None),
        (vec![(7, from(1), at(0))], Some(7)),
        // One address with one of long ago, another with two.
        (
            vec![
                (1, from(1), at(0)),
                (2, from(2), at(5)),
                (3, from(2), at(4)),
            ],
            Some(3),
        ),
        (vec![(4, from(1), at(9)), (5, from(2), at(8))], Some(5)),
        (vec![(6, from(1), at(1)), (5, from(1), at(1))], Some(5)),
    ] {
        assert_eq!(victim(&waiting), expected, "{waiting:?}");
    }
}

#[test]
fn a_network_of_ipv6_is_one_source_and_mapped_addresses_are_what_they_map() {
    let of = |text: &str| source(text.parse().unwrap());
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    assert_eq!(of("2001:db8::1"), of("2001:db8::2:3"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
}

#[test]
fn a_request_takes_the_place_of_a_connection_without_one() {
    let places = places(2, 2);
    let (first, second) = (places.enter(from(1)), places.enter(from(2)));
    let busy = second.begin().unwrap();
    let third = places.enter(from(3));
    assert_eq!(third.seat.standing(), Standing::Reserved);
    assert!(!evicted(&first), "it has only just come");
    let _asks = third.begin().unwrap();
    assert!(evicted(&first) && !evicted(&second));
    assert!(places.enter(from(4)).begin().is_none());
    drop(busy);
    let fifth = places.enter(from(5));
    let _asks_too = fifth.begin().unwrap();
    assert!(evicted(&second));
    // Who was sent away at that very moment asks like anybody else.
    assert!(first.begin().is_none());
}

#[test]
fn one_address_crowds_out_only_itself() {
    let places = places(10, 3);
    let other = places.enter(from(9));
    let mine: Vec<Place> = (0..3).map(|_| places.enter(from(1))).collect();
    let busy: Vec<_> = mine.iter().map(|it| it.begin().unwrap()).collect();
    let more = places.enter(from(1));
    assert!(more.begin().is_none(), "all of that address are busy");
    assert!(!evicted(&other));
    assert!(places.enter(from(2)).begin().is_some());
    drop(busy);
    assert!(more.begin().is_some());
    assert!(mine.iter().any(evicted) && !evicted(&other));
}

#[test]
fn there_is_always_a_reserved_place() {
    let places = places(1, 1);
    let only = places.enter(from(1));
    let _busy = only.begin().unwrap();
    let all: Vec<Place> = (0..200).map(|_| places.enter(from(2))).collect();
    let left = all.iter().filter(|it| !evicted(it)).count();
    assert_eq!(left, RESERVED);
    assert!(all[199 - RESERVED + 1..].iter().all(|it| !evicted(it)));
    let probe = places.enter(from(3));
    let more: Vec<Place> = (0..200).map(|_| places.enter(from(2))).collect();
    assert!(!evicted(&probe), "others have more");
    drop((only, all, probe, more));
    assert_eq!(places.refusals.open(), 0);
}

#[test]
fn places_come_back_however_they_were_held() {
    let places = places(4, 2);
    for round in 0..50_u8 {
        let held: Vec<Place> = (0..20)
            .map(|n| places.enter(from((n + round) % 7)))
            .collect();
        let busy: Vec<_> = held.iter().step_by(2).filter_map(Place::begin).collect();
        places.evict_one();
        drop(held);
        drop(busy);
        let state = places.held.lock();
        assert!(state.seats.is_empty() && state.by_source.is_empty());
        assert_eq!((state.ordinary, state.reserved), (0, 0));
    }
}
