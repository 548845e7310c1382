//! The Kubernetes API as the controllers use it: documents without a schema, so that one that is
//! malformed troubles nobody but itself, and writes that are refused when they come too late.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    Preconditions,
};
use kube::{Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::invalid::{Invalid, Problem};

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
}

const fn core(kind: &'static str, plural: &'static str) -> Kind {
    Kind {
        group: "",
        version: "v1",
        kind,
        plural,
    }
}

const fn custom(kind: &backstay_kinds::Kind) -> Kind {
    Kind {
        group: kind.group,
        version: kind.version,
        kind: kind.kind,
        plural: kind.plural,
    }
}

pub(crate) const POD: Kind = core("Pod", "pods");
pub(crate) const NODE: Kind = core("Node", "nodes");
pub(crate) const SERVICE: Kind = core("Service", "services");
pub(crate) const ENDPOINTS: Kind = core("Endpoints", "endpoints");
pub(crate) const SECRET: Kind = core("Secret", "secrets");
pub(crate) const CLAIM: Kind = core("PersistentVolumeClaim", "persistentvolumeclaims");
pub(crate) const DEPLOYMENT: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "Deployment",
    plural: "deployments",
};
pub(crate) const HUMIO_CLUSTER: Kind = custom(&backstay_kinds::HUMIO_CLUSTER);
pub(crate) const KAFKA: Kind = custom(&backstay_kinds::KAFKA);
pub(crate) const POD_SET: Kind = custom(&backstay_kinds::STRIMZI_POD_SET);

impl Kind {
    pub(crate) fn api_version(self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    pub(crate) fn resource(self) -> ApiResource {
        ApiResource {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            api_version: self.api_version(),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        }
    }

    /// What makes `owner` the one that a document belongs to.
    pub(crate) fn owner(self, owner: &DynamicObject) -> Value {
        json!([{
            "apiVersion": self.api_version(),
            "kind": self.kind,
            "name": owner.name_any(),
            "uid": owner.uid().unwrap_or_default(),
            "controller": true,
            "blockOwnerDeletion": true,
        }])
    }
}

/// Why a run has not come to its end. It is done again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// Somebody else was faster; what was read is out of date.
    #[error("{doing}: it has changed meanwhile")]
    Overtaken { doing: String },
    /// The API does not do it.
    #[error("{doing}: {source}")]
    Api {
        doing: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// What a certificate needs could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The system gives no random bytes.
    #[error("cannot make a token: the system gives no random bytes")]
    Random,
}

fn failed(verb: &str, kind: Kind, name: &str, error: kube::Error) -> RunError {
    let doing = format!("cannot {verb} {} {name:?}", kind.kind);
    match error {
        kube::Error::Api(status) if status.code == 409 => RunError::Overtaken { doing },
        source => RunError::Api {
            doing,
            source: Box::new(source),
        },
    }
}

fn is_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

/// The documents of a region.
#[derive(Clone)]
pub(crate) struct Objects {
    pub(crate) client: Client,
}

impl Objects {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// All of a kind in `namespace`; everywhere when that is empty.
    pub(crate) fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let resource = kind.resource();
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        }
    }

    pub(crate) async fn get(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<DynamicObject>, RunError> {
        let found = self.api(kind, namespace).get_opt(name).await;
        found.map_err(|error| failed("read", kind, name, error))
    }

    /// The state that a run is about, unless it is gone or going.
    pub(crate) async fn fresh(
        &self,
        kind: Kind,
        known: &DynamicObject,
    ) -> Result<Option<DynamicObject>, RunError> {
        let namespace = known.namespace().unwrap_or_default();
        let found = self.get(kind, &namespace, &known.name_any()).await?;
        Ok(found.filter(|found| found.metadata.deletion_timestamp.is_none()))
    }

    pub(crate) async fn list(
        &self,
        kind: Kind,
        namespace: &str,
        how: &ListParams,
    ) -> Result<Vec<DynamicObject>, RunError> {
        let listed = self.api(kind, namespace).list(how).await;
        let listed = listed.map_err(|error| failed("list", kind, namespace, error))?;
        Ok(listed.items)
    }

    /// Makes a document. `false` when there is one of this name.
    pub(crate) async fn create(
        &self,
        kind: Kind,
        namespace: &str,
        mut document: Value,
    ) -> Result<bool, RunError> {
        document["apiVersion"] = json!(kind.api_version());
        document["kind"] = json!(kind.kind);
        let name = text(&document, "/metadata/name").to_owned();
        let document = match serde_json::from_value::<DynamicObject>(document) {
            Ok(document) => document,
            Err(error) => return Err(failed("make", kind, &name, kube::Error::SerdeError(error))),
        };
        let made = self
            .api(kind, namespace)
            .create(&PostParams::default(), &document)
            .await;
        match made {
            Ok(_) => {
                tracing::info!(kind = kind.kind, namespace, name, "made");
                Ok(true)
            }
            Err(error) if is_code(&error, 409) => Ok(false),
            Err(error) => Err(failed("make", kind, &name, error)),
        }
    }

    /// Deletes this document and none that has taken its name.
    pub(crate) async fn delete(
        &self,
        kind: Kind,
        document: &Exact,
        why: &str,
    ) -> Result<(), RunError> {
        let how = DeleteParams::default().preconditions(Preconditions {
            uid: Some(document.uid.clone()),
            resource_version: document.version.clone(),
        });
        let Exact {
            namespace, name, ..
        } = document;
        match self.api(kind, namespace).delete(name, &how).await {
            Ok(_) => {
                tracing::info!(kind = kind.kind, namespace, name, why, "deleted");
                Ok(())
            }
            Err(error) if is_code(&error, 404) => Ok(()),
            Err(error) => Err(failed("delete", kind, name, error)),
        }
    }

    /// Changes `document`, unless somebody else has since it was read.
    pub(crate) async fn change(
        &self,
        kind: Kind,
        document: &DynamicObject,
        mut change: Value,
    ) -> Result<DynamicObject, RunError> {
        change["metadata"]["uid"] = json!(document.uid());
        change["metadata"]["resourceVersion"] = json!(document.resource_version());
        let name = document.name_any();
        let namespace = document.namespace().unwrap_or_default();
        let changed = self
            .api(kind, &namespace)
            .patch(&name, &PatchParams::default(), &Patch::Merge(&change))
            .await;
        changed.map_err(|error| failed("change", kind, &name, error))
    }

    /// Writes `document` as it is now, unless somebody else has since it was read.
    pub(crate) async fn replace(
        &self,
        kind: Kind,
        document: &DynamicObject,
    ) -> Result<(), RunError> {
        let name = document.name_any();
        let namespace = document.namespace().unwrap_or_default();
        let written = self
            .api(kind, &namespace)
            .replace(&name, &PostParams::default(), document)
            .await;
        match written {
            Ok(_) => {
                tracing::info!(kind = kind.kind, namespace, name, "put right");
                Ok(())
            }
            Err(error) => Err(failed("replace", kind, &name, error)),
        }
    }

    /// Writes the status of `document` where it says something new, unless somebody else has
    /// written the document since it was read.
    pub(crate) async fn write_status(
        &self,
        kind: Kind,
        document: &DynamicObject,
        status: Value,
    ) -> Result<(), RunError> {
        if document.data.get("status") == Some(&status) {
            return Ok(());
        }
        let mut document = document.clone();
        document.data["status"] = status;
        let name = document.name_any();
        let namespace = document.namespace().unwrap_or_default();
        let written = self
            .api(kind, &namespace)
            .replace_status(&name, &PostParams::default(), &document)
            .await;
        match written {
            Ok(_) => Ok(()),
            // It went away, and its status with it.
            Err(error) if is_code(&error, 404) => Ok(()),
            Err(error) => Err(failed("write the status of", kind, &name, error)),
        }
    }
}

