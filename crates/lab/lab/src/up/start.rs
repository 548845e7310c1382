//! The start of a lab, part by part.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backstay_kubeapi::Kubeconfig;
use backstay_names::Names;
use backstay_pair::{Pair, Side};
use backstay_token::write_private;
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::arm::Arm;
use super::describe::{SUBSCRIPTION, describe};
use super::keys::Keys;
use super::part::Part;
use super::provision;
use super::store::Store;
use super::sweep::{MARK, sweep};
use super::{Inner, LabError, LabOptions, State};
use crate::child::{ChildSpec, log_tail};
use crate::client::http_client;
use crate::cluster::{self, Answer, client};
use crate::control;
use crate::fault_proxy::FaultProxy;
use crate::place::{Place, context};

/// How often a part is asked whether it is up.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Longest wait for a part.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// What is remembered of a lab in its folder, besides what its parts keep.
#[derive(serde::Serialize, serde::Deserialize)]
struct Remembered {
    block: u8,
    store: Store,
}

pub(super) async fn start(
    options: &LabOptions,
    on_progress: &(dyn Fn(&str) + Sync),
) -> Result<Inner, LabError> {
    let (folder, lock) = take(&options.place.folder)?;
    // Of a lab that was killed here.
    sweep(&folder);
    let given = Place {
        folder,
        ..options.place.clone()
    };
    let (place, store) = remember(options, given).await?;
    place
        .is_free()
        .map_err(|source| block(&place, source))
        .and_then(|free| {
            let taken = || std::io::Error::from(std::io::ErrorKind::AddrInUse);
            if free {
                Ok(())
            } else {
                Err(block(&place, taken()))
            }
        })?;
    let pair = pair(options, &place, &store)?;
    let names = [
        pair.global_host.clone(),
        pair.primary.fqdn.clone(),
        pair.secondary.fqdn.clone(),
    ];
    let addresses = Side::BOTH.map(|side| place.ingress_address(side));
    let keys = Keys::in_file(&place.folder.join("keys.json"), &names, &addresses)?;
    let accounts = storage_accounts(&place, &store, &keys, &pair)?;

    on_progress("starting the traffic manager and the buckets");
    let mut shared = vec![start_part(
        "traffic manager",
        traffic(options, &place, &accounts),
    )?];
    if let Store::Azurite(blobs) = &store {
        if let Some(spec) = blobs.process(&keys, &place, &options.program) {
            shared.push(start_part("azurite", marked(&place, spec))?);
            listens(&place, "azurite", blobs.address()).await?;
        }
        blobs.make_containers(&keys).await?;
    }
    listens(&place, "traffic", place.arm()).await?;
    let arm = Arm::new(&pair.traffic_manager.arm_endpoint, &place.arm_token())?;
    let (world_proxies, bucket_proxies) = fault_proxies(&place, &store).await?;

    on_progress("starting both regions");
    let mut regions = BTreeMap::new();
    for side in Side::BOTH {
        let part = start_part(side.as_str(), region(options, &place, &pair, side))?;
        regions.insert(side, part);
    }
    let clients = clients(&place).await?;
    on_progress("provisioning both regions");
    let of = |side: Side| provision::region(&clients[&side], &pair, &store, &keys, side);
    tokio::try_join!(
        of(Side::Primary),
        of(Side::Secondary),
        provision::azure(&arm, &pair),
    )?;
    Ok(Inner {
        names: Names::of(place.dns())?,
        place,
        pair,
        store,
        keys,
        arm,
        http: http_client().map_err(LabError::Http)?,
        clients,
        regions,
        shared,
        world_proxies,
        bucket_proxies,
        state: Mutex::new(State::default()),
        down: CancellationToken::new(),
        _lock: lock,
    })
}

fn block(place: &Place, source: std::io::Error) -> LabError {
    LabError::Block {
        block: place.block,
        source,
    }
}

