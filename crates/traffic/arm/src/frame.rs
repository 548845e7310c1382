//! What all resources have in common: how one is read, made, changed and deleted.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{ETAG, LOCATION, WARNING};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::ArmError;
use crate::etag::{Conditions, etag};
use backstay_resource::body::merge;
use backstay_resource::{ResourceName, ResourceType};

/// The largest body: two hundred endpoints with eight long headers each fit.
const MAX_BODY_BYTES: usize = 8 << 20;

/// What is answered to a request that was carried out.
pub struct Done {
    status: StatusCode,
    body: Option<Value>,
    etag: Option<String>,
    /// Where to ask what has become of it.
    place: Option<String>,
    warnings: Vec<String>,
}

impl Done {
    /// 200, with this body.
    pub fn ok(body: Value) -> Self {
        Self {
            status: StatusCode::OK,
            body: Some(body),
            etag: None,
            place: None,
            warnings: Vec::new(),
        }
    }

    /// A resource, in the state that its ETag stands for.
    pub fn resource(status: StatusCode, shown: Value, state: &impl Serialize) -> Self {
        Self {
            status,
            etag: Some(etag(state)),
            ..Self::ok(shown)
        }
    }

    /// It is under way; what has become of it is asked at `place`.
    pub fn accepted(body: Value, place: String) -> Self {
        Self {
            status: StatusCode::ACCEPTED,
            place: Some(place),
            ..Self::ok(body)
        }
    }

    /// 200, with these as a list in Azure's form.
    pub fn list(value: Vec<Value>) -> Self {
        Self::ok(json!({ "value": value }))
    }

    /// A resource is not there, and whether it was before.
    pub fn gone(deleted: bool) -> Self {
        if deleted {
            return Self::ok(json!({}));
        }
        Self {
            status: StatusCode::NO_CONTENT,
            body: None,
            ..Self::ok(Value::Null)
        }
    }

    /// Says besides what was accepted and will not do what it looks like.
    pub fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }
}

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Some(body) => (self.status, axum::Json(body)).into_response(),
            None => self.status.into_response(),
        };
        let headers = response.headers_mut();
        if let Some(etag) = self.etag.and_then(|it| HeaderValue::try_from(it).ok()) {
            headers.insert(ETAG, etag);
        }
        if let Some(place) = self.place.and_then(|it| HeaderValue::try_from(it).ok()) {
            headers.insert(LOCATION, place);
        }
        for warning in self.warnings {
            // 299 is a "miscellaneous persistent warning" (RFC 7234, 5.5.7).
            let text = warning.replace(['"', '\\'], "'");
            if let Ok(value) = HeaderValue::try_from(format!("299 backstay \"{text}\"")) {
                headers.append(WARNING, value);
            }
        }
        response
    }
}

/// What a client wants of a resource.
pub struct Wanted {
    conditions: Conditions,
    patch: bool,
    body: Value,
}

impl Wanted {
    /// Whether it is a PATCH that has this property, whatever its value and its name's case.
    pub fn patches(&self, property: &str) -> bool {
        let named = |object: &Value, name: &str| -> Vec<Value> {
            let all = object.as_object().into_iter().flatten();
            let these = all.filter(|(key, _)| key.eq_ignore_ascii_case(name));
            these.map(|(_, value)| value.clone()).collect()
        };
        let properties = named(&self.body, "properties");
        self.patch && properties.iter().any(|it| !named(it, property).is_empty())
    }

    /// The whole of the resource that is asked for, and the status code of its making or change:
    /// the body of a PUT, or what a PATCH makes of what was there.
    ///
    /// # Errors
    /// When the conditions do not hold, or a PATCH is of nothing.
    pub fn of<R: Serialize>(
        self,
        old: Option<&R>,
        shown: impl FnOnce(&R) -> Value,
        missing: impl FnOnce() -> ArmError,
    ) -> Result<(Value, StatusCode), ArmError> {
        self.conditions.hold(old)?;
        match old {
            None if self.patch => Err(missing()),
            None => Ok((self.body, StatusCode::CREATED)),
            Some(old) if self.patch => Ok((merge(shown(old), self.body), StatusCode::OK)),
            Some(_) => Ok((self.body, StatusCode::OK)),
        }
    }
}

/// What is read, made, changed and deleted at one URL.
pub trait Resource: Sized {
    /// What keeps the resources of this type, such as a manager.
    type Keeper: Sync;

    /// Reads the resource.
    fn get(self, keeper: &Self::Keeper) -> impl Future<Output = Result<Done, ArmError>> + Send;

    /// Makes or changes it.
    fn put(
        self,
        keeper: &Self::Keeper,
        wanted: Wanted,
    ) -> impl Future<Output = Result<Done, ArmError>> + Send;

    /// Deletes the resource.
    fn delete(
        self,
        keeper: &Self::Keeper,
        conditions: Conditions,
    ) -> impl Future<Output = Result<Done, ArmError>> + Send;
}

/// Does with a resource what the request says.
///
/// # Errors
/// When it is not carried out.
pub async fn on<R: Resource>(
    resource: R,
    keeper: &R::Keeper,
    request: Request<Body>,
) -> Result<Done, ArmError> {
    let conditions = Conditions::of(request.headers())?;
    let method = request.method().clone();
    match method {
        Method::GET => resource.get(keeper).await,
        Method::DELETE => resource.delete(keeper, conditions).await,
        Method::PUT | Method::PATCH => {
            let wanted = Wanted {
                conditions,
                patch: method == Method::PATCH,
                body: body(request.into_body()).await?,
            };
            resource.put(keeper, wanted).await
        }
        other => Err(ArmError::method(&other)),
    }
}

/// The body of a request, which is a JSON object.
///
/// # Errors
/// When it is not, or is too large.
pub async fn body(body: Body) -> Result<Value, ArmError> {
    let bytes = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| {
        ArmError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestContentTooLarge",
            format!("The request body cannot be read, or has more than {MAX_BODY_BYTES} bytes."),
        )
    })?;
    let invalid = |what: String| {
        ArmError::bad(
            "InvalidRequestContent",
            format!("The request content was invalid and could not be deserialized: '{what}'."),
        )
    };
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(invalid("it is not a JSON object".to_owned()))
    }
}

/// There is no such resource.
pub fn not_found(of: ResourceType, id: &ResourceName, below: &str) -> ArmError {
    ArmError::new(
        StatusCode::NOT_FOUND,
        "ResourceNotFound",
        format!(
            "The Resource '{of}/{}{below}' under resource group '{}' was not found.",
            id.name, id.resource_group
        ),
    )
}
