//! The text of a variable, as the value that it stands for.

use std::fmt;
use std::str::FromStr;

use super::ConfigError;

/// Values by name, with errors that say the name.
pub(super) struct Reader<'a> {
    pub(super) vars: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    /// An empty value counts as unset: that is what templates leave behind.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.vars)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(
        &self,
        name: &str,
        text: &str,
    ) -> Result<T, ConfigError> {
        text.parse().map_err(|error: T::Err| ConfigError::Value {
            variable: name.to_owned(),
            problem: match name {
                // What is to be a secret's hash may be the secret.
                "BOOTSTRAP_ROOT_TOKEN_HASHED" => error.to_string(),
                _ => format!("`{text}`: {error}"),
            },
        })
    }

    pub(super) fn number(
        &self,
        name: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        let value: u64 = self.parse(name, &text)?;
        if range.contains(&value) {
            return Ok(value);
        }
        Err(ConfigError::Value {
            variable: name.to_owned(),
            problem: format!("{value} is not from {} to {}", range.start(), range.end()),
        })
    }

    /// A version of three numbers.
    pub(super) fn version(&self, name: &str, default: &str) -> Result<String, ConfigError> {
        let Some(text) = self.text(name) else {
            return Ok(default.to_owned());
        };
        let numbers: Vec<&str> = text.split('.').collect();
        if numbers.len() == 3 && numbers.iter().all(|it| it.parse::<u32>().is_ok()) {
            return Ok(text);
        }
        Err(ConfigError::Value {
            variable: name.to_owned(),
            problem: format!(
                "`{text}` is not a valid version: give three numbers, such as {default}"
            ),
        })
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, ConfigError> {
        match self.text(name).map(|text| text.to_lowercase()).as_deref() {
            None => Ok(default),
            Some("true" | "1" | "yes") => Ok(true),
            Some("false" | "0" | "no") => Ok(false),
            Some(other) => Err(ConfigError::Value {
                variable: name.to_owned(),
                problem: format!("`{other}` is neither true nor false"),
            }),
        }
    }
}