/// One document, and not one that has taken its name.
#[derive(Debug, Clone)]
pub(crate) struct Exact {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// Only in this version.
    pub version: Option<String>,
}

impl Exact {
    pub(crate) fn of(document: &DynamicObject) -> Self {
        Self {
            namespace: document.namespace().unwrap_or_default(),
            name: document.name_any(),
            uid: document.uid().unwrap_or_default(),
            version: None,
        }
    }

    /// As it was read, or not at all.
    pub(crate) fn unchanged(document: &DynamicObject) -> Self {
        Self {
            version: document.resource_version(),
            ..Self::of(document)
        }
    }
}

/// Whom a document belongs to.
pub(crate) fn controller(document: &DynamicObject) -> Option<&OwnerReference> {
    let owners = document.metadata.owner_references.as_deref();
    owners?.iter().find(|owner| owner.controller == Some(true))
}

/// `value`, which stands at `place`, as a type; or which part of it is wrong, and how.
pub(crate) fn read<T: DeserializeOwned>(place: &str, value: Value) -> Result<T, Invalid> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let problem = Problem::from(error.into_inner());
        match path.as_str() {
            "." | "?" => problem.at(place),
            path => problem.at(format!("{place}.{path}")),
        }
    })
}

/// A string below `pointer`, or the empty one.
pub(crate) fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The list below `pointer`, or the empty one.
pub(crate) fn array<'a>(document: &'a Value, pointer: &str) -> &'a [Value] {
    document
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A whole number below `pointer`.
pub(crate) fn number(document: &Value, pointer: &str) -> Option<i64> {
    document.pointer(pointer).and_then(Value::as_i64)
}
