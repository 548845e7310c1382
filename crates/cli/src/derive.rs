//! `backstay derive`.

use backstay_pair::{EnvSource, EnvVar, derive, manifests};

use crate::args::{DeriveFlags, Output};
use crate::{Exit, control, print_json, print_result};

/// Reads the pair's file and shows what follows from it.
pub fn run(flags: &DeriveFlags, output: Output) -> Exit {
    let pair = match control::pair(&flags.pair) {
        Ok(pair) => pair,
        Err(exit) => return exit,
    };
    let dr = flags.dr.unwrap_or_else(|| flags.region.usual());
    let derived = derive(&pair, flags.region, dr, flags.dedicated);
    if flags.manifests {
        // A list is one document, which `kubectl apply -f -` takes.
        return print_json(&serde_json::json!({
            "apiVersion": "v1",
            "kind": "List",
            "items": manifests(&pair, &derived),
        }));
    }
    print_result(output, &derived, || {
        derived.cluster_environment().iter().map(line).collect()
    })
}

fn line(variable: &EnvVar) -> String {
    let value = match &variable.source {
        EnvSource::Value(value) => value.clone(),
        EnvSource::Secret(key) => format!("(secret {}, key {})", key.secret, key.key),
        EnvSource::Other(_) => "(elsewhere)".to_owned(),
    };
    format!("{}={value}\n", variable.name)
}
