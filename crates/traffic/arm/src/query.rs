//! The parameters of a request.

use url::form_urlencoded;

use backstay_resource::text::shown;

use crate::{ArmError, Served};

/// The parameters of a request, by their names in lower case.
#[derive(Clone, Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Those of a URL's query.
    pub(crate) fn of(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(
            pairs
                .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
                .collect(),
        )
    }

    /// The value of a parameter, whose name is given in lower case; an empty one is none.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(it, _)| it == name);
        found
            .next()
            .map(|(_, value)| value.as_str())
            .filter(|it| !it.is_empty())
    }

    /// Whether the version that is asked for, of this type if it is known, is answered.
    pub(crate) fn check_version(&self, of: Option<&Served>) -> Result<(), ArmError> {
        let Some(version) = self.get("api-version") else {
            return Err(ArmError::bad(
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            ));
        };
        match of {
            Some(Served { of, versions })
                if !versions.iter().any(|it| it.eq_ignore_ascii_case(version)) =>
            {
                let (namespace, name) = (of.namespace, of.name);
                Err(ArmError::bad(
                    "InvalidResourceType",
                    format!(
                        "The resource type '{name}' could not be found in the namespace \
                         '{namespace}' for api version '{}'. The supported api-versions are '{}'.",
                        shown(version),
                        versions.join(",")
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}
