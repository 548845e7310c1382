//! What names must look like, by the rules of those who read them. A rule answers with what must
//! be, never with what is: a value may be a secret in the wrong place.
//!
//! Azure: <https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules>.
//! Kubernetes: <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>.

use std::net::IpAddr;

/// Says what a text must be, if it is not.
pub(crate) type Rule = fn(&str) -> Result<(), RuleError>;

/// What a text is to be, and is not. It says nothing of what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RuleError {
    /// It has another form.
    #[error("must be {0}")]
    Form(&'static str),
    /// A variable that nobody sets.
    #[error(
        "is never set: it would swap the container's name and keep this region's endpoint, and the \
         source would answer 403; remove it"
    )]
    ReplaceBucket,
    /// A variable that follows from the rest of the file.
    #[error("is derived from the pair; remove it")]
    Derived,
    /// A variable that would hold a secret.
    #[error(
        "looks like a credential, and this file holds none; name a mounted file in a variable that \
         ends with _FILE"
    )]
    Credential,
}

fn must(holds: bool, what: &'static str) -> Result<(), RuleError> {
    if holds {
        Ok(())
    } else {
        Err(RuleError::Form(what))
    }
}

fn lower(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_label(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len())
        && text.chars().all(|c| lower(c) || c == '-')
        && text.starts_with(lower)
        && text.ends_with(lower)
}

/// RFC 1123: a Kubernetes namespace.
pub(crate) fn label(text: &str) -> Result<(), RuleError> {
    must(
        is_label(text, 63),
        "a DNS label: at most 63 lower-case letters, digits and hyphens, beginning and ending with \
         a letter or digit",
    )
}

/// The HumioCluster's and the pair's name: from it come pods (`<cluster>-ingest-core-abcdef`),
/// services, and labels, which have 63 characters, and services begin with a letter.
pub(crate) fn short_label(text: &str) -> Result<(), RuleError> {
    must(
        is_label(text, 40) && text.starts_with(|c: char| c.is_ascii_lowercase()),
        "at most 40 lower-case letters, digits and hyphens, beginning with a letter and ending with \
         a letter or digit",
    )
}

/// RFC 1035: a Kubernetes service.
pub(crate) fn service(text: &str) -> Result<(), RuleError> {
    must(
        is_label(text, 63) && text.starts_with(|c: char| c.is_ascii_lowercase()),
        "the name of a Kubernetes service: at most 63 lower-case letters, digits and hyphens, \
         beginning with a letter and ending with a letter or digit",
    )
}

/// A pool of a HumioCluster. With the cluster's name in front of it and `-core-abcdef` behind it, it
/// is the name of a pod.
pub(crate) fn pool(text: &str) -> Result<(), RuleError> {
    must(
        is_label(text, 20),
        "a pool's name: at most 20 lower-case letters, digits and hyphens, beginning and ending \
         with a letter or digit",
    )
}

/// A label with its value, by which nodes are chosen.
pub(crate) fn node_label(text: &str) -> Result<(), RuleError> {
    let word = |word: &str| {
        let edge = |c: char| c.is_ascii_alphanumeric();
        (1..=63).contains(&word.len())
            && word.starts_with(edge)
            && word.ends_with(edge)
            && word.chars().all(|c| edge(c) || "-_.".contains(c))
    };
    let key = |key: &str| match key.split_once('/') {
        Some((domain, name)) => is_dns_name(domain) && word(name),
        None => word(key),
    };
    must(
        text.split_once('=')
            .is_some_and(|(name, value)| key(name) && word(value)),
        "a label of nodes with its value, like k8s-app=logscale-ui",
    )
}

/// The one word that may stand in the place of a secret's name and key.
pub(crate) fn off(text: &str) -> Result<(), RuleError> {
    must(
        text == "off",
        "\"off\", where nothing is encrypted, or a table with secret and key",
    )
}

fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|label| is_label(label, 63))
}

