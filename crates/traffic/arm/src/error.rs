//! Errors in Azure's form: `{"error": {"code": …, "message": …}}`.

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use backstay_resource::Invalid;
use backstay_traffic_state::ChangeError;

/// A request that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ArmError {
    /// The HTTP status code of the answer.
    pub status: StatusCode,
    /// As Azure's `error.code`.
    pub code: &'static str,
    /// As Azure's `error.message`.
    pub message: String,
}

impl ArmError {
    /// One of these three.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// The request is wrong.
    pub fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// The request comes from who may not ask.
    pub fn unauthorized(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// There is something, and this is not done with it.
    pub fn method(method: &Method) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            format!("The request method '{method}' is not allowed here."),
        )
    }

    /// It is not as the request demands.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "PreconditionFailed",
            message,
        )
    }
}

impl From<Invalid> for ArmError {
    fn from(invalid: Invalid) -> Self {
        Self::bad(invalid.code, invalid.message)
    }
}

impl From<ChangeError<Self>> for ArmError {
    fn from(error: ChangeError<Self>) -> Self {
        match error {
            ChangeError::Refused(error) => error,
            other => {
                tracing::error!(error = %other, "a change was not made");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::new(status, "InternalServerError", other.to_string())
            }
        }
    }
}

impl IntoResponse for ArmError {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let how = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, how);
        }
        response
    }
}
