//! A failover of the peer: two PostgreSQL nodes under Patroni, one etcd, replication that is
//! synchronous, as nothing that was acknowledged may be lost with us either; and Patroni and
//! PostgreSQL of the leader killed.
//!
//! Patroni's times are the least that its documentation allows, `loop_wait` 1 (at least 1),
//! `retry_timeout` 3 (at least 3), `ttl` 20 (at least 20, and `loop_wait + 2 * retry_timeout <=
//! ttl`): <https://patroni.readthedocs.io/en/latest/dynamic_configuration.html>. The leader's key in
//! etcd ends a `ttl` after it was last renewed; until then nobody else may lead. So it is called
//! down when the key is gone, which etcd is asked to tell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chrono::NaiveDateTime;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::http::{self, send};
use super::{MIN_ACKNOWLEDGED, Run, until};
use crate::process::find;
use crate::{Failure, note};

/// The times, in seconds.
pub(super) const TTL: u32 = 20;
pub(super) const LOOP_WAIT: u32 = 1;
pub(super) const RETRY_TIMEOUT: u32 = 3;
/// The leader's key, in etcd, in base64: `/service/bench/leader`.
const LEADER_KEY: &str = "L3NlcnZpY2UvYmVuY2gvbGVhZGVy";
const CLIENT: &str = include_str!("client.py");
/// Debian's Python: that of the path may be another, without Debian's modules.
const PYTHON: &str = "/usr/bin/python3";
/// PostgreSQL does not run as root; Debian makes it this user.
const USER: &str = "postgres";
/// What Patroni says when it begins to make its node the leader.
const PROMOTES: &str = "promoted self to leader";

/// The programs of the peer.
pub(super) struct Programs {
    patroni: PathBuf,
    etcd: PathBuf,
    /// The folder of PostgreSQL's.
    postgres: PathBuf,
}

impl Programs {
    /// Where they are; nothing, where one is missing, which is said.
    pub(super) fn find() -> Option<Self> {
        let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .map(|it| it.path().join("bin"))
            .filter(|it| it.join("initdb").is_file())
            .collect();
        versions.sort();
        let modules = std::process::Command::new(PYTHON)
            .args(["-c", "import psycopg2"])
            .stderr(Stdio::null())
            .status();
        let found = (find("patroni"), find("etcd"), versions.pop());
        match found {
            (Some(patroni), Some(etcd), Some(postgres)) if modules.is_ok_and(|it| it.success()) => {
                Some(Self {
                    patroni,
                    etcd,
                    postgres,
                })
            }
            _ => {
                note(
                    "Patroni is not on this machine (apt-get install patroni postgresql \
                     etcd-server); only Backstay is measured",
                );
                None
            }
        }
    }

    /// What they are, with their versions.
    pub(super) fn versions(&self) -> String {
        let postgres = self.postgres.join("postgres");
        let said = [&self.patroni, &postgres, &self.etcd].into_iter();
        let said = said.filter_map(|program| {
            let output = std::process::Command::new(program)
                .arg("--version")
                .output()
                .ok()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().next().map(str::to_owned)
        });
        said.collect::<Vec<_>>().join(", ")
    }
}

/// Fails over once, and says how long what took.
pub(super) async fn fail_over(programs: &Programs, round: u32) -> Result<Run, Failure> {
    let cluster = Cluster::start(programs).await?;
    let [leader, standby] = &cluster.nodes;
    let client = Client::start(cluster.folder.path(), [leader.port, standby.port])?;
    let sent = async || client.seen().acknowledged > MIN_ACKNOWLEDGED;
    until("the first commits", sent).await?;
    tokio::time::sleep(super::offset(round)).await;
    let gone = cluster.leader_gone().await?;

    let (killed, killed_at) = (Instant::now(), SystemTime::now());
    leader.kill();
    until("service by the other node", async || {
        client.seen().found.is_some()
    })
    .await?;
    let seen = client.seen();
    let (Some(ack), Some((search, count))) = (seen.first, seen.found) else {
        return Err(Failure::Failed("the client found nothing".to_owned()));
    };
    if count < seen.acknowledged {
        return Err(Failure::Failed(format!(
            "{} rows were committed before the kill, {count} are found",
            seen.acknowledged
        )));
    }
    let gone = gone.await??;
    let detection = gone.saturating_duration_since(killed);
    let mut phases = Vec::new();
    if let Some(promotes) = standby.promotes(killed_at) {
        let election = promotes.saturating_sub(detection);
        let rest = ack.duration_since(killed).saturating_sub(promotes);
        phases.push(("called down to promotion".to_owned(), election));
        phases.push(("promotion to first acknowledgement".to_owned(), rest));
    }
    Ok(Run {
        ack: ack.duration_since(killed),
        search: search.duration_since(killed),
        detection,
        phases,
    })
}

