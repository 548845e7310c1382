//! The file by which `kubectl` finds its servers.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::tls::{TlsError, write_private};

/// Why there is no kubeconfig.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the kubeconfig: {0}")]
pub struct KubeconfigError(#[from] TlsError);

/// One way into one cluster: cluster, user and context in one.
#[derive(Clone)]
pub struct Context {
    /// Its name: `aks-primary`.
    pub name: String,
    /// `https://127.0.0.1:6443`.
    pub server: String,
    /// The authority that signed the server's certificate, as PEM.
    pub authority_pem: String,
    /// The name of the user that the context logs in as.
    pub user: String,
    /// The bearer token of that user.
    pub token: String,
    /// Where commands go that name no namespace.
    pub namespace: String,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("name", &self.name)
            .field("server", &self.server)
            .field("user", &self.user)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// A kubeconfig. The first context is the current one.
#[derive(Debug, Clone, Default)]
pub struct Kubeconfig {
    /// The contexts.
    pub contexts: Vec<Context>,
}

impl Kubeconfig {
    /// Writes it to `path`, readable by its owner only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), KubeconfigError> {
        write_private(path, self.to_yaml().as_bytes())?;
        Ok(())
    }

    /// As YAML. Every text is quoted as JSON, which YAML reads the same.
    fn to_yaml(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut yaml = String::from("apiVersion: v1\nkind: Config\npreferences: {}\n");
        let current = self.contexts.first().map_or("", |context| &context.name);
        yaml.push_str(&format!("current-context: {}\n", quoted(current)));
        yaml.push_str("clusters:\n");
        for context in &self.contexts {
            yaml.push_str(&format!(
                "- name: {}\n  cluster:\n    server: {}\n    certificate-authority-data: {}\n",
                quoted(&context.name),
                quoted(&context.server),
                quoted(&STANDARD.encode(&context.authority_pem)),
            ));
        }
        yaml.push_str("users:\n");
        for context in &self.contexts {
            yaml.push_str(&format!(
                "- name: {}\n  user:\n    token: {}\n",
                quoted(&format!("{}-{}", context.name, context.user)),
                quoted(&context.token),
            ));
        }
        yaml.push_str("contexts:\n");
        for context in &self.contexts {
            yaml.push_str(&format!(
                "- name: {}\n  context:\n    cluster: {}\n    user: {}\n    namespace: {}\n",
                quoted(&context.name),
                quoted(&context.name),
                quoted(&format!("{}-{}", context.name, context.user)),
                quoted(&context.namespace),
            ));
        }
        yaml
    }
}
