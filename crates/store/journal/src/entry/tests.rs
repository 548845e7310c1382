#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use proptest::prelude::*;

fn data(stream: StreamId, seq: u64, records: &[Bytes]) -> Entry {
    Entry {
        stream,
        seq,
        term: 3,
        settled: seq / 2,
        writer: WriterId("host-1/7".to_owned()),
        nonce: 0x1234_5678_9abc_def0_1122_3344_5566_7788,
        kind: EntryKind::Data,
        payload: frame(records.iter(), 0).freeze(),
    }
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let records = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20);
    let seal = proptest::option::of(".{0,40}");
    let numbers = (any::<u32>(), any::<u64>(), any::<u64>(), any::<u128>());
    (numbers, ".{0,40}", seal, records).prop_map(
        |((stream, seq, term, nonce), writer, by, records)| {
            let records: Vec<Bytes> = records.into_iter().map(Bytes::from).collect();
            Entry {
                stream: StreamId::from_number(stream),
                seq,
                term,
                settled: seq / 3,
                writer: WriterId(writer),
                nonce,
                payload: match by {
                    Some(_) => Bytes::new(),
                    None => frame(records.iter(), 0).freeze(),
                },
                kind: match by {
                    Some(by) => EntryKind::Seal { by: by.into() },
                    None => EntryKind::Data,
                },
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(entry in any_entry()) {
        let bytes = entry.encode().unwrap();
        prop_assert_eq!(Entry::decode_at(entry.stream, entry.seq, &bytes).unwrap(), entry);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Entry::decode(&bytes);
        let mut begun = MAGIC.to_vec();
        begun.extend(bytes);
        let _ = Entry::decode(&begun);
    }

    #[test]
    fn damage_is_no_panic_and_cuts_are_errors(
        entry in any_entry(),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
    ) {
        let bytes = entry.encode().unwrap();
        let at = at.index(bytes.len());
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << bit;
        if let Ok(read) = Entry::decode(&flipped) {
            read.records().for_each(drop);
        }
        prop_assert!(Entry::decode(&bytes[..at]).is_err());
    }

    #[test]
    fn records_come_back_in_order(
        records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..99), 0..20),
    ) {
        let records: Vec<Bytes> = records.into_iter().map(Bytes::from).collect();
        let entry = data(StreamId::Partition(1), 9, &records);
        let read = Entry::decode(&entry.encode().unwrap()).unwrap();
        prop_assert_eq!(read.records().collect::<Vec<_>>(), records);
    }
}

#[test]
fn an_entry_of_another_slot_is_refused() {
    let bytes = data(StreamId::Partition(1), 9, &[]).encode().unwrap();
    for (stream, seq) in [
        (StreamId::Partition(1), 10),
        (StreamId::Partition(2), 9),
        (StreamId::Global, 9),
    ] {
        let error = Entry::decode_at(stream, seq, &bytes).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("journal/0001/00000000000000000009"),
            "{error}"
        );
    }
}

#[test]
fn a_stated_length_that_does_not_come_is_refused_without_taking_memory_for_it() {
    let entry = data(StreamId::Partition(1), 9, &[Bytes::from_static(b"hello")]);
    let packed = pack(&entry.payload).unwrap();
    for stated in [
        entry.payload.len() - 1,
        entry.payload.len() + 1,
        MAX_PAYLOAD_BYTES,
    ] {
        let bytes = entry.header().encode(&packed, stated).unwrap();
        assert!(
            matches!(Entry::decode(&bytes), Err(DecodeError::Payload { .. })),
            "{stated}"
        );
    }
    assert!(
        entry
            .header()
            .encode(&packed, MAX_PAYLOAD_BYTES + 1)
            .is_err()
    );
}

#[test]
fn a_record_that_reaches_past_the_end_is_refused() {
    let mut entry = data(StreamId::Partition(1), 9, &[Bytes::from_static(b"hello")]);
    entry.payload = entry.payload.slice(..entry.payload.len() - 1);
    let bytes = entry.encode().unwrap();
    assert!(matches!(
        Entry::decode(&bytes),
        Err(DecodeError::Payload { .. })
    ));
}

#[test]
fn names_that_do_not_fit_are_refused() {
    let mut entry = data(StreamId::Partition(1), 9, &[]);
    entry.writer = WriterId("x".repeat(MAX_NAME_BYTES));
    let bytes = entry.encode().unwrap();
    assert_eq!(Entry::decode(&bytes).unwrap(), entry);
    assert!(bytes.len() as u64 <= HEADER_BYTES);
    entry.writer = WriterId("x".repeat(MAX_NAME_BYTES + 1));
    assert!(entry.encode().is_err());
}

#[test]
fn keys_name_their_slot_and_nothing_else_does() {
    assert_eq!(
        StreamId::Global.key(12),
        "journal/global/00000000000000000012"
    );
    assert_eq!(
        StreamId::Partition(7).key(0),
        "journal/0007/00000000000000000000"
    );
    for stream in [
        StreamId::Global,
        StreamId::Partition(7),
        StreamId::Partition(70_000),
    ] {
        for seq in [0, 1, u64::MAX] {
            assert_eq!(stream.seq_of(&stream.key(seq)), Some(seq));
        }
    }
    for other in [
        "journal/global/12",
        "journal/0007/00000000000000000012",
        "journal/global/+0000000000000000012",
    ] {
        assert_eq!(StreamId::Global.seq_of(other), None);
    }
}
