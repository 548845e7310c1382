#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn refused(retryable: bool) -> LoadError {
    let error = match retryable {
        false => backstay_bucket::Error::Denied {
            account: "a".to_owned(),
            container: "c".to_owned(),
            remedy: "check the key".to_owned(),
            object: "journal/global/00000000000000000007".to_owned(),
            detail: "HTTP 403".to_owned(),
        },
        true => backstay_bucket::Error::Replaced {
            object: "journal/global/00000000000000000007".to_owned(),
        },
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