/// etcd and two nodes, the first of which leads. All of it is gone with this.
struct Cluster {
    nodes: [Node; 2],
    etcd: Etcd,
    folder: TempDir,
}

struct Etcd {
    address: String,
    _child: Child,
}

struct Node {
    child: Child,
    data: PathBuf,
    port: u16,
    rest: String,
    log: PathBuf,
}

impl Cluster {
    async fn start(programs: &Programs) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let work = folder.path().join("work");
        fs::create_dir(&work)?;
        // Root's own folders are closed to the user that PostgreSQL runs as.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        if is_root()? {
            let status = Command::new("chown").arg(USER).arg(&work).status().await?;
            if !status.success() {
                return Err(Failure::Missing(format!("there is no user {USER}")));
            }
        }
        let etcd = Etcd::start(programs, &work).await?;
        let first = Node::start(programs, &work, "a", &etcd)?;
        first.until_one_is(&["leader"]).await?;
        let second = Node::start(programs, &work, "b", &etcd)?;
        let cluster = Self {
            nodes: [first, second],
            etcd,
            folder,
        };
        let [first, _] = &cluster.nodes;
        first.until_one_is(&["leader", "sync_standby"]).await?;
        Ok(cluster)
    }

    /// Waits, besides everything else, until the leader's key is gone.
    async fn leader_gone(
        &self,
    ) -> Result<tokio::task::JoinHandle<Result<Instant, Failure>>, Failure> {
        let watched = json!({ "create_request": { "key": LEADER_KEY } }).to_string();
        let mut stream = send(&self.etcd.address, "POST /v3/watch", &watched).await?;
        Ok(tokio::spawn(async move {
            let (mut told, mut piece) = (String::new(), [0; 4096]);
            loop {
                let length = stream.read(&mut piece).await?;
                if length == 0 {
                    return Err(Failure::Failed(format!("etcd ended a watch: {told}")));
                }
                told.push_str(&String::from_utf8_lossy(&piece[..length]));
                if told.contains("\"DELETE\"") {
                    return Ok(Instant::now());
                }
            }
        }))
    }
}

impl Etcd {
    async fn start(programs: &Programs, work: &Path) -> Result<Self, Failure> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let (here, peer) = (
            format!("http://{address}"),
            format!("http://127.0.0.1:{}", free_port()?),
        );
        let child = command(&programs.etcd, &work.join("etcd.log"))?
            .args(["--name", "etcd", "--data-dir"])
            .arg(work.join("etcd"))
            .args(["--listen-client-urls", &here])
            .args(["--advertise-client-urls", &here])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("etcd={peer}")])
            .spawn()?;
        until("etcd", async || {
            let health = http::json(&address, "/health").await;
            health.is_some_and(|it| it["health"] == "true")
        })
        .await?;
        Ok(Self {
            address,
            _child: child,
        })
    }
}

impl Node {
    fn start(programs: &Programs, work: &Path, name: &str, etcd: &Etcd) -> Result<Self, Failure> {
        let data = work.join(name);
        let (port, rest) = (free_port()?, format!("127.0.0.1:{}", free_port()?));
        let here = format!("127.0.0.1:{port}");
        // JSON is YAML.
        let config = json!({
            "scope": "bench",
            "name": name,
            "restapi": { "listen": rest, "connect_address": rest },
            "etcd3": { "host": etcd.address },
            "bootstrap": {
                "dcs": {
                    "ttl": TTL,
                    "loop_wait": LOOP_WAIT,
                    "retry_timeout": RETRY_TIMEOUT,
                    "synchronous_mode": true,
                },
                "initdb": [{ "encoding": "UTF8" }, "data-checksums"],
            },
            "postgresql": {
                "listen": here,
                "connect_address": here,
                "data_dir": data,
                "bin_dir": programs.postgres,
                "pgpass": work.join(format!("{name}.pgpass")),
                "authentication": {
                    "superuser": { "username": "postgres" },
                    "replication": { "username": "replicator" },
                },
                "pg_hba": [
                    "host all all 127.0.0.1/32 trust",
                    "host replication all 127.0.0.1/32 trust",
                ],
                "parameters": {
                    "unix_socket_directories": work,
                    // What is killed cannot take its shared memory away; here it goes with the folder.
                    "dynamic_shared_memory_type": "mmap",
                },
            },
            "watchdog": { "mode": "off" },
        });
        let file = work.join(format!("{name}.yml"));
        fs::write(&file, config.to_string())?;
        let log = work.join(format!("{name}.log"));
        let child = command(&programs.patroni, &log)?
            .arg(&file)
            .current_dir(work)
            .env("TZ", "UTC")
            .spawn()?;
        Ok(Self {
            child,
            data,
            port,
            rest,
            log,
        })
    }

