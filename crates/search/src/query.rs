//! skeleton

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {}

/// Where a text stops being a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: expected {expected}; {hint}")]
pub struct ParseError {
    /// How many characters of the text are before the place.
    pub at: usize,
    /// What could have stood there.
    pub expected: String,
    /// What to do.
    pub hint: String,
}

impl Query {
    /// Parses a query.
    ///
    /// # Errors
    /// Says where the text stops being a query and what to do.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let _ = text;
        todo!()
    }

    /// Whether its rows are aggregates, not events.
    pub fn is_aggregate(&self) -> bool {
        todo!()
    }
}
