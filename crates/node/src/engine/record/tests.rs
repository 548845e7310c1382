#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn event(raw: &str) -> Event {
    Event {
        timestamp_ms: 1_700_000_000_000,
        raw: raw.to_owned(),
        id: "id-1".to_owned(),
        tags: vec![("#type".to_owned(), "kv".to_owned())],
        fields: vec![("a".to_owned(), "1".to_owned())],
    }
}

#[test]
fn a_batch_survives_the_journal() {
    let key = KeyHash::new("r1", "k1");
    let events = vec![event("one"), event("two")];
    let bytes = bytes::Bytes::from(encode_batch("r1", Some(key), &events).unwrap());
    let expected = Record::Batch {
        repository: "r1".to_owned(),
        key: Some(key),
        events,
    };
    assert_eq!(Record::decode(&bytes).unwrap(), expected);
    let bytes = encode_keys("recovery", &[key]).unwrap();
    let expected = Record::Keys {
        recovery: "recovery".to_owned(),
        keys: vec![key],
    };
    assert_eq!(Record::decode(&bytes).unwrap(), expected);
}

#[test]
fn the_same_key_in_another_repository_is_another_key() {
    assert_ne!(KeyHash::new("a", "bk"), KeyHash::new("ab", "k"));
    assert_eq!(KeyHash::new("a", "k"), KeyHash::new("a", "k"));
}

#[test]
fn keys_spread_over_all_partitions() {
    let hit: std::collections::BTreeSet<u32> = (0..200)
        .map(|n| KeyHash::new("r", &n.to_string()).partition(4))
        .collect();
    assert_eq!(hit.len(), 4);
}

proptest! {
    #[test]
    fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::decode(&bytes);
        let mut versioned = vec![VERSION];
        versioned.extend(bytes);
        let _ = Record::decode(&versioned);
    }
}
