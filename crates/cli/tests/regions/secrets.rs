//! No key and no token is where somebody who may not have it could see it: not in a log, on a
//! command line, in what a node shows or writes down, nor in what a drill tells.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use backstay_lab::region::{Azurite, Region};
use backstay_lab::supervisor::{NodeProcess, NodeSpec};

use crate::world::{
    Clients, WAIT_TIMEOUT, World, get, ready, recovering, set_up, until_metric, with,
};

const WRONG: &str = "aHVzaDogdGhlIGtleSBvZiBhbm90aGVyIGFjY291bnQsIHdoaWNoIG5vYm9keSBtYXkgc2VlLg==";

/// What must not be seen, and where it was looked for.
struct Search {
    secrets: BTreeSet<String>,
    places: usize,
}

impl Search {
    fn look(&mut self, place: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for secret in &self.secrets {
            assert!(!text.contains(secret.as_str()), "{place} has {secret}");
        }
        self.places += 1;
    }
}

fn secrets_in<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeSet<String> {
    variables
        .into_iter()
        .filter(|(name, _)| name.ends_with("_ENCRYPTION_KEY") || name.ends_with("_ACCOUNTKEY"))
        .map(|(_, value)| value.to_owned())
        .collect()
}

async fn look_at(search: &mut Search, node: &NodeProcess) {
    let process = format!("/proc/{}/cmdline", node.pid().unwrap());
    search.look("the command line", &std::fs::read(process).unwrap());
    for path in ["metrics", "api/v1/config", "api/v1/status?deep=1", ""] {
        let (code, body) = get(node, path).await;
        assert_eq!(code, 200, "{path}: {body}");
        search.look(path, body.as_bytes());
    }
    let admin = node.admin_token().unwrap();
    let query = "{ repositories { name } meta { version } }";
    let asked = node.client().graphql(&admin, query, serde_json::json!({}));
    search.look("graphql", format!("{:?}", asked.await).as_bytes());
}

fn look_into_files(search: &mut Search, node: &NodeSpec) {
    let log = std::fs::read(&node.log_file).unwrap();
    assert!(!log.is_empty());
    search.look("the log", &log);
    let mut folders = vec![node.data_dir.clone()];
    let mut mirrored = false;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("admin-token.txt") {
                mirrored |= path.ends_with("global-data-snapshot.json");
                let bytes = std::fs::read(&path).unwrap();
                search.look(&path.display().to_string(), &bytes);
            }
        }
    }
    assert!(mirrored, "there is no global-data-snapshot.json");
}

/// Everything in a bucket, decrypted and unpacked.
async fn look_into_bucket(search: &mut Search, region: &Region) {
    let bucket = region.open().await.unwrap();
    let keys = region.keys("").await.unwrap();
    for kind in ["globalsnapshots/", "journal/global/", "segments/"] {
        assert!(keys.iter().any(|key| key.starts_with(kind)), "no {kind}");
    }
    for key in keys {
        // Made for it, and for nodes alone: only as it is stored it must show nothing.
        if key.starts_with("credentials/") {
            continue;
        }
        // Trimmed or replaced meanwhile.
        let Ok(plain) = bucket.get(&key).await else {
            continue;
        };
        let place = format!("{key} of {}", region.name());
        search.look(&place, &plain);
        if let Ok(unpacked) = zstd::decode_all(&plain[..]) {
            search.look(&place, &unpacked);
        }
    }
}