    /// Waits until, for each of these roles, a node that runs has it.
    async fn until_one_is(&self, roles: &[&str]) -> Result<(), Failure> {
        let all = async || {
            let cluster = http::json(&self.rest, "/cluster").await.unwrap_or_default();
            let members = cluster["members"].as_array().cloned().unwrap_or_default();
            roles.iter().all(|role| {
                let is = |it: &Value| {
                    it["role"] == *role
                        && ["running", "streaming"]
                            .map(Value::from)
                            .contains(&it["state"])
                };
                members.iter().any(is)
            })
        };
        let what = format!("{} of Patroni", roles.join(" and "));
        until(&what, all).await.map_err(|failure| match failure {
            Failure::Failed(why) => {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                Failure::Failed(format!("{why}; its log: {log}"))
            }
            other => other,
        })
    }

    /// Patroni and PostgreSQL of this node, with all their children.
    fn processes(&self) -> BTreeSet<i32> {
        let pid = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let postmaster = pid.lines().next().and_then(|it| it.trim().parse().ok());
        let patroni = self.child.id().and_then(|it| i32::try_from(it).ok());
        let mut family: BTreeSet<i32> = postmaster.into_iter().chain(patroni).collect();
        let parents = parents();
        loop {
            let more: Vec<i32> = parents
                .iter()
                .filter(|(pid, parent)| family.contains(parent) && !family.contains(pid))
                .map(|(pid, _)| *pid)
                .collect();
            if more.is_empty() {
                return family;
            }
            family.extend(more);
        }
    }

    /// SIGKILL to all of it.
    fn kill(&self) {
        for pid in self.processes() {
            // It may have ended with its parent.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// How long after a moment it began to become the leader, by its log.
    fn promotes(&self, since: SystemTime) -> Option<Duration> {
        let log = fs::read_to_string(&self.log).ok()?;
        let line = log.lines().find(|it| it.contains(PROMOTES))?;
        let at = line.get(..23)?;
        let at = NaiveDateTime::parse_from_str(at, "%Y-%m-%d %H:%M:%S,%3f").ok()?;
        SystemTime::from(at.and_utc()).duration_since(since).ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The last line but two of what a postmaster writes down: the key and the id of its segment.
        let written = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        self.kill();
        let id = written
            .lines()
            .nth(6)
            .and_then(|it| it.split_whitespace().nth(1));
        if let Some(id) = id {
            // A few bytes of shared memory, which outlive who is killed.
            let _ = std::process::Command::new("ipcrm")
                .args(["-m", id])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// What a client has seen.
#[derive(Clone, Default)]
struct Seen {
    /// Rows that the first leader has committed.
    acknowledged: u64,
    /// When the other node first committed one.
    first: Option<Instant>,
    /// When it first found everything, and how many rows that was.
    found: Option<(Instant, u64)>,
}

/// A client that knows both nodes. It ends with this.
struct Client {
    seen: Arc<Mutex<Seen>>,
    _child: Child,
}

impl Client {
    /// The first of the ports is the leader's.
    fn start(folder: &Path, ports: [u16; 2]) -> Result<Self, Failure> {
        let [leader, standby] = ports;
        let script = folder.join("client.py");
        fs::write(&script, CLIENT)?;
        let nodes = format!(
            "host=127.0.0.1,127.0.0.1 port={leader},{standby} user=postgres dbname=postgres \
             target_session_attrs=read-write connect_timeout=2"
        );
        let mut child = Command::new(PYTHON)
            .arg(script)
            .arg(nodes)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        if let Some(out) = child.stdout.take() {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut lines = BufReader::new(out).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let now = Instant::now();
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    let mut words = line.split(' ');
                    let what = words.next().unwrap_or_default();
                    let port = words.next().and_then(|it| it.parse().ok());
                    let number = words.next().and_then(|it| it.parse().ok());
                    match (what, port == Some(leader), number) {
                        ("ack", true, _) => seen.acknowledged += 1,
                        ("ack", false, _) => seen.first = seen.first.or(Some(now)),
                        ("found", false, Some(count)) => seen.found = Some((now, count)),
                        _ => {}
                    }
                }
            });
        }
        Ok(Self {
            seen,
            _child: child,
        })
    }

    fn seen(&self) -> Seen {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

fn is_root() -> Result<bool, Failure> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

/// A program of the peer as a user that it accepts, with a log.
fn command(program: &Path, log: &Path) -> Result<Command, Failure> {
    let mut command = if is_root()? {
        // It becomes the program, so the id is the same.
        let mut command = Command::new("setpriv");
        let group = format!("--regid={USER}");
        command
            .args([&format!("--reuid={USER}"), &group, "--clear-groups", "--"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    let file = fs::File::create(log)?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .kill_on_drop(true);
    Ok(command)
}

/// Every process, and its parent.
fn parents() -> BTreeMap<i32, i32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // Behind the name in parentheses: the state, then the parent.
        let (_, rest) = stat.rsplit_once(") ")?;
        Some((pid, rest.split(' ').nth(1)?.parse().ok()?))
    })
    .collect()
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
