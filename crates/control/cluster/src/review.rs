//! Asking beforehand what we may do, without doing it.

use backstay_report::excerpt;
use backstay_retry::Deadline;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use crate::{ClusterError, Permission, Region};

const REVIEWS: &str = "selfsubjectaccessreviews.authorization.k8s.io";

impl Region {
    /// Asks whether we have a permission in the namespace that we work in, on the object of that
    /// name or, where it is empty, on all (`SelfSubjectAccessReview`, which anybody may ask).
    ///
    /// # Errors
    /// [`ClusterError::Forbidden`] when we do not, as the call itself would be answered; else why it
    /// is not known.
    pub async fn may(
        &self,
        verb: &'static str,
        resource: &'static str,
        name: &str,
        deadline: Deadline,
    ) -> Result<(), ClusterError> {
        let permission = self.permission(verb, resource);
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes(&permission, name)),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client());
        let parameters = PostParams::default();
        let answered = self
            .call("create", REVIEWS, "", deadline, || {
                api.create(&parameters, &review)
            })
            .await?;
        let status = answered
            .status
            .ok_or_else(|| self.answer(REVIEWS, "the review has no status"))?;
        if status.allowed {
            return Ok(());
        }
        let reason = status.reason.as_deref().filter(|it| !it.is_empty());
        let message = excerpt(reason.unwrap_or("the review says so"));
        Err(ClusterError::Forbidden {
            region: self.name().to_owned(),
            object: resource.to_owned(),
            denied: Box::new(permission.denied(message)),
        })
    }
}

/// `deployments.apps/scale` in its parts.
fn attributes(permission: &Permission, name: &str) -> ResourceAttributes {
    let (resource, subresource) = match permission.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (permission.resource, None),
    };
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    ResourceAttributes {
        group: Some(group.to_owned()),
        name: (!name.is_empty()).then(|| name.to_owned()),
        namespace: Some(permission.namespace.clone()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(permission.verb.to_owned()),
        ..ResourceAttributes::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_taken_apart_as_kubectl_writes_it() {
        for (written, resource, group, subresource) in [
            ("pods", "pods", "", None),
            ("pods/log", "pods", "", Some("log")),
            (
                "deployments.apps/scale",
                "deployments",
                "apps",
                Some("scale"),
            ),
            (
                "leases.coordination.k8s.io",
                "leases",
                "coordination.k8s.io",
                None,
            ),
        ] {
            let permission = Permission {
                verb: "get",
                resource: written,
                namespace: "logging".to_owned(),
            };
            let found = attributes(&permission, "");
            assert_eq!(found.resource.as_deref(), Some(resource));
            assert_eq!(found.group.as_deref(), Some(group));
            assert_eq!(found.subresource.as_deref(), subresource);
            assert_eq!(found.verb.as_deref(), Some("get"));
            assert_eq!(found.namespace.as_deref(), Some("logging"));
        }
    }
}
