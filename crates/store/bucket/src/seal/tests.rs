#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn keys(key: &str) -> Keys {
    Keys::derive(&Secret::new(key)).unwrap()
}

fn seal(keys: &Keys, name: &str, plain: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::new(keys, name).unwrap();
    let mut out = BytesMut::new();
    out.extend_from_slice(sealer.header());
    let mut chunks: Vec<&[u8]> = plain.chunks(CHUNK_LEN).collect();
    let last = chunks.pop().unwrap_or_default();
    for chunk in chunks {
        sealer.seal(chunk, false, &mut out).unwrap();
    }
    sealer.seal(last, true, &mut out).unwrap();
    out.to_vec()
}

fn open(keys: &Keys, name: &str, stored: &[u8]) -> Result<Vec<u8>, Unopened> {
    let layout = Layout::of_stored(stored.len() as u64).ok_or(Unopened::Corrupt("no such size"))?;
    let opener = Opener::new(keys, name, stored, layout)?;
    let mut plain = BytesMut::new();
    opener.open(0, &stored[HEADER_LEN..], &mut plain)?;
    assert_eq!(plain.len() as u64, layout.plain);
    Ok(plain.to_vec())
}

/// Sizes around the boundaries of chunks, where mistakes live, and any others.
fn plaintext() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![
        0..64_usize,
        (0..4_usize, 0..40_usize)
            .prop_map(|(chunks, offset)| (chunks * CHUNK_LEN + offset).saturating_sub(20)),
        0..3 * CHUNK_LEN,
    ];
    (size, any::<u8>()).prop_map(|(size, seed)| {
        (0..size)
            .map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed))
            .collect()
    })
}

fn corrupt(result: &Result<Vec<u8>, Unopened>) -> bool {
    matches!(result, Err(Unopened::Corrupt(_)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_sealed_is_opened(plain in plaintext()) {
        let keys = keys("k");
        let stored = seal(&keys, "a/b", &plain);
        prop_assert_eq!(stored.len() as u64, Layout::stored_size(plain.len() as u64));
        prop_assert_eq!(open(&keys, "a/b", &stored).unwrap(), plain);
    }

    #[test]
    fn any_flipped_bit_is_an_error(plain in plaintext(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let keys = keys("k");
        let mut stored = seal(&keys, "a/b", &plain);
        let at = at.index(stored.len());
        stored[at] ^= 1 << bit;
        prop_assert!(corrupt(&open(&keys, "a/b", &stored)));
    }

    #[test]
    fn any_cut_is_an_error(plain in plaintext(), at in any::<prop::sample::Index>()) {
        let keys = keys("k");
        let stored = seal(&keys, "a/b", &plain);
        let at = at.index(stored.len());
        prop_assert!(corrupt(&open(&keys, "a/b", &stored[..at])));
    }

    #[test]
    fn anything_appended_is_an_error(plain in plaintext(), more in prop::collection::vec(any::<u8>(), 1..100)) {
        let keys = keys("k");
        let mut stored = seal(&keys, "a/b", &plain);
        stored.extend(more);
        prop_assert!(corrupt(&open(&keys, "a/b", &stored)));
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(stored in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&keys("k"), "a", &stored).is_err());
    }

    #[test]
    fn chunks_open_by_themselves(plain in plaintext(), at in any::<prop::sample::Index>()) {
        let keys = keys("k");
        let stored = seal(&keys, "a/b", &plain);
        let layout = Layout::of_stored(stored.len() as u64).unwrap();
        let opener = Opener::new(&keys, "a/b", &stored, layout).unwrap();
        let chunk = at.index(layout.chunks as usize);
        let range = stored_range(chunk as u64..chunk as u64 + 1);
        let end = (range.end as usize).min(stored.len());
        let mut opened = BytesMut::new();
        opener.open(chunk as u64, &stored[range.start as usize..end], &mut opened).unwrap();
        let end = ((chunk + 1) * CHUNK_LEN).min(plain.len());
        prop_assert_eq!(&opened[..], &plain[chunk * CHUNK_LEN..end]);
        // In another place it does not.
        prop_assert!(opener.open(chunk as u64 + 1, &stored[range.start as usize..], &mut opened).is_err());
    }

    #[test]
    fn a_layout_agrees_with_the_stored_size(plain in 0..u64::MAX / 2) {
        let layout = Layout::of_stored(Layout::stored_size(plain)).unwrap();
        prop_assert_eq!(layout.plain, plain);
        prop_assert_eq!(layout.chunks, plain.div_ceil(CHUNK_BYTES).max(1));
    }

    #[test]
    fn a_size_is_possible_only_if_some_object_has_it(stored in 0..5 * SEALED_CHUNK_BYTES) {
        match Layout::of_stored(stored) {
            Some(layout) => prop_assert_eq!(Layout::stored_size(layout.plain), stored),
            None => {
                // Sizes grow with the plaintext, so the neighbours of `stored` would give it.
                let about = stored.saturating_sub(HEADER_BYTES + 5 * 16);
                for plain in about..about + 200 {
                    prop_assert_ne!(Layout::stored_size(plain), stored);
                }
            }
        }
    }
}

#[test]
fn another_name_does_not_open_it() {
    let keys = keys("k");
    let stored = seal(&keys, "a/b", b"content");
    assert!(corrupt(&open(&keys, "a/c", &stored)));
}

#[test]
fn another_key_is_told_from_damage() {
    let stored = seal(&keys("one"), "a", b"content");
    assert_eq!(open(&keys("two"), "a", &stored), Err(Unopened::WrongKey));
    // Each bit of the key id itself: damage, not a wrong key.
    for bit in 0..KEY_ID.len() * 8 {
        let mut stored = stored.clone();
        stored[KEY_ID.start + bit / 8] ^= 1 << (bit % 8);
        assert!(corrupt(&open(&keys("one"), "a", &stored)), "bit {bit}");
    }
}

#[test]
fn whole_chunks_cannot_be_left_out_or_exchanged() {
    let keys = keys("k");
    let plain: Vec<u8> = (0..3 * CHUNK_LEN)
        .map(|at| (at / CHUNK_LEN) as u8)
        .collect();
    let stored = seal(&keys, "a", &plain);
    let chunk = |index: usize| {
        let start = HEADER_LEN + index * SEALED_CHUNK_LEN;
        &stored[start..(start + SEALED_CHUNK_LEN).min(stored.len())]
    };
    let header = &stored[..HEADER_LEN];
    for wrong in [
        vec![chunk(0)],
        vec![chunk(0), chunk(1)],
        vec![chunk(0), chunk(2)],
        vec![chunk(1), chunk(2)],
        vec![chunk(1), chunk(0), chunk(2)],
        vec![chunk(0), chunk(1), chunk(1)],
        vec![chunk(0), chunk(1), chunk(2), chunk(2)],
    ] {
        let stored = [header, &wrong.concat()].concat();
        assert!(corrupt(&open(&keys, "a", &stored)));
    }
}

#[test]
fn the_same_content_is_never_sealed_the_same_way() {
    let keys = keys("k");
    let (a, b) = (seal(&keys, "a", b"content"), seal(&keys, "a", b"content"));
    assert_ne!(a[SALT], b[SALT]);
    assert_ne!(a[HEADER_LEN..], b[HEADER_LEN..]);
}

#[test]
fn the_format_does_not_change_by_accident() {
    // Sealed by the first release; must be readable by every later one.
    let stored = include_bytes!("v1.bin");
    assert_eq!(
        open(&keys("a key for the tests"), "prefix/format", stored).unwrap(),
        b"format 1"
    );
}
