//! `backstay traffic`.

use std::num::NonZero;
use std::thread::available_parallelism;

use backstay_traffic::{
    Addresses, Api, MonitorLimits, NameServer, TrafficConfig, TrafficError, TrafficManager,
};

use crate::args::{Output, TrafficFlags};
use crate::{Exit, print_bytes, print_error};

/// Runs a traffic manager until it is told to stop. Standard output gets one thing, as soon as it
/// listens: where.
pub async fn run(flags: &TrafficFlags, output: Output) -> Exit {
    let more = match providers(flags) {
        Ok(more) => more,
        Err(error) => {
            print_error(&error.to_string());
            return Exit::Failed;
        }
    };
    let manager = match TrafficManager::start_with(config(flags), more).await {
        Ok(manager) => manager,
        Err(error @ TrafficError::Config(_)) => {
            print_error(&error.to_string());
            return Exit::Usage;
        }
        Err(error) => {
            print_error(&error.to_string());
            return Exit::Failed;
        }
    };
    let told = match addresses_text(manager.addresses(), output) {
        Ok(text) => print_bytes(text.as_bytes()),
        Err(error) => {
            print_error(&error.to_string());
            Exit::Failed
        }
    };
    if told != Exit::Done {
        return told;
    }
    match manager.run_until_signal().await {
        Ok(()) => Exit::Done,
        Err(error) => {
            print_error(&error.to_string());
            Exit::Failed
        }
    }
}

fn addresses_text(addresses: &Addresses, output: Output) -> Result<String, serde_json::Error> {
    if output.is_json() {
        return Ok(serde_json::to_string(addresses)? + "\n");
    }
    let dns: Vec<String> = addresses.dns.iter().map(ToString::to_string).collect();
    Ok(format!(
        "DNS for {}: {}\nResource Manager API: {} (token in {})\nmetrics, events, status: {}\n",
        addresses.zone,
        dns.join(", "),
        addresses.arm,
        addresses.token_file.display(),
        addresses.observe,
    ))
}

/// What the API of a lab has besides.
#[cfg(feature = "lab")]
fn providers(
    flags: &TrafficFlags,
) -> Result<impl FnOnce(Api) -> Api + use<>, backstay_lab_azure::StorageError> {
    let path = flags.storage_accounts.as_deref();
    let accounts = path.map(backstay_lab_azure::StorageApi::at).transpose()?;
    Ok(|api: Api| match accounts {
        None => api,
        Some(accounts) => api.with(accounts),
    })
}

#[cfg(not(feature = "lab"))]
fn providers(
    _: &TrafficFlags,
) -> Result<impl FnOnce(Api) -> Api + use<>, std::convert::Infallible> {
    Ok(|api: Api| api)
}

fn config(flags: &TrafficFlags) -> TrafficConfig {
    let workers = flags.dns_workers.map_or_else(
        || available_parallelism().map_or(1, NonZero::get),
        usize::from,
    );
    let mut name_servers = flags.name_servers.clone();
    if name_servers.is_empty() {
        // Its address is known when DNS listens on one, and not on all of the machine's.
        let addresses = flags.dns.iter().map(std::net::SocketAddr::ip);
        name_servers.push(NameServer {
            name: format!("ns1.{}", flags.zone.trim_end_matches('.')),
            address: addresses.into_iter().find(|it| !it.is_unspecified()),
        });
    }
    TrafficConfig {
        dns: flags.dns.clone(),
        dns_workers: workers,
        dns_rate: flags.dns_rate,
        arm: flags.arm,
        observe: flags.observe,
        state: flags.state.clone(),
        token: flags.token_file.clone(),
        tls: flags.tls_cert.clone().zip(flags.tls_key.clone()),
        zone: flags.zone.clone(),
        name_servers,
        vantage_points: flags.vantage_points.clone(),
        quorum: flags.quorum,
        max_probes: usize::try_from(flags.max_probes).unwrap_or(usize::MAX),
        limits: if flags.any_interval {
            MonitorLimits::Lab
        } else {
            MonitorLimits::Azure
        },
    }
}