/// Makes the folder and takes it for this process.
fn take(folder: &Path) -> Result<(PathBuf, File), LabError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| LabError::File { path, source }
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(folder).map_err(failed(folder))?;
    let folder = folder.canonicalize().map_err(failed(folder))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !folder.to_str().is_some_and(|path| path.chars().all(plain)) {
        return Err(LabError::Folder(folder));
    }
    let logs = folder.join("logs");
    builder.create(&logs).map_err(failed(&logs))?;
    let path = folder.join("lock");
    // Not truncated: whoever holds it has its process id in there.
    let mut options = File::options();
    let options = options.create(true).write(true).truncate(false);
    let mut lock = options.open(&path).map_err(failed(&path))?;
    match lock.try_lock() {
        Ok(()) => {
            lock.set_len(0).map_err(failed(&path))?;
            write!(lock, "{}", std::process::id()).map_err(failed(&path))?;
            Ok((folder, lock))
        }
        Err(TryLockError::WouldBlock) => Err(LabError::Runs(folder)),
        Err(TryLockError::Error(source)) => Err(LabError::File { path, source }),
    }
}

/// The block of addresses of the lab in this folder; `None` where there is no lab.
pub fn remembered_block(folder: &Path) -> Option<u8> {
    let text = std::fs::read(folder.join("lab.json")).ok()?;
    let known: Remembered = serde_json::from_slice(&text).ok()?;
    Some(known.block)
}

