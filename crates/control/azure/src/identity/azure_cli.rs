//! The token of whoever is logged in with `az login`.

use std::process::Stdio;

use tokio::process::Command;

use super::token::Issued;
use super::{SourceError, Token};
use crate::{Cloud, Environment};

pub(super) struct AzureCli {
    path: Option<String>,
    scope: String,
    tenant: Option<String>,
}

impl AzureCli {
    pub(super) fn new(cloud: &Cloud, environment: &Environment) -> Self {
        Self {
            path: environment.get("PATH").map(str::to_owned),
            scope: format!("{}/.default", cloud.audience()),
            tenant: environment.get("AZURE_TENANT_ID").map(str::to_owned),
        }
    }

    pub(super) async fn token(&self) -> Result<Token, SourceError> {
        let mut command = Command::new("az");
        command
            .args(["account", "get-access-token", "--output", "json", "--scope"])
            .arg(&self.scope)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(tenant) = &self.tenant {
            command.args(["--tenant", tenant]);
        }
        let Some(path) = &self.path else {
            return Err(SourceError::NotHere("PATH is not set".to_owned()));
        };
        // Also where `az` itself is looked for.
        command.env("PATH", path);
        let output = command
            .output()
            .await
            .map_err(|error| SourceError::NotHere(format!("`az` cannot be started: {error}")))?;
        if !output.status.success() {
            let said = backstay_resource::text::excerpt(&String::from_utf8_lossy(&output.stderr));
            return Err(SourceError::NotHere(format!("`az` says: {said}")));
        }
        match Issued::read(&output.stdout) {
            Some(issued) => issued.token(),
            None => Err(SourceError::NotHere(
                "`az account get-access-token` prints no token".to_owned(),
            )),
        }
    }
}
