#![allow(clippy::unwrap_used, clippy::expect_used)]

use object_store::client::HttpErrorKind;

use super::*;
use crate::{Role, Secret};

fn azure() -> BucketConfig {
    BucketConfig {
        provider: Provider::Azure {
            account: "primaryacct".to_owned(),
            key: Secret::new("aHVzaA=="),
            endpoint_base: None,
        },
        container: "logs".to_owned(),
        ..BucketConfig::local("/tmp", Secret::new("k"), Role::RecoverFrom)
    }
}

fn local() -> BucketConfig {
    BucketConfig::local(std::env::temp_dir(), Secret::new("k"), Role::Own)
}

fn answer(status: u16, code: &str) -> Verdict {
    let service = ServiceError {
        status,
        code: code.to_owned(),
        message: String::new(),
    };
    // As the client wraps it: at some depth.
    let error = object_store::Error::Generic {
        store: "test",
        source: Box::new(HttpError::new(HttpErrorKind::Unknown, service)),
    };
    judge(&azure(), "p/x", error)
}

fn io_error(kind: io::ErrorKind) -> Verdict {
    let error = object_store::Error::Generic {
        store: "test",
        source: Box::new(io::Error::from(kind)),
    };
    judge(&local(), "p/x", error)
}

#[test]
fn a_403_names_account_container_and_variable() {
    for status in [401, 403] {
        let Verdict::Stop(Stop::Error(error)) = answer(status, "AuthenticationFailed") else {
            panic!("{status} is repeated");
        };
        assert!(matches!(error, Error::Denied { .. }));
        let text = error.to_string();
        for part in [
            "primaryacct",
            "logs",
            "AZURE_RECOVER_FROM_ACCOUNTKEY",
            "p/x",
            "AuthenticationFailed",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        assert!(!format!("{error:?}").contains("aHVzaA"));
    }
}

#[test]
fn a_missing_container_is_not_a_missing_object() {
    assert!(matches!(
        answer(404, "BlobNotFound"),
        Verdict::Stop(Stop::Error(Error::Missing { .. }))
    ));
    for code in ["ContainerNotFound", "NoSuchBucket"] {
        assert!(matches!(
            answer(404, code),
            Verdict::Stop(Stop::Error(Error::NoContainer { .. }))
        ));
    }
}

#[test]
fn what_passes_is_tried_again() {
    for (status, code) in [
        (408, ""),
        (429, ""),
        (500, "InternalError"),
        (502, ""),
        (503, "ServerBusy"),
        (409, "ConditionalRequestConflict"),
        (409, "ContainerBeingDeleted"),
    ] {
        assert!(
            matches!(answer(status, code), Verdict::Again(_)),
            "{status} {code}"
        );
    }
    let cut_off = object_store::Error::Generic {
        store: "test",
        source: Box::new(HttpError::new(
            HttpErrorKind::Interrupted,
            io::Error::from(io::ErrorKind::ConnectionReset),
        )),
    };
    assert!(matches!(judge(&azure(), "x", cut_off), Verdict::Again(_)));
}

#[test]
fn a_condition_that_does_not_hold_is_told_from_failure() {
    for (status, code, certain) in [
        (409, "BlobAlreadyExists", true),
        (412, "ConditionNotMet", true),
        (412, "PreconditionFailed", true),
        (412, "conditionNotMet", true),
        (409, "", false),
        (409, "SomethingNew", false),
        (412, "", false),
    ] {
        let verdict = answer(status, code);
        let Verdict::Stop(Stop::Precondition(Some(refusal))) = verdict else {
            panic!("{status} {code}: {verdict:?}");
        };
        assert_eq!(refusal.is_certain(), certain, "{status} {code}");
    }
    assert!(matches!(
        answer(416, "InvalidRange"),
        Verdict::Stop(Stop::Range)
    ));
}

#[test]
fn a_full_store_is_not_an_unreachable_one() {
    assert!(matches!(
        answer(507, ""),
        Verdict::Stop(Stop::Error(Error::NoSpace { .. }))
    ));
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        let Verdict::Stop(Stop::Error(error)) = io_error(kind) else {
            panic!("{kind} is repeated");
        };
        assert!(matches!(error, Error::NoSpace { .. }));
        assert!(error.is_retryable());
    }
}

#[test]
fn a_folder_s_own_errors_are_told_apart() {
    assert!(matches!(
        io_error(io::ErrorKind::PermissionDenied),
        Verdict::Stop(Stop::Error(Error::Denied { .. }))
    ));
    assert!(matches!(
        io_error(io::ErrorKind::NotFound),
        Verdict::Stop(Stop::Error(Error::Missing { .. }))
    ));
    assert!(matches!(
        io_error(io::ErrorKind::AlreadyExists),
        Verdict::Stop(Stop::Precondition(_))
    ));
    assert!(matches!(
        io_error(io::ErrorKind::Interrupted),
        Verdict::Again(_)
    ));
}

#[test]
fn an_unknown_refusal_is_final_and_keeps_its_text() {
    let Verdict::Stop(Stop::Error(error)) = answer(400, "InvalidHeaderValue") else {
        panic!("a refusal is repeated");
    };
    assert!(error.to_string().contains("InvalidHeaderValue"));
    assert!(!error.is_retryable());
}
