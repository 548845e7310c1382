//! The operator's annotations together with the API server's clock, and their change as a whole.
//!
//! A failover's marks are decided upon by what the server's clock says in the very answer that
//! carries them: its `Date` header (RFC 9110, 6.6.1). And they are written once: whether an attempt
//! whose answer was lost has taken effect is for the next look to find out, not for a repetition.

use std::collections::BTreeMap;
use std::time::SystemTime;

use backstay_retry::Deadline;
use http_body_util::BodyExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::client::Body;
use kube::core::{Request, Status};
use serde_json::json;

use crate::operator::DEPLOYMENTS;
use crate::{ClusterError, Operator, Region};

/// What is too long to be a Deployment.
const MAX_DEPLOYMENT_BYTES: usize = 8 << 20;

/// What became of a conditional write that is tried once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is written.
    Written,
    /// It is not: somebody has changed the object since it was read.
    Changed,
}

impl Region {
    /// Reads a Deployment, and what the server's clock said then.
    ///
    /// # Errors
    /// See [`ClusterError`]; also when the answer has no `Date`.
    pub async fn operator_and_clock(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<(Operator, SystemTime), ClusterError> {
        let url = format!("/apis/apps/v1/namespaces/{}/deployments", self.namespace());
        let (read, date) = self
            .call("get", DEPLOYMENTS, name, deadline, || {
                self.dated(&url, name)
            })
            .await?;
        let date = date.and_then(|it| httpdate::parse_http_date(&it).ok());
        let date = date.ok_or_else(|| {
            let object = format!("{DEPLOYMENTS} {name}");
            self.answer(
                &object,
                "the answer has no Date, so no holdoff can be measured",
            )
        })?;
        Ok((read.into(), date))
    }

    async fn dated(
        &self,
        url: &str,
        name: &str,
    ) -> Result<(Deployment, Option<String>), kube::Error> {
        let request = Request::new(url)
            .get(name, &Default::default())
            .map_err(kube::Error::BuildRequest)?;
        let answer = self.client().send(request.map(Body::from)).await?;
        let (head, body) = answer.into_parts();
        let body = http_body_util::Limited::new(body, MAX_DEPLOYMENT_BYTES);
        let body = body
            .collect()
            .await
            .map_err(kube::Error::Service)?
            .to_bytes();
        if !head.status.is_success() {
            let status = serde_json::from_slice::<Status>(&body).unwrap_or_else(|_| {
                let said = String::from_utf8_lossy(&body);
                Status::failure(&said, "NoStatus")
            });
            let status = status.with_code(head.status.as_u16());
            return Err(kube::Error::Api(status.boxed()));
        }
        let date = head.headers.get("date");
        let date = date.and_then(|it| it.to_str().ok()).map(str::to_owned);
        let read = serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?;
        Ok((read, date))
    }

    /// Writes annotations (`None` takes one away) onto exactly the state that was read, in one
    /// attempt.
    ///
    /// # Errors
    /// See [`ClusterError`]. When it [is unreachable](ClusterError::is_unreachable), the write may
    /// have taken effect.
    pub async fn annotate_once(
        &self,
        name: &str,
        version: &str,
        annotations: &BTreeMap<&str, Option<String>>,
        deadline: Deadline,
    ) -> Result<WriteOutcome, ClusterError> {
        let api = self.api::<Deployment>();
        let patch = Patch::Merge(json!({ "metadata": {
            "resourceVersion": version,
            "annotations": annotations,
        }}));
        let parameters = PatchParams::default();
        let patched = self
            .once("patch", DEPLOYMENTS, name, deadline, || {
                api.patch(name, &parameters, &patch)
            })
            .await;
        match patched {
            Ok(_) => Ok(WriteOutcome::Written),
            Err(ClusterError::Contended { .. }) => Ok(WriteOutcome::Changed),
            Err(error) => Err(error),
        }
    }
}
