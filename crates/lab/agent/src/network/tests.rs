#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::{Addresses, Network};

fn network() -> Network {
    "127.71.11.0/24".parse().unwrap()
}

#[test]
fn only_a_slash_24_of_loopback_is_a_network() {
    assert_eq!(network().to_string(), "127.71.11.0/24");
    for wrong in [
        "",
        "127.71.11.0",
        "127.71.11.1/24",
        "127.71.0.0/16",
        "10.0.0.0/24",
        "::1/24",
    ] {
        let error = wrong.parse::<Network>().unwrap_err();
        assert!(error.to_string().contains("like 127.71.11.0/24"), "{error}");
    }
}

#[test]
fn an_address_is_kept_and_rests_before_it_is_given_out_again() {
    let mut addresses = Addresses::new(network());
    let first = addresses.take("a").unwrap();
    assert_eq!(first, Ipv4Addr::new(127, 71, 11, 2));
    assert_eq!(addresses.take("a"), Some(first));
    addresses.release("a");
    assert_ne!(addresses.take("b"), Some(first));
    assert!(addresses.keep("c", first));
    assert!(!addresses.keep("d", first));
    assert!(!addresses.keep("d", Ipv4Addr::new(127, 71, 12, 9)));
    assert!(!addresses.keep("d", Ipv4Addr::new(127, 71, 11, 1)));
}

proptest! {
    #[test]
    fn no_two_pods_have_one_address(
        steps in prop::collection::vec((any::<bool>(), 0_u16..300), 0..800),
    ) {
        let mut addresses = Addresses::new(network());
        let mut holders: HashMap<Ipv4Addr, String> = HashMap::new();
        for (take, pod) in steps {
            let uid = pod.to_string();
            if take {
                match addresses.take(&uid) {
                    Some(address) => {
                        let holder = holders.entry(address).or_insert_with(|| uid.clone());
                        prop_assert_eq!(&*holder, &uid);
                    }
                    None => prop_assert_eq!(holders.len(), 253),
                }
            } else {
                addresses.release(&uid);
                holders.retain(|_, holder| *holder != uid);
            }
            prop_assert_eq!(addresses.held.len(), holders.len());
        }
    }
}
