//! The API as a whole: who may ask, and who answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use backstay_resource::text::shown;
use backstay_token::FileToken;
use serde_json::json;

use crate::address::{Path, parse};
use crate::provider::AnyProvider;
use crate::{Address, ArmError, Call, Done, Metrics, Provider, Query, Served, only};

/// A Resource Manager API: a token, and what has resources.
pub struct Api {
    providers: Vec<Box<dyn AnyProvider>>,
    token: FileToken,
    metrics: Metrics,
}

impl Api {
    /// One without any resources.
    pub fn new(token: FileToken, metrics: Metrics) -> Self {
        Self {
            providers: Vec::new(),
            token,
            metrics,
        }
    }

    /// The same, with what this provider has.
    #[must_use]
    pub fn with(mut self, provider: impl Provider) -> Self {
        self.providers.push(Box::new(provider));
        self
    }

    /// The routes of the API.
    pub fn router(self) -> Router {
        Router::new().fallback(handle).with_state(Arc::new(self))
    }

    async fn answer(&self, request: Request) -> Result<Done, ArmError> {
        authenticate(&self.token, request.headers())?;
        let path = request.uri().path().to_owned();
        let query = Query::of(request.uri().query().unwrap_or_default());
        let address = match parse(&path) {
            Some(Path::Subscriptions) => {
                query.check_version(None)?;
                return only(request.method(), Method::GET, || Ok(self.subscriptions()));
            }
            Some(Path::Below(address)) => address,
            None => return Err(self.nothing(&path)),
        };
        let Some((provider, of)) = self.provider(&address) else {
            return Err(self.nothing(&path));
        };
        let call = Call { query, request };
        let answered = provider.answer_at(&address, of, call).await?;
        answered.ok_or_else(|| self.nothing(&path))
    }

    fn provider(&self, address: &Address) -> Option<(&dyn AnyProvider, &'static Served)> {
        self.providers.iter().find_map(|provider| {
            let (groups, subscriptions) = (provider.in_groups(), provider.in_subscriptions());
            let mut all = groups.iter().chain(subscriptions);
            let of = all.find(|it| it.of.is(&address.namespace, &address.of_type))?;
            Some((provider.as_ref(), of))
        })
    }

    /// The subscriptions in which there is anything: what a client lists when it logs in.
    fn subscriptions(&self) -> Done {
        let all = self.providers.iter().flat_map(|it| it.subscriptions());
        let ids: BTreeSet<String> = all.map(|it| it.to_ascii_lowercase()).collect();
        let shown = ids.iter().map(|id| {
            json!({
                "id": format!("/subscriptions/{id}"),
                "subscriptionId": id,
                "displayName": id,
                "state": "Enabled",
            })
        });
        Done::list(shown.collect())
    }

    fn nothing(&self, path: &str) -> ArmError {
        let groups = self.providers.iter().flat_map(|it| it.in_groups());
        let groups: Vec<String> = groups.map(|it| it.of.to_string()).collect();
        let alone = self.providers.iter().flat_map(|it| it.in_subscriptions());
        let alone: String = alone
            .map(|it| format!(", and /subscriptions/{{id}}/providers/{}", it.of))
            .collect();
        ArmError::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            format!(
                "There is nothing at '{}'; this server has \
                 /subscriptions/{{id}}/resourceGroups/{{name}}/providers/ with {}{alone}.",
                shown(path),
                groups.join(", ")
            ),
        )
    }
}

async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let response = match api.answer(request).await {
        Ok(done) => done.into_response(),
        Err(error) => error.into_response(),
    };
    api.metrics.requested(response.status().as_u16());
    response
}

/// The token comes first: who has none learns nothing, not even what there is.
fn authenticate(token: &FileToken, headers: &HeaderMap) -> Result<(), ArmError> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Err(ArmError::unauthorized(
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        ));
    };
    let given = value.to_str().ok().and_then(|it| it.trim().split_once(' '));
    match given {
        Some((scheme, given))
            if scheme.eq_ignore_ascii_case("bearer") && token.matches(given.trim()) =>
        {
            Ok(())
        }
        _ => Err(ArmError::unauthorized(
            "InvalidAuthenticationToken",
            "The access token is invalid: give the one of the token file as 'Authorization: Bearer'.",
        )),
    }
}