/// A host's full name.
pub(crate) fn host(text: &str) -> Result<(), RuleError> {
    // Clients take a name whose last label is a number for an address.
    let last = text.rsplit('.').next().unwrap_or_default();
    let numeric = last.chars().all(|c| c.is_ascii_digit());
    must(
        is_dns_name(text) && text.contains('.') && !numeric,
        "a full host name in lower case without a dot at its end, like logscale.example.com",
    )
}

/// What a traffic manager's external endpoint may point at.
pub(crate) fn host_or_address(text: &str) -> Result<(), RuleError> {
    must(
        text.parse::<IpAddr>().is_ok() || host(text).is_ok(),
        "a full host name in lower case, or an IP address",
    )
}

pub(crate) fn address(text: &str) -> Result<(), RuleError> {
    must(
        text.parse::<IpAddr>().is_ok_and(|ip| !ip.is_unspecified()),
        "an IP address other than the unspecified one",
    )
}

/// A Kubernetes secret.
pub(crate) fn secret(text: &str) -> Result<(), RuleError> {
    must(
        is_dns_name(text),
        "the name of a Kubernetes secret, not its content: lower-case letters, digits, hyphens and \
         dots, at most 253",
    )
}

/// A key of a Kubernetes secret.
pub(crate) fn secret_key(text: &str) -> Result<(), RuleError> {
    must(
        (1..=253).contains(&text.len())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && text != "."
            && !text.starts_with(".."),
        "the name of a key in a Kubernetes secret, not its content: letters, digits, hyphens, \
         underscores and dots, at most 253",
    )
}

/// A context of a kubeconfig: any printable name.
pub(crate) fn context(text: &str) -> Result<(), RuleError> {
    must(
        (1..=253).contains(&text.len())
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_graphic()),
        "the name of a kubeconfig's context: printable, without spaces, not beginning with a hyphen",
    )
}

/// An Azure region by its programmatic name. It is also one half of `REPLACE_REGION`, which a `/`
/// divides.
pub(crate) fn region(text: &str) -> Result<(), RuleError> {
    must(
        (1..=40).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(lower),
        "an Azure region's programmatic name, like centralus: lower-case letters and digits",
    )
}

pub(crate) fn subscription(text: &str) -> Result<(), RuleError> {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &&str| part.chars().all(|c| c.is_ascii_hexdigit());
    must(
        parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(hex),
        "a subscription's id, like 00000000-0000-0000-0000-000000000000",
    )
}

pub(crate) fn resource_group(text: &str) -> Result<(), RuleError> {
    must(
        (1..=90).contains(&text.len())
            && !text.ends_with('.')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')')),
        "a resource group: at most 90 letters, digits, hyphens, underscores, brackets and dots, not \
         ending with a dot",
    )
}

/// A profile, an endpoint.
pub(crate) fn resource(text: &str) -> Result<(), RuleError> {
    let edge = |c: char| c.is_ascii_alphanumeric();
    must(
        (1..=63).contains(&text.len())
            && text.starts_with(edge)
            && text.ends_with(edge)
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')),
        "at most 63 letters, digits, hyphens and dots, beginning and ending with a letter or digit",
    )
}

/// An alert rule, an action group.
pub(crate) fn monitor(text: &str) -> Result<(), RuleError> {
    must(
        (1..=260).contains(&text.len())
            && !text.ends_with(['.', ' '])
            && !text.starts_with(' ')
            && text
                .chars()
                .all(|c| (c.is_ascii_graphic() || c == ' ') && !"*#&+:<>?@%{}\\/|".contains(c)),
        "at most 260 printable characters, none of * # & + : < > ? @ % { } \\ / |, not ending with a \
         dot or space",
    )
}

pub(crate) fn storage_account(text: &str) -> Result<(), RuleError> {
    must(
        (3..=24).contains(&text.len()) && text.chars().all(lower),
        "a storage account: 3 to 24 lower-case letters and digits",
    )
}

pub(crate) fn container(text: &str) -> Result<(), RuleError> {
    must(
        text.len() >= 3 && is_label(text, 63) && !text.contains("--"),
        "a container: 3 to 63 lower-case letters, digits and single hyphens, beginning and ending \
         with a letter or digit",
    )
}

