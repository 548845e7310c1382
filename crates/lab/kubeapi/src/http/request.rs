//! What a request says: path, query, and the headers that matter.

use axum::http::{Method, header, request::Parts};
use url::form_urlencoded;

use crate::kind::{Kind, Served};
use crate::managed::Manager;
use crate::status::{ApiError, ApiResult};

/// A request's query may not have more parameters than this.
const MAX_PARAMETERS: usize = 1024;
/// As Kubernetes limits the names of field managers.
const MAX_MANAGER_CHARS: usize = 128;

/// What a path is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Route {
    /// `/healthz`, `/livez`, `/readyz`.
    Health,
    /// `/version`.
    Version,
    /// `/api`, `/apis`, and below, down to group and version.
    Discovery(Vec<String>),
    /// `/openapi/v2`, `/openapi/v3` and below.
    OpenApi(Vec<String>),
    /// `selfsubjectreviews`, `selfsubjectaccessreviews`.
    Review(&'static str),
    /// Documents.
    Resource(Target),
    /// Nothing that is served.
    Unknown,
}

/// Documents, one or all of a kind, and what of them.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub kind: &'static Kind,
    /// Empty for all, or for what is in none.
    pub namespace: String,
    /// Empty for all.
    pub name: String,
    pub subresource: String,
    /// What follows the subresource, for `proxy`.
    pub rest: String,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.kind, other.kind)
            && (&self.namespace, &self.name, &self.subresource, &self.rest)
                == (
                    &other.namespace,
                    &other.name,
                    &other.subresource,
                    &other.rest,
                )
    }
}

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    pub method: Method,
    pub route: Route,
    pub accept: String,
    pub content_type: String,
    pub user_agent: String,
    pub token: Option<Token>,
    query: Vec<(String, String)>,
}

/// A bearer token, not to be printed.
pub(crate) struct Token(String);

impl std::ops::Deref for Token {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Call {
    pub(crate) fn parse(parts: &Parts, kinds: &Served) -> ApiResult<Self> {
        let header = |name| {
            parts
                .headers
                .get(name)
                .and_then(|value: &axum::http::HeaderValue| value.to_str().ok())
                .unwrap_or_default()
        };
        let query: Vec<(String, String)> =
            form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
                .take(MAX_PARAMETERS)
                .map(|(key, value)| (key.into_owned(), value.into_owned()))
                .collect();
        let content_type = header(header::CONTENT_TYPE)
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        Ok(Self {
            method: parts.method.clone(),
            route: route(parts.uri.path(), kinds)?,
            accept: header(header::ACCEPT).to_owned(),
            content_type: content_type.to_owned(),
            user_agent: header(header::USER_AGENT).to_owned(),
            token: header(header::AUTHORIZATION)
                .strip_prefix("Bearer ")
                .map(|token| Token(token.trim().to_owned())),
            query,
        })
    }

    /// A parameter, or the empty text.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    }

    /// All values of a parameter.
    pub(crate) fn parameters(&self, name: &str) -> Vec<String> {
        self.query
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
            .collect()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.parameter(name), "true" | "1")
    }

    /// A number, where there is one.
    pub(crate) fn number(&self, name: &str) -> ApiResult<Option<u64>> {
        match self.parameter(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                ApiError::bad_request(format!(
                    "invalid query parameter {name}: {text:?} is not a number"
                ))
            }),
        }
    }

    pub(crate) fn is_watch(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD) && self.flag("watch")
    }

    /// Whether nothing is to be kept.
    pub(crate) fn dry_run(&self) -> ApiResult<bool> {
        match self.parameter("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => Err(ApiError::unprocessable(format!(
                "dryRun: Unsupported value: {other:?}: supported values: \"All\""
            ))),
        }
    }

    /// Who the fields that this request writes belong to: as it says, or else the program.
    pub(crate) fn manager(&self, subresource: &'static str) -> Manager {
        let name = match self.parameter("fieldManager") {
            "" => self.user_agent.split('/').next().unwrap_or_default(),
            name => name,
        };
        let name: String = name
            .chars()
            .filter(|letter| !letter.is_control())
            .take(MAX_MANAGER_CHARS)
            .collect();
        let name = match name.as_str() {
            "" => "unknown".to_owned(),
            _ => name,
        };
        Manager { name, subresource }
    }
}

