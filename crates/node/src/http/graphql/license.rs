//! The licence. This program needs none: what is installed is kept and repeated, so that an operator who manages
//! one finds what it has put there. Its signature is not looked at, and of the key nothing is kept but what it says.

use async_graphql::{Context, ErrorExtensions, Interface, Object, Result, SimpleObject};
use backstay_global::{Event, GlobalLog, State};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::Asker;
use super::change::{ChangeError, change, global};

/// Where it is in the state. Not among the dynamic configurations that can be set.
const KEPT_AS: &str = "InstalledLicense";
/// Longest key.
const MAX_KEY_BYTES: usize = 8 << 10;
/// When one expires that does not say so.
const NEVER: i64 = 253_402_300_799;

/// What a licence says of itself (the claims of a JSON Web Token, RFC 7519), as far as somebody asks for it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    uid: String,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    max_users: Option<i32>,
    #[serde(default)]
    is_oem: bool,
    #[serde(default, rename = "allowSAAS")]
    allow_saas: bool,
    #[serde(default)]
    valid_until: Option<i64>,
    #[serde(default)]
    exp: Option<i64>,
    #[serde(default)]
    iat: Option<i64>,
}

impl Claims {
    /// Of a key. What it is is not repeated.
    fn of(key: &str) -> Result<Self, ChangeError> {
        let wrong = || {
            ChangeError::Input(
                "not a licence: it must be a JSON Web Token whose claims have a `uid`".to_owned(),
            )
        };
        let mut parts = key.trim().split('.');
        let (Some(_), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        if key.len() > MAX_KEY_BYTES {
            return Err(wrong());
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(claims).map_err(|_| wrong())?;
        let claims: Self = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
        if claims.uid.is_empty() {
            return Err(wrong());
        }
        Ok(claims)
    }

    fn shown(self) -> License {
        let expires = self.valid_until.or(self.exp).unwrap_or(NEVER);
        License::OnPrem(OnPremLicense {
            expires_at: at(expires),
            issued_at: self.iat.map(at),
            uid: self.uid,
            owner: self.sub,
            max_users: self.max_users,
            is_saas: self.allow_saas,
            is_oem: self.is_oem,
        })
    }
}

/// Seconds since 1970 as a time of ISO 8601.
fn at(seconds: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp(seconds, 0);
    time.unwrap_or(DateTime::<Utc>::MAX_UTC)
        .to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A licence of somebody who runs the cluster on their own.
#[derive(SimpleObject)]
pub(super) struct OnPremLicense {
    /// When it ends.
    expires_at: String,
    /// When it was made, if it says so.
    issued_at: Option<String>,
    /// Its id.
    uid: String,
    /// Whose it is.
    owner: String,
    /// How many users it is for; nothing is made of it.
    max_users: Option<i32>,
    /// Whether it allows to serve others.
    #[graphql(name = "isSaaS")]
    is_saas: bool,
    /// Whether it is for a product of somebody else.
    is_oem: bool,
}

/// A licence for a while; there is none here, but it is asked for.
#[derive(SimpleObject)]
pub(super) struct TrialLicense {
    /// When it ends.
    expires_at: String,
    /// When it was made.
    issued_at: Option<String>,
}

/// A licence.
#[derive(Interface)]
#[graphql(
    field(name = "expires_at", ty = "&String"),
    field(name = "issued_at", ty = "&Option<String>")
)]
pub(super) enum License {
    /// The one that there is.
    OnPrem(OnPremLicense),
    /// Never.
    Trial(TrialLicense),
}

fn installed(state: &State) -> Option<Claims> {
    serde_json::from_str(state.dynamic(KEPT_AS)?).ok()
}

pub(super) struct Queries;

#[Object(name = "LicenseQueries")]
impl Queries {
    /// The licence that was installed, if one was. Nothing depends on it.
    async fn installed_license(&self, context: &Context<'_>) -> Result<Option<License>> {
        let claims = global(context)?.read(installed);
        Ok(claims.map(Claims::shown))
    }
}

pub(super) struct Mutations;

#[Object(name = "LicenseMutations")]
impl Mutations {
    /// Installs a licence. The first one needs no token.
    async fn update_license_key(&self, context: &Context<'_>, license: String) -> Result<License> {
        let is_known = context.data::<Asker>()?.0.is_some();
        let installed = install(global(context)?, &license, is_known).await;
        installed.map(Claims::shown).map_err(|error| error.extend())
    }
}

async fn install(global: &GlobalLog, key: &str, is_known: bool) -> Result<Claims, ChangeError> {
    let claims = Claims::of(key)?;
    let text =
        serde_json::to_string(&claims).map_err(|error| ChangeError::Input(error.to_string()))?;
    change(global, |state| {
        let before = installed(state);
        if before.as_ref() == Some(&claims) {
            return Ok(Vec::new());
        }
        if before.is_some() && !is_known {
            return Err(backstay_global::Reject::new(
                "a licence is installed already; another one needs a token of the administrator",
            ));
        }
        Ok(vec![Event::DynamicConfigSet {
            name: KEPT_AS.to_owned(),
            value: Some(text.clone()),
        }])
    })
    .await?;
    Ok(claims)
}
