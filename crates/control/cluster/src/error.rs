//! What can go wrong, and which errors are worth another attempt.

use std::time::Duration;

use backstay_report::{Cause, excerpt, with_causes};
use backstay_retry::{Classify, Failed, Verdict, WriteRefused, after_status};

use kube::client::AuthError;
use kube::config::KubeconfigError;

use crate::{Denied, Permission};

/// Why a call was not carried out. Every error names the region and the object.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no way in.
    #[error("{region}: no way into the cluster: {why}; check KUBECONFIG and the context's name")]
    Access {
        /// The cluster as it was connected to: a context, or "this cluster".
        region: String,
        /// What is wrong with the access.
        why: String,
    },
    /// Who we are is not believed (401).
    #[error(
        "{region}: {object}: the credentials are refused ({message}); log in again, or renew the service account's token"
    )]
    Unauthenticated {
        /// The cluster as it was connected to: a context, or "this cluster".
        region: String,
        /// About what the call was.
        object: String,
        /// The server's words.
        message: String,
    },
    /// A permission is missing (403).
    #[error("{region}: {object}: {denied}")]
    Forbidden {
        /// The cluster as it was connected to: a context, or "this cluster".
        region: String,
        /// About what the call was.
        object: String,
        /// Which permission is missing, and how to give it.
        denied: Box<Denied>,
    },
    /// It is not there (404).
    #[error(
        "{region}: {object}: not there; check the names in the pair's file, and that the cluster is provisioned"
    )]
    NotFound {
        /// The cluster as it was connected to: a context, or "this cluster".
        region: String,
        /// Resource type and name, as kubectl takes them.
        object: String,
    },
    /// Others change it faster than we do, to the deadline (409).
    #[error("{region}: {object}: changed by others again and again ({message})")]
    Contended {
        /// The cluster as it was connected to: a context, or "this cluster".
        region: String,
        /// Resource type and name, as kubectl takes them.
        object: String,
        /// The server's words.
        message: String,
    },
    /// It may not be changed by us any more.
    #[error("{region}: {object}: {why}")]
    WriteRefused {
        /// The cluster as it was connected to: a context, or "this cluster".
        region: String,
        /// Resource type and name, as kubectl takes them.
        object: String,
        /// What the authority said.
        why: WriteRefused,
    },
    /// Any other refusal.
    #[error("{region}: {object}: refused with {status} {reason}: {message}")]
    Refused {
        /// The cluster as it was connected to: a context, or "this cluster".
        region: String,
        /// Resource type and name, as kubectl takes them.
        object: String,
        /// The HTTP status.
        status: u16,
        /// `reason` of the answer, such as `Invalid`.
        reason: String,
        /// The server's words.
        message: String,
    },
    /// No answer that counts came in time.
    #[error("{region}: {object}: the Kubernetes API does not answer: {why}")]
    Unreachable {
        /// The cluster as it was connected to: a context, or "this cluster".
        region: String,
        /// About what the call was.
        object: String,
        /// What happened last, and how often it was tried.
        why: String,
        /// How long it was tried.
        waited: Duration,
    },
    /// The answer is not what this call is answered with.
    #[error("{region}: {object}: {problem}")]
    Answer {
        /// The cluster as it was connected to: a context, or "this cluster".
        region: String,
        /// About what the call was.
        object: String,
        /// What is wrong with it.
        #[source]
        problem: Cause,
    },
    /// What was waited for has not come to be.
    #[error("{region}: {what} did not come to be in time; {seen}")]
    NotYet {
        /// The cluster as it was connected to: a context, or "this cluster".
        region: String,
        /// What was waited for.
        what: String,
        /// How it looked last.
        seen: String,
    },
}

