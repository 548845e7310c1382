//! `backstay node`.

use std::collections::BTreeMap;

use backstay_node::{Node, NodeConfig, OwnLogLines};

use crate::args::NodeFlags;
use crate::{Exit, print_error};

/// Runs a node until it is told to stop.
pub async fn run(flags: &NodeFlags, own_log: Option<OwnLogLines>) -> Exit {
    let given = variables(flags);
    let read = |name: &str| {
        given
            .get(name)
            .cloned()
            .or_else(|| std::env::var(name).ok())
    };
    let config = match NodeConfig::from_env(&read) {
        Ok(config) => config,
        Err(error) => {
            print_error(&error.to_string());
            return Exit::Usage;
        }
    };
    let node = match Node::start_with(config, own_log).await {
        Ok(node) => node,
        Err(error) => {
            print_error(&error.to_string());
            return Exit::Failed;
        }
    };
    tracing::info!(address = %node.address(), version = env!("CARGO_PKG_VERSION"), "listening");
    match node.run_until_signal().await {
        Ok(()) => Exit::Done,
        Err(error) => {
            print_error(&error.to_string());
            Exit::Failed
        }
    }
}

/// The variables that the flags stand for.
pub fn variables(flags: &NodeFlags) -> BTreeMap<&'static str, String> {
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    [
        ("PORT", flags.port.map(|port| port.to_string())),
        ("BACKSTAY_BIND", flags.bind.map(|bind| bind.to_string())),
        ("DIRECTORY", path(&flags.data_dir)),
        ("LOCAL_STORAGE_PATH", path(&flags.bucket_folder)),
        ("LOCAL_RECOVER_FROM_PATH", path(&flags.recover_from_folder)),
        ("PUBLIC_URL", flags.public_url.clone()),
        ("NODE_ROLES", flags.roles.clone()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::{NodeFlags, variables};

    #[test]
    fn flags_stand_for_variables_and_absent_ones_for_none() {
        let flags = NodeFlags {
            port: Some(9_000),
            bucket_folder: Some("/srv/bucket".into()),
            roles: Some("httponly".to_owned()),
            ..NodeFlags::default()
        };
        let given: Vec<(&str, String)> = variables(&flags).into_iter().collect();
        let expected = [
            ("LOCAL_STORAGE_PATH", "/srv/bucket"),
            ("NODE_ROLES", "httponly"),
            ("PORT", "9000"),
        ];
        assert_eq!(
            given,
            expected.map(|(name, value)| (name, value.to_owned()))
        );
    }
}
