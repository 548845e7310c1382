//! What is wrong with a document, for whoever wrote it: it ends in its status.

use serde_json::Error as JsonError;

/// A part of a document that cannot be followed. It quotes no value of a variable: some are keys.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub(crate) struct Invalid {
    /// Where it stands.
    place: String,
    #[source]
    problem: Problem,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error(transparent)]
    Type(#[from] JsonError),
    #[error("missing; {0}")]
    Missing(&'static str),
    #[error("not a list")]
    NotAList,
    #[error("{count} is not within {least} and {most}")]
    Count {
        count: i64,
        least: usize,
        most: usize,
    },
    #[error("{value:?} is not known; use {known}")]
    Unknown { value: String, known: &'static str },
    #[error("neither a number nor a percentage")]
    Amount,
    #[error("{0} is not a number of pods")]
    Pods(i64),
    #[error("{0:?} is not a valid name; use lower case letters, digits and dashes")]
    Name(String),
    #[error("a pool {0:?} is there already; rename one")]
    PoolTwice(String),
    #[error(
        "{name:?} cannot be the label of a pool; use at most {most} lower case letters, digits and dashes"
    )]
    PoolLabel { name: String, most: usize },
    #[error("it has no usable name")]
    VariableName,
    #[error("{0} is there twice; remove one of them")]
    VariableTwice(String),
    #[error("not an object")]
    NotAnObject,
    #[error(
        "it is there besides dataVolumePersistentVolumeClaimSpecTemplate; a node keeps its data in one of both"
    )]
    DataTwice,
    #[error("the value of {0} is not a text; quote it")]
    VariableValue(String),
    #[error("valueFrom of {0} is not an object")]
    VariableSource(String),
    #[error(transparent)]
    Selector(#[from] kube::core::ParseExpressionError),
    #[error("it selects every pod; name at least one label")]
    SelectsAll,
    #[error("spec.selector does not select them; give the template the labels of the selector")]
    NotSelected,
}

impl Problem {
    /// The problem at its place.
    pub(crate) fn at(self, place: impl Into<String>) -> Invalid {
        let place = place.into();
        Invalid {
            place,
            problem: self,
        }
    }
}
