//! Secrets: read, and those deleted that would break new pods.
//!
//! They are read as text that is understood here: kube-rs logs the whole body of an answer that is
//! not of the form of its type.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use backstay_kinds::label;
use backstay_retry::Deadline;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1;
use kube::api::{DeleteParams, GetParams, ListParams, ObjectList, Preconditions};
use kube::core::{DynamicObject, Request};
use kube::{Resource as _, ResourceExt as _};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::stale::{Fate, TlsSecret, authority_of, judge};
use crate::{ClusterError, Region};

const SECRETS: &str = "secrets";

/// A secret. Its values are not shown.
pub struct Secret {
    /// `metadata.name`.
    pub name: String,
    /// Its type: `Opaque`, `kubernetes.io/tls`.
    pub kind: String,
    values: BTreeMap<String, SecretSlice<u8>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("keys", &self.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Secret {
    /// The keys of its data, without the values.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The value of a key. An empty one is a value too: the trap of an empty encryption key is one
    /// that the caller must see.
    pub fn value(&self, key: &str) -> Option<&SecretSlice<u8>> {
        self.values.get(key)
    }

    fn read(object: &DynamicObject) -> Option<Self> {
        let mut values = BTreeMap::new();
        if let Some(data) = object.data.get("data").filter(|it| !it.is_null()) {
            for (key, value) in data.as_object()? {
                // `ByteString` undoes the base64.
                let bytes: ByteString = serde_json::from_value(value.clone()).ok()?;
                values.insert(key.clone(), SecretSlice::from(bytes.0));
            }
        }
        let kind = object.data.get("type").and_then(Value::as_str);
        Some(Self {
            name: object.name_any(),
            kind: kind.unwrap_or("Opaque").to_owned(),
            values,
        })
    }

    fn text(&self, key: &str) -> String {
        let value = self.values.get(key).map(|it| it.expose_secret());
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    }
}

/// What is asked of the secrets.
enum Asked<'a> {
    Get(&'a str),
    List(&'a ListParams),
    Delete(&'a str, &'a DeleteParams),
}

impl Region {
    async fn ask_secrets<T: DeserializeOwned>(
        &self,
        what: Asked<'_>,
        deadline: Deadline,
    ) -> Result<T, ClusterError> {
        let requests = Request::new(v1::Secret::url_path(&(), Some(self.namespace())));
        let (client, requests, asked) = (self.client(), &requests, &what);
        let (verb, name) = match what {
            Asked::Get(name) => ("get", name),
            Asked::List(_) => ("list", ""),
            Asked::Delete(name, _) => ("delete", name),
        };
        self.call(verb, SECRETS, name, deadline, || {
            let client = client.clone();
            async move {
                let request = match asked {
                    Asked::Get(name) => requests.get(name, &GetParams::default()),
                    Asked::List(parameters) => requests.list(parameters),
                    Asked::Delete(name, parameters) => requests.delete(name, parameters),
                };
                let request = request.map_err(kube::Error::BuildRequest)?;
                let text = client.request_text(request).await?;
                serde_json::from_str(&text).map_err(kube::Error::SerdeError)
            }
        })
        .await
    }

    /// Reads a secret.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn secret(&self, name: &str, deadline: Deadline) -> Result<Secret, ClusterError> {
        let read: DynamicObject = self.ask_secrets(Asked::Get(name), deadline).await?;
        self.secret_of(&read)
    }

    fn secret_of(&self, object: &DynamicObject) -> Result<Secret, ClusterError> {
        let name = object.name_any();
        Secret::read(object).ok_or_else(|| {
            self.answer(
                &format!("{SECRETS} {name}"),
                "the data is not base64 by key",
            )
        })
    }

    /// The administrator's token of a HumioCluster, out of the secret that its operator makes.
    ///
    /// # Errors
    /// See [`ClusterError`]; [`Answer`](ClusterError::Answer) where the secret has none.
    pub async fn admin_token(
        &self,
        cluster: &str,
        deadline: Deadline,
    ) -> Result<SecretString, ClusterError> {
        let name = format!("{cluster}-admin-token");
        let secret = self.secret(&name, deadline).await?;
        let token = secret.value("token").map(ExposeSecret::expose_secret);
        let token = token.and_then(|it| std::str::from_utf8(it).ok());
        let token = token.map(str::trim).filter(|it| !it.is_empty());
        let token = token
            .ok_or_else(|| self.answer(&format!("secrets {name}"), "there is no token in it"))?;
        Ok(SecretString::from(token))
    }

    /// The TLS secrets of a HumioCluster that would break new pods. See [`crate::stale`].
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn stale_tls_secrets(
        &self,
        cluster: &str,
        deadline: Deadline,
    ) -> Result<Vec<(TlsSecret, Fate)>, ClusterError> {
        let tls = ListParams::default().fields("type=kubernetes.io/tls");
        let read: ObjectList<DynamicObject> = self.ask_secrets(Asked::List(&tls), deadline).await?;
        let mut secrets = Vec::with_capacity(read.items.len());
        for object in &read.items {
            let secret = self.secret_of(object)?;
            let value = |key: &str| object.labels().get(key).cloned().unwrap_or_default();
            let annotations = object.annotations();
            secrets.push(TlsSecret {
                uid: object.uid().unwrap_or_default(),
                version: object.resource_version().unwrap_or_default(),
                managed_by: value(label::MANAGED_BY),
                instance: value(label::INSTANCE),
                issuer: annotations
                    .get("cert-manager.io/issuer-name")
                    .cloned()
                    .unwrap_or_default(),
                authority: secret.text("ca.crt"),
                certificate: secret.text("tls.crt"),
                has_key: secret
                    .value("tls.key")
                    .is_some_and(|it| !it.expose_secret().is_empty()),
                name: secret.name,
            });
        }
        let pods = self.pods("", deadline).await?;
        let mounted: BTreeSet<String> = pods.into_iter().flat_map(|it| it.secrets).collect();
        let name = authority_of(cluster);
        let listed = secrets.iter().find(|it| it.name == name);
        let authority = match listed {
            Some(listed) => Some(listed.certificate.clone()),
            // It may be of another type.
            None => match self.secret(&name, deadline).await {
                Ok(secret) => Some(secret.text("tls.crt")),
                Err(ClusterError::NotFound { .. }) => None,
                Err(error) => return Err(error),
            },
        };
        let judged = secrets.into_iter().map(|secret| {
            let fate = judge(&secret, cluster, authority.as_deref(), &mounted);
            (secret, fate)
        });
        Ok(judged.filter(|(_, fate)| fate.is_stale()).collect())
    }

    /// Deletes a secret in exactly the state that was read; `false` when it is another by now, or
    /// gone.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn delete_stale(
        &self,
        secret: &TlsSecret,
        deadline: Deadline,
    ) -> Result<bool, ClusterError> {
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(secret.uid.clone()),
                resource_version: Some(secret.version.clone()),
            }),
            ..DeleteParams::default()
        };
        let deleted = self
            .ask_secrets::<IgnoredAny>(Asked::Delete(&secret.name, &parameters), deadline)
            .await;
        match deleted {
            Ok(_) => Ok(true),
            Err(ClusterError::Contended { .. } | ClusterError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
