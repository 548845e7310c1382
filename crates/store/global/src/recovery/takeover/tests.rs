#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn refused(retryable: bool) -> LoadError {
    let error = if retryable {
        backstay_bucket::Error::Replaced {
            object: "journal/global/00000000000000000007".to_owned(),
        }
    } else {
        backstay_bucket::Error::Denied {
            account: "a".to_owned(),
            container: "c".to_owned(),
            remedy: "check the key".to_owned(),
            object: "journal/global/00000000000000000007".to_owned(),
            detail: "HTTP 403".to_owned(),
        }
    };
    LoadError::Seal(SealError::Store(StoreError::Backend {
        source: Box::new(error),
        retryable,
    }))
}

#[test]
fn a_source_that_may_not_be_written_to_is_told_with_the_way_out() {
    let error = cannot_seal(refused(false));
    assert!(matches!(error, LoadError::CannotSeal { .. }), "{error}");
    assert!(!error.is_retryable());
    let text = error.to_string();
    assert!(text.contains("access denied"), "{text}");
    assert!(text.contains("BACKSTAY_RECOVER_WITHOUT_SEAL"), "{text}");
}

#[test]
fn a_source_that_is_damaged_is_told_as_it_is() {
    let error = cannot_seal(LoadError::Seal(SealError::Store(StoreError::Missing {
        object: "journal/global/00000000000000000007".to_owned(),
        by: "journal/global/00000000000000000008".to_owned(),
    })));
    assert!(matches!(error, LoadError::Seal(_)), "{error}");
    assert!(!error.is_retryable());
}

#[test]
fn a_source_that_does_not_answer_is_tried_again() {
    let error = cannot_seal(refused(true));
    assert!(matches!(error, LoadError::Seal(_)), "{error}");
    assert!(error.is_retryable());
}

/// Only a source that does not let us write can be recovered without a seal: what is damaged would
/// not be read without one either, and its own error says what helps.
#[test]
fn giving_up_the_seal_is_offered_only_where_the_source_refuses_to_be_written_to() {
    use backstay_bucket::Error;
    let text = || "journal/global/7".to_owned();
    let backend = |error: Error| StoreError::Backend {
        retryable: error.is_retryable(),
        source: Box::new(error),
    };
    let refused = [
        backend(Error::Denied {
            account: text(),
            container: text(),
            remedy: text(),
            object: text(),
            detail: text(),
        }),
        backend(Error::ReadOnly { object: text() }),
        backend(Error::Refused {
            endpoint: text(),
            object: text(),
            source: "an immutability policy".into(),
        }),
    ];
    for error in refused {
        let said = cannot_seal(LoadError::Seal(SealError::Store(error)));
        assert!(matches!(said, LoadError::CannotSeal { .. }), "{said}");
        assert!(said.to_string().contains("BACKSTAY_RECOVER_WITHOUT_SEAL"));
    }
    let others = [
        backend(Error::Corrupt {
            object: text(),
            container: text(),
            detail: "altered".to_owned(),
        }),
        backend(Error::WrongKey {
            object: text(),
            container: text(),
            variable: text(),
        }),
        backend(Error::Missing {
            object: text(),
            container: text(),
        }),
        backend(Error::NoContainer {
            container: text(),
            endpoint: text(),
            variable: text(),
        }),
        backend(Error::Unreachable {
            endpoint: text(),
            object: text(),
            waited: std::time::Duration::ZERO,
            source: "dark".into(),
        }),
        StoreError::Missing {
            object: text(),
            by: text(),
        },
    ];
    for error in others {
        let said = cannot_seal(LoadError::Seal(SealError::Store(error)));
        assert!(!said.to_string().contains("WITHOUT_SEAL"), "{said}");
        assert!(said.to_string().contains("journal/global/7"), "{said}");
    }
}

mod damage {
    use std::sync::Arc;

    use backstay_journal::simulated::MemoryStore;
    use backstay_journal::{CommitError, CommitOptions, Writer, WriterId};

    use super::*;
    use crate::entity::TermBelow;

    async fn writer(journal: &Journal, partition: u32) -> Writer {
        let stream = StreamId::Partition(partition);
        let sealed = journal.seal(stream, 0, 3, "east").await.unwrap();
        let options = CommitOptions {
            linger: std::time::Duration::ZERO,
            ..CommitOptions::default()
        };
        let writer = journal.writer(stream, sealed, options);
        for n in 0..6 {
            writer.append(format!("{n}").into()).await.unwrap();
        }
        writer
    }

    fn partition(id: u32) -> Partition {
        Partition {
            id,
            term: 3,
            covered: 2,
            floor: 0,
            owner: Some("east".to_owned()),
            window: None,
            ran_ms: 0,
            below: Some(TermBelow {
                seq: 2,
                term: 3,
                extra: Default::default(),
            }),
            extra: Default::default(),
        }
    }

    #[tokio::test]
    async fn a_damaged_entry_of_one_partition_keeps_none_from_being_ended() {
        let store = MemoryStore::new();
        let journal = |by: &str| Journal::new(Arc::new(store.clone()), WriterId(by.to_owned()));
        let (east, west) = (journal("east"), journal("west"));
        let writers = [writer(&east, 0).await, writer(&east, 1).await];
        let broken = StreamId::Partition(0).key(4);
        store.replace(&broken, "altered".into());
        let state = State {
            partitions: vec![partition(0), partition(1)],
            ..State::default()
        };
        let source = |seal| Source {
            journal: &west,
            seal,
        };
        let unsealed = source(false).end_partitions(&state, "west").await.unwrap();
        let ends: Vec<u64> = unsealed.iter().map(|tail| tail.to).collect();
        assert_eq!(ends, [7, 7]);
        // As often as it is begun.
        for _ in 0..2 {
            let tails = source(true).end_partitions(&state, "west").await.unwrap();
            for tail in tails {
                assert_eq!((tail.from, tail.imported, tail.to), (2, 2, 7));
                assert_eq!(tail.term_below(2), Some(3), "nobody has to look back");
            }
        }
        for writer in writers {
            let late = writer.append("late".into()).await.unwrap_err();
            assert!(matches!(late, CommitError::Fenced { .. }), "{late}");
        }
        // What is damaged is met by whoever reads that partition.
        let mut tail = west.tail(StreamId::Partition(0), 2, 3);
        let error = loop {
            match tail.next().await {
                Ok(entry) => assert!(entry.unwrap().seq < 4),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains(&broken), "{error}");
    }
}
