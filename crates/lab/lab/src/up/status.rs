//! How a lab is, for people and programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use backstay_pair::{Dr, EnvSource, Side, derive};

use super::part::{Part, PartStatus};
use super::provision::{TRAFFIC_MANAGER, bucket_secrets};
use super::view::{PodView, View};
use super::{Inner, LabError};

/// How a lab is.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct LabStatus {
    /// The lab's folder: its state, logs and kubeconfig.
    pub folder: PathBuf,
    /// The kubeconfig with both regions' contexts.
    pub kubeconfig: PathBuf,
    /// `azurite` or `folder`.
    pub store: String,
    /// The traffic manager's DNS.
    pub dns: String,
    /// The Resource Manager's API.
    pub arm: String,
    /// The name that clients use.
    pub name: String,
    /// Where it points now; `None` when nobody says.
    pub name_resolves_to: Option<String>,
    /// The state of the primary and the secondary, in this order.
    pub regions: Vec<RegionStatus>,
    /// The lab's own processes.
    pub parts: Vec<PartStatus>,
}

/// How a region is.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct RegionStatus {
    /// The side of the pair that the region is.
    pub side: Side,
    /// Its context in the kubeconfig.
    pub context: String,
    /// The URL of the region's ingress.
    pub ingress: String,
    /// Its endpoint: `Enabled` or `Disabled`, and what the probes say of it.
    pub endpoint: Option<(String, String)>,
    /// What it looks like.
    pub view: View,
    /// What is still waited for.
    pub missing: Option<String>,
    /// Which fault hit it.
    pub disasters: Vec<String>,
}

impl Inner {
    pub(super) async fn status(&self) -> LabStatus {
        let name = self.pair.global_host.clone();
        let (primary, secondary, resolved) = tokio::join!(
            self.region_status(Side::Primary),
            self.region_status(Side::Secondary),
            self.names.address(&name),
        );
        LabStatus {
            folder: self.place.folder.clone(),
            kubeconfig: self.place.kubeconfig(),
            store: self.store.as_str().to_owned(),
            dns: self.place.dns().to_string(),
            arm: self.pair.traffic_manager.arm_endpoint.clone(),
            name,
            name_resolves_to: resolved.ok().map(|address| address.to_string()),
            regions: vec![primary, secondary],
            parts: self
                .shared
                .iter()
                .chain(self.regions.values())
                .map(Part::status)
                .collect(),
        }
    }

    async fn region_status(&self, side: Side) -> RegionStatus {
        let endpoint = self.pair.traffic_manager.endpoint_id(side);
        let (view, endpoint) =
            tokio::join!(self.look(side), self.arm.get(&endpoint, TRAFFIC_MANAGER));
        let endpoint = endpoint.ok().map(|endpoint| {
            let text = |name: &str| {
                let value = endpoint["properties"][name].as_str();
                value.unwrap_or_default().to_owned()
            };
            (text("endpointStatus"), text("endpointMonitorStatus"))
        });
        let disasters = self.state.lock().disasters.get(&side).cloned();
        RegionStatus {
            side,
            context: self.pair.region(side).context.clone(),
            ingress: format!("http://{}", self.place.ingress_proxies(side)[0]),
            endpoint,
            missing: view.missing(),
            view,
            disasters: disasters
                .into_iter()
                .flatten()
                .map(|disaster| disaster.to_string())
                .collect(),
        }
    }

    /// The variables by which a region's bucket is opened to look into it: those by which the other
    /// region would recover from it.
    pub(super) fn bucket(&self, side: Side) -> Result<BTreeMap<String, String>, LabError> {
        let secrets = bucket_secrets(&self.pair, &self.store, &self.keys, side.other())?;
        let derived = derive(&self.pair, side.other(), Dr::Standby, false).recovery;
        let known = derived.into_iter().filter_map(|variable| {
            let value = match variable.source {
                EnvSource::Value(value) => Some(value),
                EnvSource::Secret(key) => secrets.get(&key).cloned(),
                EnvSource::Other(_) => None,
            };
            Some((variable.name, value?))
        });
        Ok(known.collect())
    }
}

impl LabStatus {
    /// The status as a table for people.
    pub fn table(&self) -> String {
        let points = self.name_resolves_to.as_deref().unwrap_or("nowhere");
        let of = self.regions.iter().find(|region| {
            let address = region.ingress.trim_start_matches("http://");
            address.rsplit_once(':').map(|(ip, _)| ip) == self.name_resolves_to.as_deref()
        });
        let of = of.map_or(String::new(), |region| format!(" ({})", region.side));
        let mut rows = vec![vec![
            "REGION".to_owned(),
            "CONTEXT".to_owned(),
            "OPERATOR".to_owned(),
            "PODS".to_owned(),
            "STATUS".to_owned(),
            "ENDPOINT".to_owned(),
            "INGRESS".to_owned(),
            "NOTE".to_owned(),
        ]];
        rows.extend(self.regions.iter().map(RegionStatus::row));
        let mut text = align(&rows);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n{name} points to {points}{of}; DNS at {dns}, Resource Manager at {arm}\n\
             logs in {store}s; export KUBECONFIG={kubeconfig}\n",
            name = self.name,
            dns = self.dns,
            arm = self.arm,
            store = if self.store == "folder" {
                "folder"
            } else {
                "Azurite container"
            },
            kubeconfig = self.kubeconfig.display(),
        );
        text
    }
}

impl RegionStatus {
    fn row(&self) -> Vec<String> {
        let view = &self.view;
        let ready = |pods: &[PodView]| pods.iter().filter(|pod| pod.ready).count();
        let mut note = self.disasters.clone();
        if let (Some(missing), true) = (&self.missing, note.is_empty()) {
            note.push(format!("waits for {missing}"));
        }
        vec![
            self.side.to_string(),
            self.context.clone(),
            if view.api {
                format!("{}/{}", view.operator.0, view.operator.1)
            } else {
                "?".to_owned()
            },
            if view.api {
                format!("{}/{}", ready(&view.pods), view.pods.len())
            } else {
                "?".to_owned()
            },
            view.status
                .map_or("none".to_owned(), |code| code.to_string()),
            self.endpoint
                .as_ref()
                .map_or("?".to_owned(), |(status, monitor)| {
                    if status == "Enabled" {
                        monitor.clone()
                    } else {
                        status.clone()
                    }
                }),
            self.ingress.clone(),
            note.join(", "),
        ]
    }
}

/// Columns under each other, as `kubectl` has them.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|at| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:<width$}   "))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
