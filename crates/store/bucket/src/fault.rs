//! From what a store answers to what it means.

use std::error::Error as StdError;
use std::io;

use object_store::client::HttpError;

use crate::{BucketConfig, Error, Provider, Source};

mod refusal;
mod remedy;

pub(crate) use refusal::service_error;

/// A refusal by the service, as [`crate::store`] found it in the response.
#[derive(Debug, Clone, thiserror::Error)]
#[error("HTTP {status}{}{code}{message}", if code.is_empty() { "" } else { " " })]
pub(crate) struct ServiceError {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The service's own code, for example `ContainerNotFound`; empty if it gave none.
    pub(crate) code: String,
    /// The start of its message and of what it adds, with a leading `: `; empty if it gave none.
    pub(crate) message: String,
}

impl ServiceError {
    /// Whether it says, with a code of its own, that the object exists, or is not the expected one.
    pub(crate) fn is_certain(&self) -> bool {
        matches!(
            self.code.as_str(),
            "BlobAlreadyExists" | "ConditionNotMet" | "PreconditionFailed" | "conditionNotMet"
        )
    }
}

/// What to do about a failed attempt.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The same attempt may succeed later.
    Again(Source),
    /// Another attempt would fail the same way.
    Stop(Stop),
}

/// Why an operation ended without success.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The object exists already, or is not the one that was expected; the refusal, if
    /// it was a service that gave it.
    Precondition(Option<ServiceError>),
    /// The range begins behind the object's end.
    Range,
    /// What the caller gets as it is.
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Judges the failure of an attempt on `object`.
pub(crate) fn judge(config: &BucketConfig, object: &str, error: object_store::Error) -> Verdict {
    if let Some(service) = cause::<ServiceError>(&error) {
        let service = service.clone();
        return judge_service(config, object, service);
    }
    if cause::<HttpError>(&error).is_some() {
        return Verdict::Again(flat(&error).into());
    }
    let local = matches!(config.provider, Provider::Local { .. });
    if local && let Some(io) = cause::<io::Error>(&error) {
        let (kind, text) = (io.kind(), io.to_string());
        return judge_io(config, object, kind, text);
    }
    use object_store::Error as E;
    match error {
        E::NotFound { .. } => stop(missing(config, object)),
        E::AlreadyExists { .. } | E::Precondition { .. } | E::NotModified { .. } => {
            Verdict::Stop(Stop::Precondition(None))
        }
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            let detail = flat(&error);
            stop(denied(config, object, detail, None))
        }
        // What is left of a folder's errors are ranges (`InvalidGetRange` is not exported).
        E::Generic { .. } if local && flat(&error).contains("range") => Verdict::Stop(Stop::Range),
        E::InvalidPath { source } => stop(Error::Name {
            object: object.to_owned(),
            problem: source.to_string(),
        }),
        // A body that ended too early and the like.
        E::Generic { .. } | E::JoinError { .. } => Verdict::Again(flat(&error).into()),
        _ => stop(refused(config, object, flat(&error))),
    }
}

fn judge_service(config: &BucketConfig, object: &str, service: ServiceError) -> Verdict {
    match (service.status, service.code.as_str()) {
        // Both mean "not now": a rival request is under way, or the container is on its way out
        // and may be made again.
        (409, "ConditionalRequestConflict" | "OperationAborted" | "ContainerBeingDeleted")
        | (408 | 429, _) => Verdict::Again(service.into()),
        (404, "ContainerNotFound" | "NoSuchBucket") => stop(no_container(config)),
        // Google names no code of its own for it in JSON.
        (404, _) if service.message.contains("bucket does not exist") => stop(no_container(config)),
        (404, _) => stop(missing(config, object)),
        // Google's way to say "too many".
        (403, "rateLimitExceeded" | "userRateLimitExceeded") => Verdict::Again(service.into()),
        (401 | 403, _) => stop(denied(config, object, service.to_string(), Some(&service))),
        (409 | 412, code) if !remedy::is_precondition(code) => {
            stop(conflict(config, object, &service))
        }
        (409 | 412, _) => Verdict::Stop(Stop::Precondition(Some(service))),
        (416, _) => Verdict::Stop(Stop::Range),
        (501, _) => stop(refused(config, object, service.to_string())),
        (507, _) => stop(Error::NoSpace {
            endpoint: config.endpoint(),
            object: object.to_owned(),
            source: service.into(),
        }),
        (status, _) if status >= 500 => Verdict::Again(service.into()),
        _ => stop(refused(config, object, service.to_string())),
    }
}

