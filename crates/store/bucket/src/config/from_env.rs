//! From variables to a configuration.

use std::net::IpAddr;
use std::path::PathBuf;

use super::{
    BucketConfig, DEFAULT_DEADLINE, Error, GcpCredentials, Provider, Result, Role, S3Credentials,
    Secret, folder_name,
};

/// One provider's variables of one role.
struct Vars<'a> {
    /// For example `AZURE_STORAGE_`.
    prefix: &'static str,
    get: &'a dyn Fn(&str) -> Option<String>,
}

impl Vars<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The value, where an empty one counts as none: manifests often declare what they leave out.
    fn optional(&self, name: &str) -> Option<String> {
        (self.get)(&self.name(name)).filter(|value| !value.is_empty())
    }

    fn wrong(&self, name: &str, problem: impl Into<String>) -> Error {
        Error::Config {
            variable: self.name(name),
            problem: problem.into(),
        }
    }

    fn required(&self, name: &str, what: &str) -> Result<String> {
        match (self.get)(&self.name(name)) {
            Some(value) if !value.is_empty() => Ok(value),
            Some(_) => Err(self.wrong(name, format!("it is empty; set it to {what}"))),
            None => Err(self.wrong(name, format!("it is not set; set it to {what}"))),
        }
    }

    fn encryption_key(&self) -> Result<Secret> {
        let name = "ENCRYPTION_KEY";
        match (self.get)(&self.name(name)) {
            // A secret that lost its content on the way (SHA-256 e3b0c442…) is a known trap of a
            // standby that was active once; everything would be written with a key anybody has.
            Some(value) if value.is_empty() => Err(self.wrong(
                name,
                "it is empty, its SHA-256 is e3b0c442…; restore the secret it comes from",
            )),
            Some(value) if value.eq_ignore_ascii_case("off") => Err(self.wrong(
                name,
                "objects are always encrypted, `off` is not a valid key; set it to a generated secret",
            )),
            Some(value) => Ok(Secret::new(value)),
            None => Err(self.wrong(
                name,
                "it is not set; set it to a generated secret, for example from `openssl rand -hex 32`",
            )),
        }
    }

    fn object_key_prefix(&self) -> Result<String> {
        let name = "OBJECT_KEY_PREFIX";
        let prefix = self.optional(name).unwrap_or_default();
        let legal = !prefix.starts_with('/')
            && !prefix.contains("//")
            && prefix
                .split('/')
                .all(|part| part != "." && part != ".." && !part.contains(['\\', '\0']));
        if legal {
            Ok(prefix)
        } else {
            Err(self.wrong(
                name,
                format!("{prefix:?} begins with / or has an empty or dotted part; write it like `cluster-a/`"),
            ))
        }
    }

    /// The service's URL. `https://` is assumed where no scheme is given.
    fn endpoint_base(&self) -> Result<Option<String>> {
        let name = "ENDPOINT_BASE";
        let Some(value) = self.optional(name) else {
            return Ok(None);
        };
        let url = if value.contains("://") {
            value.clone()
        } else {
            format!("https://{value}")
        };
        match url::Url::parse(&url) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => {
                Ok(Some(url.trim_end_matches('/').to_owned()))
            }
            Ok(_) => Err(self.wrong(name, format!("{value:?} is not a valid http or https URL"))),
            Err(error) => Err(self.wrong(
                name,
                format!("{value:?} is not a valid URL ({error}); write it like https://host"),
            )),
        }
    }

    fn flag(&self, name: &str) -> Result<bool> {
        match self.optional(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(self.wrong(name, format!("{other:?} is neither true nor false"))),
        }
    }
}

/// The names that make a bucket without the one that switches it on are left-overs or a typing
/// mistake; a node that ignored them would start on the wrong store.
const TELLTALE_NAMES: [&str; 8] = [
    "ACCOUNTNAME",
    "ACCOUNTKEY",
    "ACCESSKEY",
    "SECRETKEY",
    "ACCOUNT_JSON_FILE",
    "ENCRYPTION_KEY",
    "ENDPOINT_BASE",
    "OBJECT_KEY_PREFIX",
];

/// What each provider's variables are called behind their prefix.
const PROVIDER_NAMES: [(&str, &[&str]); 4] = [
    ("AZURE", &["BUCKET", "ACCOUNTNAME", "ACCOUNTKEY"]),
    ("S3", &["BUCKET", "REGION", "ACCESSKEY", "SECRETKEY"]),
    ("GCP", &["BUCKET", "ACCOUNT_JSON_FILE", "WORKLOAD_IDENTITY"]),
    ("LOCAL", &["BUCKET", "PATH"]),
];

/// Every name that may be asked for, of all providers.
pub(super) fn names(role: Role) -> Vec<String> {
    let kind = match role {
        Role::Own => "STORAGE",
        Role::RecoverFrom => "RECOVER_FROM",
    };
    let mut names = vec![];
    for (provider, own) in PROVIDER_NAMES {
        let all = own.iter().chain(&TELLTALE_NAMES);
        names.extend(all.map(|name| format!("{provider}_{kind}_{name}")));
    }
    names.sort_unstable();
    names.dedup();
    names
}

