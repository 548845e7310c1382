//! What mutations are given, and what of it makes sense.

use async_graphql::{Enum, InputObject};

use super::change::ChangeError;

/// Longest name of anything.
const MAX_NAME_CHARS: usize = 100;

/// A new ingest token.
#[derive(InputObject)]
#[graphql(name = "AddIngestTokenV3Input")]
pub(super) struct AddIngestToken {
    /// Where its events go.
    pub(super) repository_name: String,
    /// Unique in the repository.
    pub(super) name: String,
    /// The parser that unparsed lines are given to.
    pub(super) parser: Option<String>,
}

/// A new user.
#[derive(InputObject)]
#[graphql(name = "AddUserInputV2")]
pub(super) struct AddUser {
    /// What the user signs in as.
    pub(super) username: String,
    /// The full name.
    pub(super) full_name: Option<String>,
    /// May do everything.
    pub(super) is_root: Option<bool>,
}

/// A user who goes.
#[derive(InputObject)]
#[graphql(name = "RemoveUserInput")]
pub(super) struct RemoveUser {
    /// Who.
    pub(super) username: String,
}

/// A user who goes.
#[derive(InputObject)]
#[graphql(name = "RemoveUserByIdInput")]
pub(super) struct RemoveUserById {
    /// Who.
    pub(super) id: String,
}

/// What can be configured while the cluster runs.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "DynamicConfig")]
pub(super) enum DynamicConfig {
    /// Whether a node that is drained first writes all its segments and a fresh snapshot.
    #[graphql(name = "FlushSegmentsAndGlobalOnShutdown")]
    FlushSegmentsAndGlobalOnShutdown,
}

impl DynamicConfig {
    /// All of them.
    pub(super) const ALL: [Self; 1] = [Self::FlushSegmentsAndGlobalOnShutdown];

    /// The name, as in the state.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FlushSegmentsAndGlobalOnShutdown => "FlushSegmentsAndGlobalOnShutdown",
        }
    }

    /// What holds where nothing is set.
    pub(super) fn default_value(self) -> &'static str {
        match self {
            Self::FlushSegmentsAndGlobalOnShutdown => "false",
        }
    }

    /// The value, if it is one.
    pub(super) fn checked(self, value: &str) -> Result<String, ChangeError> {
        match self {
            Self::FlushSegmentsAndGlobalOnShutdown => match value {
                "true" | "false" => Ok(value.to_owned()),
                _ => Err(ChangeError::Input(format!(
                    "{}: the value must be \"true\" or \"false\", not {value:?}",
                    self.name()
                ))),
            },
        }
    }
}

/// A value for a dynamic configuration.
#[derive(InputObject)]
#[graphql(name = "DynamicConfigInputObject")]
pub(super) struct SetDynamicConfig {
    /// Which.
    pub(super) config: DynamicConfig,
    /// The value, as text.
    pub(super) value: String,
}

/// A dynamic configuration that gets its default.
#[derive(InputObject)]
#[graphql(name = "UnsetDynamicConfigInputObject")]
pub(super) struct UnsetDynamicConfig {
    /// Which.
    pub(super) config: DynamicConfig,
}

/// A repository's name is part of URLs.
pub(super) fn repository_name(name: &str) -> Result<(), ChangeError> {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(safe);
    if is_name && name.len() <= MAX_NAME_CHARS {
        return Ok(());
    }
    Err(ChangeError::Input(format!(
        "a repository cannot be named {:?}; use up to {MAX_NAME_CHARS} letters, digits, `-`, `_` and `.`, a letter or digit first",
        shortened(name)
    )))
}

/// Any other name is only shown.
pub(super) fn name(what: &str, name: &str) -> Result<(), ChangeError> {
    let is_name = !name.trim().is_empty() && !name.contains(char::is_control);
    if is_name && name.chars().count() <= MAX_NAME_CHARS {
        return Ok(());
    }
    Err(ChangeError::Input(format!(
        "{:?} is not a valid name for {what}; use 1 to {MAX_NAME_CHARS} characters that can be printed",
        shortened(name)
    )))
}

fn shortened(name: &str) -> String {
    name.chars().take(MAX_NAME_CHARS).collect()
}