fn judge_io(config: &BucketConfig, object: &str, kind: io::ErrorKind, text: String) -> Verdict {
    use io::ErrorKind as Kind;
    match kind {
        // A folder that has gone is not an object that was never there.
        Kind::NotFound if !folder_exists(config) => stop(no_container(config)),
        Kind::NotFound => stop(missing(config, object)),
        Kind::AlreadyExists => Verdict::Stop(Stop::Precondition(None)),
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
            stop(denied(config, object, text, None))
        }
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => stop(Error::NoSpace {
            endpoint: config.endpoint(),
            object: object.to_owned(),
            source: text.into(),
        }),
        Kind::InvalidFilename | Kind::NotADirectory | Kind::IsADirectory => stop(Error::Name {
            object: object.to_owned(),
            problem: text,
        }),
        _ => Verdict::Again(text.into()),
    }
}

fn folder_exists(config: &BucketConfig) -> bool {
    match &config.provider {
        Provider::Local { path } => path.is_dir(),
        Provider::Azure { .. } | Provider::S3 { .. } | Provider::Gcp { .. } => true,
    }
}

fn stop(error: Error) -> Verdict {
    Verdict::Stop(Stop::Error(error))
}

pub(crate) fn missing(config: &BucketConfig, object: &str) -> Error {
    Error::Missing {
        object: object.to_owned(),
        container: config.container.clone(),
    }
}

pub(crate) fn no_container(config: &BucketConfig) -> Error {
    Error::NoContainer {
        container: config.container.clone(),
        endpoint: config.endpoint(),
        variable: config.what_to_correct(config.container_variable()),
    }
}

fn denied(
    config: &BucketConfig,
    object: &str,
    detail: String,
    refusal: Option<&ServiceError>,
) -> Error {
    let variable = config.what_to_correct(config.credential_variable());
    Error::Denied {
        account: config.account(),
        container: config.container.clone(),
        remedy: match refusal {
            Some(refusal) => remedy::of_denied(config, refusal),
            None => format!("check {variable} and what the account may do there"),
        },
        object: object.to_owned(),
        detail,
    }
}

/// A 409 or 412 that nobody made a condition for.
pub(crate) fn conflict(config: &BucketConfig, object: &str, refusal: &ServiceError) -> Error {
    let remedy = remedy::of_conflict(&refusal.code);
    refused(config, object, format!("{refusal}; {remedy}"))
}

pub(crate) fn refused(config: &BucketConfig, object: &str, source: impl Into<Source>) -> Error {
    Error::Refused {
        endpoint: config.endpoint(),
        object: object.to_owned(),
        source: source.into(),
    }
}

/// Whether the object of a failed deletion was not there anyway.
pub(crate) fn is_absent(error: &object_store::Error) -> bool {
    match cause::<ServiceError>(error) {
        Some(service) => {
            service.status == 404
                && !matches!(service.code.as_str(), "ContainerNotFound" | "NoSuchBucket")
        }
        None => matches!(error, object_store::Error::NotFound { .. }),
    }
}

/// The first error of type `T` among the causes.
fn cause<T: StdError + 'static>(error: &object_store::Error) -> Option<&T> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The innermost cause: the outer texts repeat the inner ones, with the whole URL in them.
fn flat(error: &object_store::Error) -> String {
    backstay_report::innermost(error).to_string()
}

#[cfg(test)]
mod tests;