impl ClusterError {
    /// Whether nothing is known because the API could not be reached.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Contended { .. } | Self::Unreachable { .. } | Self::NotYet { .. } => true,
            Self::WriteRefused { why, .. } => why.is_retryable(),
            Self::Access { .. }
            | Self::Unauthenticated { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Answer { .. } => false,
        }
    }

    /// Whether what the call was about is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// How one attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Attempt {
    #[error("{}", described(.0))]
    Kube(#[from] kube::Error),
    #[error(transparent)]
    WriteRefused(#[from] WriteRefused),
}

impl Classify for Attempt {
    fn verdict(&self) -> Verdict {
        let error = match self {
            Self::Kube(error) => error,
            Self::WriteRefused(why) => return why.verdict(),
        };
        match error {
            kube::Error::Api(status) => {
                let wish = status
                    .details
                    .as_ref()
                    .map_or(0, |it| it.retry_after_seconds);
                let wish = (wish > 0).then(|| Duration::from_secs(u64::from(wish)));
                after_status(status.code, wish)
            }
            // The connection, or the program that fetches a token.
            kube::Error::HyperError(_)
            | kube::Error::Service(_)
            | kube::Error::ReadEvents(_)
            | kube::Error::Auth(_) => Verdict::AGAIN,
            _ => Verdict::Final,
        }
    }
}

/// What an error says; not what serde says of a wrong answer, which may quote it.
pub(crate) fn described(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!(
            "status {} {}: {}",
            status.code,
            status.reason,
            excerpt(&status.message)
        ),
        kube::Error::SerdeError(error) => format!(
            "an answer of another form (line {}, column {})",
            error.line(),
            error.column()
        ),
        kube::Error::FromUtf8(_) => "an answer that is no text".to_owned(),
        kube::Error::Auth(error) => of_auth(error),
        other => excerpt(&with_causes(other)),
    }
}

/// What went wrong with a token; not what the program printed that fetches it, which may be one.
fn of_auth(error: &AuthError) -> String {
    match error {
        // Its arguments can be credentials, too.
        AuthError::AuthExecRun { out, .. } => {
            let said = excerpt(&String::from_utf8_lossy(&out.stderr));
            format!(
                "the kubeconfig's program that is to fetch a token ended with {}: {said}",
                out.status
            )
        }
        AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_) => {
            "the program that is to fetch a token prints no credential".to_owned()
        }
        other => excerpt(&with_causes(other)),
    }
}

/// What is wrong with a kubeconfig; not with its lines, which hold credentials.
pub(crate) fn of_kubeconfig(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => {
            "the file is no kubeconfig: its YAML is not of that form".to_owned()
        }
        other => excerpt(&with_causes(other)),
    }
}

/// What became of a call that did not succeed.
pub(crate) fn of_call(
    region: &str,
    object: &str,
    permission: Permission,
    failed: Failed<Attempt>,
) -> ClusterError {
    let (region, object) = (region.to_owned(), object.to_owned());
    let (why, waited) = (failed.to_string(), failed.waited);
    let last = failed.last.map(|it| (it.verdict(), it));
    let (verdict, error) = match last {
        Some((verdict, Attempt::Kube(error))) => (verdict, error),
        Some((Verdict::Final, Attempt::WriteRefused(why))) => {
            return ClusterError::WriteRefused {
                region,
                object,
                why,
            };
        }
        Some((Verdict::Again { .. }, Attempt::WriteRefused(_))) | None => {
            return ClusterError::Unreachable {
                region,
                object,
                why,
                waited,
            };
        }
    };
    match (verdict, error) {
        (Verdict::Final, kube::Error::Api(status)) => {
            let message = excerpt(&status.message);
            match status.code {
                401 => ClusterError::Unauthenticated {
                    region,
                    object,
                    message,
                },
                403 => ClusterError::Forbidden {
                    region,
                    object,
                    denied: Box::new(permission.denied(message)),
                },
                404 => ClusterError::NotFound { region, object },
                409 => ClusterError::Contended {
                    region,
                    object,
                    message,
                },
                code => ClusterError::Refused {
                    region,
                    object,
                    status: code,
                    reason: excerpt(&status.reason),
                    message,
                },
            }
        }
        (Verdict::Final, _) => ClusterError::Answer {
            region,
            object,
            problem: why.into(),
        },
        (Verdict::Again { .. }, _) => ClusterError::Unreachable {
            region,
            object,
            why,
            waited,
        },
    }
}
