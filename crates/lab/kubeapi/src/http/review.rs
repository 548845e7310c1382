//! `kubectl auth whoami` and `kubectl auth can-i`.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::request::Call;
use super::{json_of, json_response};
use crate::access::{Act, User};
use crate::document::text;
use crate::kind::Served;
use crate::status::ApiResult;

pub(super) async fn answer(
    user: &User,
    kind: &str,
    call: &Call,
    body: Body,
    kinds: &Served,
) -> ApiResult<Response> {
    let asked = json_of(call, body).await?;
    let status = if kind == "SelfSubjectReview" {
        json!({ "userInfo": { "username": user.name(), "groups": ["system:authenticated"] } })
    } else {
        json!({ "allowed": allowed(user, &asked, kinds) })
    };
    let group = if kind == "SelfSubjectReview" {
        "authentication.k8s.io/v1"
    } else {
        "authorization.k8s.io/v1"
    };
    let body = json!({
        "kind": kind,
        "apiVersion": group,
        "metadata": { "creationTimestamp": null },
        "spec": asked.get("spec").cloned().unwrap_or(json!({})),
        "status": status,
    });
    Ok(json_response(StatusCode::CREATED, &body))
}

fn allowed(user: &User, asked: &Value, kinds: &Served) -> bool {
    let of = |field: &str| text(asked, &format!("/spec/resourceAttributes/{field}"));
    let (group, resource, namespace) = (of("group"), of("resource"), of("namespace"));
    let kind = kinds
        .all()
        .find(|kind| kind.plural == resource && (group == "*" || kind.group == group));
    kind.is_some_and(|kind| {
        user.may(&Act {
            verb: of("verb"),
            kind,
            subresource: of("subresource"),
            namespace,
            name: of("name"),
        })
    })
}
