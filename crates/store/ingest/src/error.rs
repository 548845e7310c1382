//! Why nothing of a body is stored.

/// Why nothing of a body is stored, in the words of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body is not what its format says.
    #[error("{0}")]
    Malformed(String),
    /// Its events take more memory than there is.
    #[error(transparent)]
    Memory(#[from] NoMemory),
}

impl BodyError {
    pub(crate) fn malformed(problem: impl Into<String>) -> Self {
        Self::Malformed(problem.into())
    }
}

/// Why memory is not given, in the words of whoever keeps the account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMemory {
    /// Others have it now: the same body may be taken in a moment.
    #[error("{0}")]
    Now(String),
    /// It is more than one body can have.
    #[error("{0}")]
    Never(String),
}
