#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn refused(retryable: bool) -> LoadError {
    LoadError::Seal(SealError::Store(StoreError::Backend {
        source: "journal/global/00000000000000000007: access denied".into(),
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