/// The name that a folder has as a bucket.
pub(crate) fn folder_name(text: &str) -> Result<(), RuleError> {
    must(
        (1..=255).contains(&text.len())
            && !text.contains(['/', '\0'])
            && text != "."
            && text != "..",
        "a name without slashes",
    )
}

/// An absolute path in one form, so that two can be compared by their text. The agent that runs
/// pods as processes replaces mount paths in values, so `$` and spaces stay out of it.
pub(crate) fn folder(text: &str) -> Result<(), RuleError> {
    let clean = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && !part.contains(|c: char| c.is_control() || c == '$')
    };
    must(
        text.len() <= 4096
            && text
                .strip_prefix('/')
                .is_some_and(|rest| rest.split('/').all(clean)),
        "an absolute path without a slash at its end, without . and .. and $",
    )
}

/// The URL of a blob service.
pub(crate) fn endpoint_base(text: &str) -> Result<(), RuleError> {
    let plain = text.len() <= 2048
        && !text.ends_with('/')
        && !text.contains(['?', '#', '@', '$'])
        && url::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
        });
    must(
        plain,
        "an http or https URL without user, query and slash at its end, like \
         https://account.blob.core.windows.net",
    )
}

/// Put in front of every key as it is, so a slash belongs to it, and the vendor's has none. Azure's names have at most 1024
/// characters and ours come after it.
pub(crate) fn object_key_prefix(text: &str) -> Result<(), RuleError> {
    let legal = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let holds = text.is_empty()
        || (text.len() <= 256 && text.strip_suffix('/').unwrap_or(text).split('/').all(legal));
    must(
        holds,
        "empty, or letters, digits, hyphens, underscores and dots, with or without a slash at the \
         end, like z072ef-drpri/",
    )
}

/// A tag of a container image.
pub(crate) fn version(text: &str) -> Result<(), RuleError> {
    must(
        (1..=128).contains(&text.len())
            && !text.starts_with(['.', '-'])
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')),
        "an image's tag, like 0.1.0",
    )
}

pub(crate) fn probe_path(text: &str) -> Result<(), RuleError> {
    must(
        text.starts_with('/')
            && text.len() <= 1024
            && text.chars().all(|c| c.is_ascii_graphic() && c != '#'),
        "a path that begins with a slash, like /api/v1/status",
    )
}

/// What comes from the pair itself; a second value would be a duplicate, which the operator refuses.
const DERIVED: [&str; 4] = [
    "BUCKET_STORAGE_MULTIPLE_ENDPOINTS",
    "ENABLE_ALERTS",
    "INITIAL_DISABLED_NODE_TASK",
    "NODE_ROLES",
];

/// A variable that the file gives to every node.
pub(crate) fn variable(name: &str) -> Result<(), RuleError> {
    let legal = (1..=253).contains(&name.len())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    must(
        legal,
        "a variable's name: letters, digits and underscores, not beginning with a digit",
    )?;
    if name.ends_with("_RECOVER_FROM_REPLACE_BUCKET") {
        return Err(RuleError::ReplaceBucket);
    }
    let bucket = ["AZURE_", "S3_", "GCP_", "LOCAL_"]
        .iter()
        .filter_map(|provider| name.strip_prefix(provider))
        .any(|rest| rest.starts_with("STORAGE_") || rest.starts_with("RECOVER_FROM_"));
    if bucket || DERIVED.contains(&name) {
        return Err(RuleError::Derived);
    }
    const CREDENTIALS: [&str; 6] = [
        "KEY",
        "SECRET",
        "TOKEN",
        "PASSWORD",
        "CREDENTIAL",
        "LICENSE",
    ];
    let credential = name.split('_').any(|word| {
        CREDENTIALS
            .iter()
            .any(|it| word.trim_end_matches('S') == *it)
    });
    if credential && !name.ends_with("_FILE") {
        return Err(RuleError::Credential);
    }
    Ok(())
}