/// What the folder remembers, or what is remembered from now on.
async fn remember(options: &LabOptions, given: Place) -> Result<(Place, Store), LabError> {
    let path = given.folder.join("lab.json");
    let failed = |source| LabError::File {
        path: path.clone(),
        source,
    };
    match std::fs::read(&path) {
        Ok(text) => {
            let known: Remembered =
                serde_json::from_slice(&text).map_err(|error| LabError::Description {
                    path: path.clone(),
                    problem: error.to_string(),
                })?;
            let place = Place {
                block: known.block,
                ..given
            };
            Ok((place, known.store))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let store = Store::choose(&options.store, &given).await?;
            let known = Remembered {
                block: given.block,
                store,
            };
            let text = serde_json::to_vec(&known).map_err(|error| failed(error.into()))?;
            write_private(&path, &text).map_err(failed)?;
            Ok((given, known.store))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Reads the pair's file, written first in a new lab.
fn pair(options: &LabOptions, place: &Place, store: &Store) -> Result<Pair, LabError> {
    let path = place.pair();
    if !path.exists() {
        let text = describe(place, store, options);
        std::fs::write(&path, text).map_err(|source| LabError::File {
            path: path.clone(),
            source,
        })?;
    }
    Ok(Pair::read(&path, std::env::vars_os())?)
}

/// The keys that the Resource Manager gives out, in a file, as it wants them.
fn storage_accounts(
    place: &Place,
    store: &Store,
    keys: &Keys,
    pair: &Pair,
) -> Result<PathBuf, LabError> {
    let path = place.folder.join("storage-accounts.json");
    let mut accounts = Vec::new();
    if let Store::Azurite(blobs) = store {
        for side in Side::BOTH {
            let name = blobs.account(side);
            if accounts
                .iter()
                .any(|it: &serde_json::Value| it["name"] == name)
            {
                continue;
            }
            accounts.push(json!({
                "subscription": SUBSCRIPTION,
                "resourceGroup": pair.region(side).resource_group,
                "name": name,
                "location": pair.region(side).region,
                "blobEndpoint": format!("http://{}/{name}", place.bucket_proxy(side)),
                "keys": [{ "name": "key1", "value": blobs.account_key(keys, side)? }],
            }));
        }
    }
    let text = serde_json::to_vec(&json!({ "accounts": accounts })).unwrap_or_default();
    write_private(&path, &text).map_err(|source| LabError::File {
        path: path.clone(),
        source,
    })?;
    Ok(path)
}

fn start_part(name: &'static str, spec: ChildSpec) -> Result<Part, LabError> {
    Part::start(name, spec).map_err(|source| LabError::Start { part: name, source })
}

/// With the variable by which it is found when nobody holds it any more.
fn marked(place: &Place, mut spec: ChildSpec) -> ChildSpec {
    let folder = place.folder.display().to_string();
    spec.environment.insert(MARK.to_owned(), folder);
    if let Ok(filter) = std::env::var("BACKSTAY_LOG") {
        spec.environment.insert("BACKSTAY_LOG".to_owned(), filter);
    }
    spec
}

fn traffic(options: &LabOptions, place: &Place, accounts: &Path) -> ChildSpec {
    let path = |path: &Path| path.display().to_string();
    let state = place.folder.join("traffic.json");
    let arguments = [
        "traffic".to_owned(),
        "--exit-with-parent".to_owned(),
        "--any-interval".to_owned(),
        format!("--dns={}", place.dns()),
        "--dns-workers=1".to_owned(),
        format!("--arm={}", place.arm()),
        format!("--observe={}", place.observe()),
        format!("--state={}", path(&state)),
        format!("--token-file={}", path(&place.arm_token())),
        format!("--storage-accounts={}", path(accounts)),
    ];
    marked(
        place,
        ChildSpec {
            program: options.program.clone(),
            arguments: arguments.map(Into::into).to_vec(),
            environment: BTreeMap::new(),
            log: place.logs().join("traffic.log"),
        },
    )
}

fn region(options: &LabOptions, place: &Place, pair: &Pair, side: Side) -> ChildSpec {
    let mut arguments = vec![
        "lab".to_owned(),
        "region".to_owned(),
        side.to_string(),
        format!("--dir={}", place.folder.display()),
        format!("--block={}", place.block),
        format!("--name={}", pair.region(side).region),
    ];
    if let Some(node) = &options.node {
        arguments.push(format!("--node={}", node.display()));
    }
    marked(
        place,
        ChildSpec {
            program: options.program.clone(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
            log: place.logs().join(format!("{side}.log")),
        },
    )
}

async fn fault_proxies(
    place: &Place,
    store: &Store,
) -> Result<(BTreeMap<Side, Vec<FaultProxy>>, BTreeMap<Side, FaultProxy>), LabError> {
    let open = async |address, to| {
        let opened = FaultProxy::open(address, to).await;
        opened.map_err(|source| LabError::FaultProxy { address, source })
    };
    let (mut world, mut buckets) = (BTreeMap::new(), BTreeMap::new());
    for side in Side::BOTH {
        let [http, https] = place.ingress_proxies(side);
        let [http_to, https_to, _] = place.ingress(side);
        let proxies = vec![
            open(place.api_proxy(side), place.api(side)).await?,
            open(http, http_to).await?,
            open(https, https_to).await?,
        ];
        world.insert(side, proxies);
        if let Store::Azurite(blobs) = store {
            let proxy = open(place.bucket_proxy(side), blobs.address()).await?;
            buckets.insert(side, proxy);
        }
    }
    Ok((world, buckets))
}

/// Waits for both regions, writes the kubeconfig, and makes clients of it.
async fn clients(place: &Place) -> Result<BTreeMap<Side, kube::Client>, LabError> {
    let mut contexts = Vec::new();
    for side in Side::BOTH {
        let socket = cluster::socket(place, side);
        let start = Instant::now();
        let way = loop {
            match control::ask(&socket, &cluster::Request::Contexts).await {
                Ok(Answer::Context(way)) => break way,
                Err(error) if start.elapsed() > START_TIMEOUT => {
                    return Err(not_up(place, side.as_str(), error.to_string()));
                }
                _ => sleep(POLL_INTERVAL).await,
            }
        };
        contexts.push(way.context(place, side));
    }
    let path = place.kubeconfig();
    Kubeconfig { contexts }
        .write(&path)
        .map_err(|error| LabError::File {
            path: path.clone(),
            source: std::io::Error::other(error),
        })?;
    let mut clients = BTreeMap::new();
    for side in Side::BOTH {
        let made = client(&path, Some(context(side))).await;
        let made = made.map_err(|source| LabError::Client { side, source })?;
        clients.insert(side, made);
    }
    Ok(clients)
}

/// Waits until something listens there.
async fn listens(place: &Place, part: &str, address: std::net::SocketAddr) -> Result<(), LabError> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(address).await {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > START_TIMEOUT => {
                return Err(not_up(place, part, error.to_string()));
            }
            Err(_) => sleep(POLL_INTERVAL).await,
        }
    }
}

fn not_up(place: &Place, part: &str, problem: String) -> LabError {
    let log = place.logs().join(format!("{part}.log"));
    LabError::NotUp {
        part: part.to_owned(),
        seconds: START_TIMEOUT.as_secs(),
        problem,
        tail: log_tail(&log, 12),
        log,
    }
}