async fn nothing_shows_a_secret(mut world: World) {
    let (east, west) = (world.region("east").await, world.region("west").await);
    let telling = |node: &NodeSpec| with(node, "BACKSTAY_LOG", "debug");
    let primary = telling(&world.node("primary", east.own()));
    let standby = telling(&world.node("standby", recovering(&east, &west)));
    let variables = primary.env.iter().chain(&standby.env);
    let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
    let mut search = Search {
        secrets: secrets_in(variables),
        places: 0,
    };
    search.secrets.insert(WRONG.to_owned());
    let mut node = ready(&primary).await;
    let token = set_up(&node).await;
    search.secrets.insert(token.clone());
    search.secrets.insert(node.admin_token().unwrap());
    let mut clients = Clients::start(&[&node], &token).await;
    until_metric(&node, "segments", |segments| segments >= 2).await;
    until_metric(&node, "snapshots_total", |snapshots| snapshots >= 2).await;
    look_at(&mut search, &node).await;
    node.kill().await.unwrap();
    let wrong = match standby.env.get("AZURE_RECOVER_FROM_BUCKET") {
        Some(_) => with(&standby, "AZURE_RECOVER_FROM_ACCOUNTKEY", WRONG),
        None => with(&standby, "LOCAL_RECOVER_FROM_ENCRYPTION_KEY", WRONG),
    };
    let mut refused = NodeProcess::start(&wrong).unwrap();
    let ended = tokio::time::timeout(WAIT_TIMEOUT, refused.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(1));
    let mut node = ready(&standby).await;
    search.secrets.insert(node.admin_token().unwrap());
    clients.know(&[&node]);
    clients.flow(200).await;
    clients.pause().await;
    clients.all_found(&node).await;
    until_metric(&node, "snapshots_total", |snapshots| snapshots >= 2).await;
    look_at(&mut search, &node).await;
    node.kill().await.unwrap();
    // Two encryption keys, the wrong key, two admin tokens, the ingest token, at least.
    assert!(search.secrets.len() >= 6);
    assert!(search.secrets.iter().all(|secret| secret.len() >= 16));
    for spec in [&primary, &standby] {
        look_into_files(&mut search, spec);
    }
    for region in [&east, &west] {
        look_into_bucket(&mut search, region).await;
    }
    assert!(search.places > 50, "only {} places", search.places);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_shows_a_secret() {
    nothing_shows_a_secret(World::folders()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_in_azurite_shows_a_secret() {
    if let Some(world) = World::azurite() {
        nothing_shows_a_secret(world).await;
    }
}

/// All processes of the lab of a drill whose temporary files are here.
fn of_the_lab(work: &Path) -> Vec<std::path::PathBuf> {
    let drills = std::fs::read_dir(work).into_iter().flatten().flatten();
    let labs = drills.filter_map(|drill| drill.path().join("lab").canonicalize().ok());
    let processes = labs.flat_map(|lab| backstay_lab::up::sweep::processes(&lab));
    processes
        .map(|pid| Path::new("/proc").join(pid.to_string()))
        .collect()
}

/// What a drill gives its nodes is read where only its own user can: their environment.
#[test]
fn a_drill_shows_no_secret() {
    let azurite = Azurite::for_tests().unwrap();
    let work = tempfile::tempdir().unwrap();
    let page = work.path().join("report.html");
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
    command
        .args(["drill", "--output", "json", "--events", "3000", "--report"])
        .arg(&page)
        .env("TMPDIR", work.path())
        .env("BACKSTAY_LOG", "debug")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(azurite) = &azurite {
        command.args(["--azurite", azurite.url()]);
    }
    let drill = command.spawn().unwrap();
    let output = std::thread::spawn(move || drill.wait_with_output().unwrap());
    let mut search = Search {
        secrets: BTreeSet::new(),
        places: 0,
    };
    let mut lines = BTreeSet::new();
    while !output.is_finished() {
        for process in of_the_lab(work.path()) {
            let Ok(environment) = std::fs::read(process.join("environ")) else {
                continue;
            };
            let environment = String::from_utf8_lossy(&environment).into_owned();
            let variables: Vec<(&str, &str)> = environment
                .split('\0')
                .filter_map(|variable| variable.split_once('='))
                .collect();
            search.secrets.extend(secrets_in(variables.iter().copied()));
            let file = variables
                .iter()
                .find(|(name, _)| *name == "BACKSTAY_ADMIN_TOKEN_FILE");
            if let Some((_, file)) = file
                && let Ok(token) = std::fs::read_to_string(file)
                && !token.trim().is_empty()
            {
                search.secrets.insert(token.trim().to_owned());
            }
            lines.extend(std::fs::read(process.join("cmdline")).ok());
        }
        // Each look goes through all processes of this machine.
        std::thread::sleep(Duration::from_millis(100));
    }
    let output = output.join().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    // Two encryption keys and two admin tokens; and Azurite's key.
    let secrets = 4 + usize::from(azurite.is_some());
    assert!(search.secrets.len() >= secrets, "{}", search.secrets.len());
    for line in &lines {
        search.look("a command line", line);
    }
    search.look("the output", &output.stdout);
    search.look("the log", &output.stderr);
    search.look("the report", &std::fs::read(&page).unwrap());
}
