//! Where Azure is.

use url::{Host, Url};

use crate::Environment;

/// Azure's own, of the public cloud.
const ARM: &str = "https://management.azure.com";
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// Why an address cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// Not a URL.
    #[error("{setting}: '{value}' is no address; give one such as {ARM}")]
    NoUrl {
        /// The variable that names the address.
        setting: &'static str,
        /// Its value as given.
        value: String,
    },
    /// A token would go over the network in the clear.
    #[error(
        "{setting}: '{value}' is not https, and not on this machine: the token could be read on the way; give an https address"
    )]
    InTheClear {
        /// The variable that names the address.
        setting: &'static str,
        /// Its value as given.
        value: String,
    },
}

/// Where the Resource Manager and the login service are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    arm: Url,
    authority: Url,
}

impl Cloud {
    /// The Resource Manager at `arm`, or the public one; the login service at
    /// `AZURE_AUTHORITY_HOST`, or the public one.
    ///
    /// # Errors
    /// When an address is none, or would have a token sent in the clear.
    pub fn new(arm: Option<&str>, environment: &Environment) -> Result<Self, CloudError> {
        let authority = environment.get("AZURE_AUTHORITY_HOST");
        Ok(Self {
            arm: address("the Resource Manager's endpoint", arm.unwrap_or(ARM))?,
            authority: address("AZURE_AUTHORITY_HOST", authority.unwrap_or(AUTHORITY))?,
        })
    }

    /// The Resource Manager.
    pub fn arm(&self) -> &Url {
        &self.arm
    }

    /// The login service.
    pub(crate) fn authority(&self) -> &Url {
        &self.authority
    }

    /// For whom tokens are asked: the Resource Manager, by its address.
    pub(crate) fn audience(&self) -> &str {
        self.arm.as_str().trim_end_matches('/')
    }
}

fn address(setting: &'static str, value: &str) -> Result<Url, CloudError> {
    // Some set the authority as a bare host name, which Azure's libraries take too.
    let with_scheme = match value.contains("://") {
        true => value.to_owned(),
        false => format!("https://{value}"),
    };
    let no_url = || CloudError::NoUrl {
        setting,
        value: backstay_resource::text::excerpt(value),
    };
    let mut url = Url::parse(&with_scheme).map_err(|_| no_url())?;
    if url.cannot_be_a_base() || url.host().is_none() || !url.username().is_empty() {
        return Err(no_url());
    }
    match url.scheme() {
        "https" => {}
        "http" if on_this_machine(&url) => {}
        _ => {
            return Err(CloudError::InTheClear {
                setting,
                value: backstay_resource::text::excerpt(value),
            });
        }
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// Whether an address is on loopback. A name is not, but for `localhost`: it could resolve to
/// anything.
pub(crate) fn on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests;
