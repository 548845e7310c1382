#![allow(clippy::unwrap_used)]

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backstay_azure::ResourceId;
use backstay_pair::Side;
use backstay_report::with_causes;

use super::*;

fn unreachable() -> ClusterError {
    ClusterError::Unreachable {
        region: "westus".to_owned(),
        object: "pods a".to_owned(),
        why: "connection refused".to_owned(),
        waited: Duration::from_secs(20),
    }
}

fn not_found() -> ClusterError {
    ClusterError::NotFound {
        region: "westus".to_owned(),
        object: "pods a".to_owned(),
    }
}

fn not_an_id() -> NotAnId {
    "no id".parse::<ResourceId>().unwrap_err()
}

fn json() -> serde_json::Error {
    serde_json::from_str::<u8>("nothing").unwrap_err()
}

fn name(unknown: bool) -> NameError {
    let (server, problem) = (None::<SocketAddr>, "SERVFAIL".to_owned());
    match unknown {
        true => NameError::Unknown {
            server,
            name: "logs.example.org".to_owned(),
            problem,
        },
        false => NameError::Resolver { server, problem },
    }
}

fn refused(status: StatusCode) -> NodeError {
    let pod = "logscale-0".to_owned();
    NodeError::Refused { pod, status }
}

#[test]
fn what_may_succeed_later_is_told_from_what_needs_somebody() {
    let lost = || WriteRefused::Lost("another holds the lock".to_owned());
    let unknown = || WriteRefused::Unknown("the API server does not answer".to_owned());
    let missing = || backstay_bucket::Error::Missing {
        object: "c/k".to_owned(),
        container: "c".to_owned(),
    };
    let pod = || "logscale-0".to_owned();
    let table: Vec<(StepError, bool)> = vec![
        (NoAccess::NoContext("dr-east".to_owned()).into(), false),
        (NoAccess::Cluster(Arc::new(unreachable())).into(), true),
        (unreachable().into(), true),
        (not_found().into(), false),
        (AzureError::NotAnId(not_an_id()).into(), false),
        (not_an_id().into(), false),
        (JournalError::Silent(Side::Primary).into(), true),
        (JournalError::Unsealed(Duration::from_secs(1)).into(), true),
        (JournalError::Cluster(not_found()).into(), false),
        (JournalError::Cluster(unreachable()).into(), true),
        (missing().into(), false),
        (LoadError::Raced.into(), true),
        (LoadError::WriteRefused(lost()).into(), false),
        (lost().into(), false),
        (unknown().into(), true),
        (name(true).into(), true),
        (name(false).into(), false),
        (SpecError::NotAnObject.into(), false),
        (NodeError::NoneReady.into(), true),
        (NodeError::Token.into(), false),
        (refused(StatusCode::SERVICE_UNAVAILABLE).into(), true),
        (refused(StatusCode::FORBIDDEN).into(), false),
        (
            NodeError::NotJson {
                pod: pod(),
                source: json(),
            }
            .into(),
            false,
        ),
        (NodeError::NotTaken("Flag").into(), false),
        (StepError::Void("the clock jumped"), true),
        (StepError::Stranger("c3".to_owned()), false),
        (StepError::Contended, true),
        (Withheld::Delete.because("1 nodes are left"), true),
    ];
    for (error, retryable) in table {
        assert_eq!(error.is_retryable(), retryable, "{error}");
    }
}

#[test]
fn what_was_not_done_says_so_first() {
    let table = [
        (Withheld::Switch, "not switched: seen"),
        (Withheld::Delete, "not deleted: seen"),
        (
            Withheld::Enable,
            "not enabled, because the primary does not serve: seen",
        ),
        (Withheld::TakeBack, "not taken back: seen"),
    ];
    for (act, text) in table {
        assert_eq!(act.because("seen").to_string(), text);
    }
}

#[test]
fn the_cause_is_kept_and_said_once() {
    let pod = "logscale-0".to_owned();
    let error = StepError::from(NodeError::NotJson {
        pod,
        source: json(),
    });
    assert!(error.source().unwrap().is::<serde_json::Error>());
    assert_eq!(with_causes(&error), error.to_string());
    let declared = ClusterError::Answer {
        region: "westus".to_owned(),
        object: "humioclusters logscale".to_owned(),
        problem: SpecError::NotAnObject.into(),
    };
    let error = StepError::from(declared);
    assert!(error.source().unwrap().is::<SpecError>());
    assert!(!error.is_retryable());
}