fn decoded(segment: &str) -> ApiResult<String> {
    // Percent signs are decoded as in a form's value, where a plus sign is a space; in a path it
    // is itself.
    let text = segment.replace('+', "%2B");
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    let name = pairs.next().map(|(key, _)| key.into_owned());
    let name = name.unwrap_or_default();
    if name.contains('/') || segment.contains(['=', '&']) {
        return Err(ApiError::bad_request(format!(
            "invalid path segment {segment:?}"
        )));
    }
    Ok(name)
}

fn route(path: &str, kinds: &Served) -> ApiResult<Route> {
    let path = path.trim_start_matches('/');
    let raw: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    match raw.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => return Ok(Route::Health),
        ["version"] => return Ok(Route::Version),
        ["openapi", rest @ ..] if matches!(rest.first(), Some(&("v2" | "v3"))) => {
            return Ok(Route::OpenApi(
                rest.iter().map(|s| (*s).to_owned()).collect(),
            ));
        }
        ["api" | "apis"] | ["api", _] | ["apis", _] | ["apis", _, _] => {
            return Ok(Route::Discovery(
                raw.iter().map(|s| (*s).to_owned()).collect(),
            ));
        }
        [
            "apis",
            "authorization.k8s.io",
            "v1",
            "selfsubjectaccessreviews",
        ] => {
            return Ok(Route::Review("SelfSubjectAccessReview"));
        }
        ["apis", "authentication.k8s.io", "v1", "selfsubjectreviews"] => {
            return Ok(Route::Review("SelfSubjectReview"));
        }
        _ => {}
    }
    let (group, version, below) = match raw.as_slice() {
        ["api", version, below @ ..] => ("", *version, below),
        ["apis", group, version, below @ ..] => (*group, *version, below),
        _ => return Ok(Route::Unknown),
    };
    let (namespace, below) = match below {
        ["namespaces", name, resource, rest @ ..]
            if !matches!(*resource, "status" | "finalize") =>
        {
            let skip = below.len() - rest.len() - 1;
            (decoded(name)?, below.get(skip..).unwrap_or_default())
        }
        _ => (String::new(), below),
    };
    let (plural, below) = match below {
        [plural, below @ ..] => (*plural, below),
        [] => return Ok(Route::Unknown),
    };
    let kind = kinds
        .find(group, version, plural)
        .ok_or_else(ApiError::no_such_resource)?;
    if !kind.namespaced && !namespace.is_empty() {
        return Err(ApiError::no_such_resource());
    }
    let (name, subresource, rest) = match below {
        [] => (String::new(), "", String::new()),
        [name] => (decoded(name)?, "", String::new()),
        [name, subresource, rest @ ..] => {
            // The rest goes on as it came, with the slash at its end.
            let mut rest = rest.join("/");
            if path.ends_with('/') && !rest.is_empty() {
                rest.push('/');
            }
            (decoded(name)?, *subresource, rest)
        }
    };
    if kind.namespaced && namespace.is_empty() && !name.is_empty() {
        return Err(ApiError::no_such_resource());
    }
    let known = match subresource {
        "" => true,
        "status" => kind.status,
        "scale" => kind.scale,
        "log" | "exec" | "portforward" => kind.plural == "pods",
        "proxy" => matches!(kind.plural, "pods" | "services"),
        _ => false,
    };
    if !known || (!rest.is_empty() && subresource != "proxy") {
        return Err(ApiError::no_such_resource());
    }
    Ok(Route::Resource(Target {
        kind,
        namespace,
        name,
        subresource: subresource.to_owned(),
        rest,
    }))
}

#[cfg(test)]
mod tests;
