//! The alert rule that wakes.

use std::fmt;
use std::str::FromStr;

use backstay_azure::ResourceId;

use crate::Message;

/// Why a text names no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// An empty text.
    #[error("no alert rule is named; give its name or its resource id")]
    Empty,
    /// Neither a name nor an id.
    #[error("'{0}' is neither the name of an alert rule nor its resource id")]
    Neither(String),
}

/// A rule, by its name or by its resource id. Azure's names are the same in either case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule(Named);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Name(String),
    Id(ResourceId),
}

impl Rule {
    /// The rule's name, also where it is given by its id.
    pub fn name(&self) -> &str {
        match &self.0 {
            Named::Name(name) => name,
            Named::Id(id) => id.name(),
        }
    }

    /// Whether a message is of this rule. Webhooks carry a name, mostly also an id, and the list of
    /// alerts an id alone; ids are compared where both are known, else names.
    pub(crate) fn is_of(&self, message: &Message) -> bool {
        let said = [message.rule_id.as_deref(), Some(message.rule.as_str())];
        if let Named::Id(id) = &self.0 {
            let mut ids = said
                .into_iter()
                .flatten()
                .filter_map(|it| it.parse::<ResourceId>().ok());
            if let Some(of) = ids.next() {
                return of == *id;
            }
        }
        let name = message.rule.rsplit('/').next().unwrap_or_default();
        name.eq_ignore_ascii_case(self.name())
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(RuleError::Empty);
        }
        if !text.contains('/') {
            return Ok(Self(Named::Name(text.to_owned())));
        }
        match text.parse() {
            Ok(id) => Ok(Self(Named::Id(id))),
            Err(_) => Err(RuleError::Neither(text.chars().take(200).collect())),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Named::Name(name) => f.write_str(name),
            Named::Id(id) => id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
