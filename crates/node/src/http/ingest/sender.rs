//! Who may send, and where it goes.

use axum::http::HeaderMap;

use crate::http::auth;
use crate::http::error::ApiError;
use crate::http::query::access::ready;
use crate::{Engine, RepositoryName};

/// Where a request's events go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) repository: RepositoryName,
    /// The parser that the token prescribes.
    pub(super) parser: Option<String>,
}

/// The repository that a path names, as in `/api/v1/repositories/logs/ingest`.
fn named(path: &str) -> Option<String> {
    let mut parts = path.trim_start_matches("/api/v1/").split('/');
    if !matches!(parts.next(), Some("dataspaces" | "repositories")) {
        return None;
    }
    let name = parts.next()?;
    let pairs = format!("name={}", name.replace('+', "%2B"));
    url::form_urlencoded::parse(pairs.as_bytes())
        .next()
        .map(|(_, name)| name.into_owned())
}

/// Lets a request with an ingest token pass. The admin token passes where the path names the
/// repository.
pub(super) async fn admit(
    engine: &Engine,
    headers: &HeaderMap,
    path: &str,
) -> Result<Sender, ApiError> {
    let Some(token) = auth::token(headers) else {
        return Err(ApiError::unauthorized(
            "this needs an ingest token; send `Authorization: Bearer <token>` (make one with the GraphQL mutation addIngestTokenV3)",
        ));
    };
    ready(engine)?;
    let named = named(path);
    let admin = engine.administrator(&token).is_some();
    let info = if admin {
        None
    } else {
        engine.look_up_ingest_token(&token).await
    };
    if let Some(info) = info {
        if let Some(named) = named.filter(|named| named != info.repository.as_str()) {
            return Err(ApiError::forbidden(format!(
                "this ingest token is for another repository than `{named}`; use one of that repository"
            )));
        }
        return Ok(Sender {
            repository: info.repository,
            parser: info.parser,
        });
    }
    match named {
        Some(named) if admin => Ok(Sender {
            repository: RepositoryName::new(named),
            parser: None,
        }),
        _ => Err(ApiError::forbidden(
            "this ingest token is unknown or revoked; list the tokens with the GraphQL query `repository(name:) { ingestTokens { name } }`, or make one with addIngestTokenV3",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn the_repository_is_read_from_the_path() {
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(named("/api/v1/repositories/logs/ingest"), some("logs"));
        assert_eq!(named("/api/v1/dataspaces/a%20b/ingest"), some("a b"));
        assert_eq!(named("/api/v1/dataspaces/a+b/ingest"), some("a+b"));
        assert_eq!(named("/api/v1/ingest/humio-structured"), None);
    }
}
