//! Who may tell of alerts.

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use backstay_token::FileToken;

use crate::entra::Entra;
use crate::refusal::Refusal;

/// What a request shows. It has no `Debug`: both are credentials.
pub(crate) struct Shown {
    bearer: Option<String>,
    code: Option<String>,
}

impl Shown {
    pub(crate) fn new(authorization: Option<&str>, code: Option<String>) -> Self {
        let bearer = authorization.and_then(|it| {
            let (scheme, token) = it.trim().split_once(' ')?;
            let token = token.trim();
            (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
        });
        Self {
            bearer,
            code: code.filter(|it| !it.is_empty()),
        }
    }

    pub(crate) fn of(request: &Parts) -> Self {
        let header = request.headers.get(AUTHORIZATION);
        let query = request.uri.query().unwrap_or_default();
        let code = url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "code")
            .map(|(_, value)| value.into_owned());
        Self::new(header.and_then(|it| it.to_str().ok()), code)
    }

    #[cfg(test)]
    pub(crate) fn bearer(&self) -> Option<&str> {
        self.bearer.as_deref()
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

/// What lets a request in: any one of these.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) secret: Option<FileToken>,
    pub(crate) entra: Option<Entra>,
}

impl Admission {
    /// Whether nothing is asked for.
    pub(crate) fn is_open(&self) -> bool {
        self.secret.is_none() && self.entra.is_none()
    }

    pub(crate) async fn admit(&self, shown: &Shown) -> Result<(), Refusal> {
        if self.is_open() {
            return Ok(());
        }
        if let Some(secret) = &self.secret {
            let all = [&shown.bearer, &shown.code];
            if all.into_iter().flatten().any(|it| secret.matches(it)) {
                return Ok(());
            }
        }
        match (&self.entra, &shown.bearer) {
            (Some(entra), Some(token)) => entra.verify(token).await,
            (Some(_), None) if self.secret.is_none() => Err(Refusal::Unauthenticated),
            _ if shown.bearer.is_none() && shown.code.is_none() => Err(Refusal::Unauthenticated),
            _ => Err(Refusal::Forbidden("the secret is not ours")),
        }
    }
}

#[cfg(test)]
mod tests;