type Reader = fn(&Vars<'_>) -> Result<(Provider, String)>;

pub(super) fn read(
    role: Role,
    get: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<BucketConfig>> {
    let providers: [(&'static str, &str, Reader); 4] = match role {
        Role::Own => [
            ("AZURE_STORAGE_", "BUCKET", azure),
            ("S3_STORAGE_", "BUCKET", s3),
            ("GCP_STORAGE_", "BUCKET", gcp),
            ("LOCAL_STORAGE_", "PATH", local),
        ],
        Role::RecoverFrom => [
            ("AZURE_RECOVER_FROM_", "BUCKET", azure),
            ("S3_RECOVER_FROM_", "BUCKET", s3),
            ("GCP_RECOVER_FROM_", "BUCKET", gcp),
            ("LOCAL_RECOVER_FROM_", "PATH", local),
        ],
    };
    let mut found: Option<(Vars<'_>, &str, Reader)> = None;
    for (prefix, switch, reader) in providers {
        let vars = Vars { prefix, get };
        if vars.optional(switch).is_none() {
            if let Some(mark) = TELLTALE_NAMES
                .iter()
                .find(|mark| vars.optional(mark).is_some())
            {
                return Err(vars.wrong(
                    switch,
                    format!(
                        "it is not set, but {} is; set it, or remove the other",
                        vars.name(mark)
                    ),
                ));
            }
            continue;
        }
        if let Some((first, first_switch, _)) = &found {
            return Err(vars.wrong(
                switch,
                format!(
                    "{} is set as well; a node has one bucket of a kind, remove one of them",
                    first.name(first_switch)
                ),
            ));
        }
        found = Some((vars, switch, reader));
    }
    let Some((vars, _, reader)) = found else {
        return Ok(None);
    };
    let (provider, container) = reader(&vars)?;
    Ok(Some(BucketConfig {
        provider,
        container,
        prefix: vars.object_key_prefix()?,
        encryption_key: vars.encryption_key()?,
        role,
        deadline: DEFAULT_DEADLINE,
        source_address: source_address(vars.get)?,
        kept_in: None,
    }))
}

fn source_address(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<IpAddr>> {
    let variable = "BACKSTAY_SOURCE_ADDRESS";
    let Some(text) = get(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| Error::Config {
        variable: variable.to_owned(),
        problem: format!(
            "{text:?} is not a valid IP address; set it to one of this machine's, or remove it"
        ),
    })
}

fn azure(vars: &Vars<'_>) -> Result<(Provider, String)> {
    let provider = Provider::Azure {
        account: vars.required("ACCOUNTNAME", "the storage account's name")?,
        key: Secret::new(vars.required("ACCOUNTKEY", "an access key of the storage account")?),
        endpoint_base: vars.endpoint_base()?,
    };
    Ok((provider, vars.required("BUCKET", "the container's name")?))
}

fn s3(vars: &Vars<'_>) -> Result<(Provider, String)> {
    let credentials = match (vars.optional("ACCESSKEY"), vars.optional("SECRETKEY")) {
        (Some(access_key_id), Some(key)) => Some(S3Credentials {
            access_key_id,
            secret_access_key: Secret::new(key),
        }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(vars.wrong(
                "SECRETKEY",
                "it is not set, but the access key id is; set it",
            ));
        }
        (None, Some(_)) => {
            return Err(vars.wrong("ACCESSKEY", "it is not set, but the secret key is; set it"));
        }
    };
    let provider = Provider::S3 {
        region: vars.required("REGION", "the bucket's region")?,
        credentials,
        endpoint_base: vars.endpoint_base()?,
    };
    Ok((provider, vars.required("BUCKET", "the bucket's name")?))
}

fn gcp(vars: &Vars<'_>) -> Result<(Provider, String)> {
    let file = vars.optional("ACCOUNT_JSON_FILE");
    let credentials = match (file, vars.flag("WORKLOAD_IDENTITY")?) {
        (Some(path), false) => GcpCredentials::ServiceAccountFile(PathBuf::from(path)),
        (None, true) => GcpCredentials::WorkloadIdentity,
        (Some(_), true) => {
            return Err(vars.wrong(
                "WORKLOAD_IDENTITY",
                "the account's JSON file is set as well; remove one of them",
            ));
        }
        (None, false) => {
            return Err(vars.wrong(
                "ACCOUNT_JSON_FILE",
                "it is not set; set it to a service account's key file, or WORKLOAD_IDENTITY to true",
            ));
        }
    };
    let provider = Provider::Gcp {
        credentials,
        endpoint_base: vars.endpoint_base()?,
    };
    Ok((provider, vars.required("BUCKET", "the bucket's name")?))
}

fn local(vars: &Vars<'_>) -> Result<(Provider, String)> {
    let path = PathBuf::from(vars.required("PATH", "a folder")?);
    let container = vars
        .optional("BUCKET")
        .unwrap_or_else(|| folder_name(&path));
    Ok((Provider::Local { path }, container))
}
