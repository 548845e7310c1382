#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn since() -> impl Strategy<Value = Since> {
    prop_oneof![
        any::<u64>().prop_map(Since::Ran),
        "[a-z]{0,8}".prop_map(Since::Import),
    ]
}

fn generation() -> impl Strategy<Value = Generation> {
    let keys = proptest::collection::vec(any::<u32>(), 0..20);
    (any::<u64>(), any::<u64>(), since(), keys).prop_map(|(from, to, since, keys)| Generation {
        from,
        to,
        since,
        keys: keys
            .into_iter()
            .map(|n| KeyHash::new("r", &n.to_string()))
            .collect(),
    })
}

#[test]
fn names_sort_by_term_and_number() {
    let mut names = vec![
        object(3, 2, 0),
        object(3, 1, 11),
        object(3, 1, 2),
        object(3, 10, 0),
    ];
    names.sort();
    let expected = [(1, 2), (1, 11), (2, 0), (10, 0)];
    assert_eq!(
        names,
        expected.map(|(term, number)| object(3, term, number))
    );
    assert_eq!(
        names[0],
        "windows/0003/00000000000000000001-00000000000000000002"
    );
}

#[test]
fn another_reach_than_the_state_says_is_an_error() {
    let bytes = Index {
        upto: 7,
        generations: Vec::new(),
    }
    .encode()
    .unwrap();
    assert!(Index::decode(&bytes, 7).is_ok());
    let error = Index::decode(&bytes, 8).unwrap_err();
    assert!(
        matches!(
            error,
            IndexError::Reach {
                found: 7,
                expected: 8
            }
        ),
        "{error}"
    );
}

proptest! {
    #[test]
    fn what_was_written_is_read(upto: u64, generations in proptest::collection::vec(generation(), 0..8)) {
        let index = Index { upto, generations };
        let bytes = index.encode().unwrap();
        prop_assert_eq!(Index::decode(&bytes, upto).unwrap(), index);
    }

    #[test]
    fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Index::decode(&bytes, 0);
        let mut versioned = vec![VERSION];
        versioned.extend(bytes);
        let _ = Index::decode(&versioned, 0);
    }
}
