//! A failover of ours: a lab of its own, `backstay watch` beside it, clients of the global name, and
//! the primary region killed.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use backstay_cluster::{Access, Region};
use backstay_lab::drill::traffic::Lookup;
use backstay_lab::place::{Claim, Place, context};
use backstay_lab::up::LabStatus;
use backstay_lab::workload::RunName;
use backstay_lab::workload::feed::Feed;
use backstay_lab::workload::ledger::Ledger;
use backstay_lab::workload::lines::Generator;
use backstay_lab::workload::sender::{Address, Senders, Sending};
use backstay_lab::workload::verdict::{Tally, judge};
use backstay_names::Names;
use backstay_pair::{Pair, Side};
use backstay_retry::{Deadline, Policy};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch::{Receiver, Sender, channel};

use super::{MIN_ACKNOWLEDGED, Run, until};
use crate::Failure;

const REPOSITORY: &str = "bench";
/// More than any run sends, and what is sent with one request.
const MAX_EVENTS: u64 = 200_000;
const BATCH_EVENTS: u64 = 10;
const SENDERS: usize = 4;
/// Events that may be on their way, and the time for each further batch.
const MAX_IN_FLIGHT_EVENTS: u64 = 200;
const BATCH_INTERVAL: Duration = Duration::from_millis(10);
/// Longest wait for an answer of a region's API, of which there is another try.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// Fails over once, and says how long what took.
pub(super) async fn fail_over(program: &Path, holdoff: u32, round: u32) -> Result<Run, Failure> {
    let lab = Lab::up(program).await?;
    let watch = Watch::start(&lab, holdoff).await?;
    watch.healthy().await?;
    let clients = Clients::start(&lab, round).await?;
    let sent = async || clients.ledger.acknowledged_events() > MIN_ACKNOWLEDGED;
    until("the first acknowledgements", sent).await?;
    tokio::time::sleep(super::offset(round)).await;

    let (killed, killed_ms) = (SystemTime::now(), clients.ledger.now_ms());
    lab.home.done(&["lab", "kill-region", "primary"]).await?;
    let acknowledged = clients.ledger.acknowledged_events();
    let (ack, search) = clients.served(&lab, acknowledged).await?;
    let after = |ms: u64| Duration::from_millis(ms.saturating_sub(killed_ms));
    let (began, timing) = watch.timing().await?;
    clients.check(&lab).await?;

    let phases: Vec<(String, Duration)> = timing["phases"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|phase| {
            let took = Duration::from_millis(phase["duration_ms"].as_u64()?);
            Some((phase["name"].as_str()?.to_owned(), took))
        })
        .collect();
    let phase = |name: &str| phases.iter().find(|it| it.0 == name).map(|it| it.1);
    // It was called down where the holdoff begins, and the wait that was asked for is no work of
    // ours; what the phase takes beyond that is.
    let began = SystemTime::from(began);
    let detection = began
        .duration_since(killed)
        .unwrap_or_default()
        .saturating_sub(phase("holdoff").unwrap_or_default())
        .saturating_add(Duration::from_secs(holdoff.into()));
    Ok(Run {
        ack: after(ack),
        search: after(search),
        detection,
        phases: phases
            .into_iter()
            .map(|(name, took)| (format!("the watch reports {name}"), took))
            .collect(),
    })
}

/// A lab that is up.
struct Lab {
    home: Home,
    status: LabStatus,
    pair: Pair,
}

/// Where a lab is. The lab is gone with this.
struct Home {
    program: PathBuf,
    place: Place,
    folder: TempDir,
    _claim: Claim,
}

impl Home {
    /// Runs a command of the lab to its end, and returns what it prints.
    async fn done(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = Command::new(&self.program)
            .args(arguments)
            .env("BACKSTAY_LAB_DIR", &self.place.folder)
            .stdin(Stdio::null())
            .output()
            .await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Failure::Failed(format!(
            "backstay {}: {}: {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // It may never have been up.
        let _ = std::process::Command::new(&self.program)
            .args(["lab", "down", "--purge"])
            .env("BACKSTAY_LAB_DIR", &self.place.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

impl Lab {
    async fn up(program: &Path) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let (place, claim) = Place::with_any_block(folder.path().join("lab"))?;
        let home = Home {
            program: program.to_owned(),
            place,
            folder,
            _claim: claim,
        };
        let net = format!("--net={}", home.place.block);
        let up = ["lab", "up", "--detach", "--folders", &net];
        home.done(&up).await?;
        let status = home.done(&["lab", "status", "--output", "json"]).await?;
        Ok(Self {
            status: serde_json::from_str(&status)?,
            pair: Pair::read(&home.place.pair(), std::env::vars_os())?,
            home,
        })
    }

    fn ingress(&self, side: Side) -> SocketAddr {
        let [http, _] = self.home.place.ingress_proxies(side);
        http
    }

    /// The admin token of a region's cluster, out of the secret that its operator makes.
    async fn admin_token(&self, side: Side, region: &Region) -> Result<String, Failure> {
        let name = format!("{}-admin-token", self.pair.region(side).cluster);
        let secret = region
            .secret(&name, Deadline::after(REQUEST_TIMEOUT))
            .await?;
        let value = secret.value("token").map(|it| it.expose_secret().to_vec());
        let token = String::from_utf8(value.unwrap_or_default())?;
        Ok(token.trim().to_owned())
    }

    async fn region(&self, side: Side) -> Result<Region, Failure> {
        let access = Access::Kubeconfig {
            path: Some(self.home.place.kubeconfig()),
            context: context(side).to_owned(),
        };
        Ok(Region::connect(&access, &self.pair.namespace, Policy::STANDARD).await?)
    }
}

/// A `backstay watch` of a lab. It ends with this.
struct Watch {
    _child: Child,
    listens: String,
    log: PathBuf,
}

impl Watch {
    async fn start(lab: &Lab, holdoff: u32) -> Result<Self, Failure> {
        let log = lab.home.folder.path().join("watch.log");
        let mut child = Command::new(&lab.home.program)
            .args(["watch", "--listen", "127.0.0.1:0", "--output", "json"])
            .args(["--log-format", "json"])
            .env("BACKSTAY_PAIR", lab.home.place.pair())
            .env("BACKSTAY_AZURE_TOKEN_FILE", lab.home.place.arm_token())
            .env("KUBECONFIG", lab.home.place.kubeconfig())
            .env("BACKSTAY_DNS", &lab.status.dns)
            .env("BACKSTAY_LOG", "info")
            .env(
                "BACKSTAY_PAIR__FAILOVER__PRE_FAILOVER_FAILURE_SECONDS",
                holdoff.to_string(),
            )
            .env("BACKSTAY_PAIR__FAILOVER__PROBE_INTERVAL_SECONDS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line).await?;
        }
        let told: Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(listens) = told["listen"].as_str() else {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(Failure::Failed(format!("backstay watch: {line}{log}")));
        };
        Ok(Self {
            listens: listens.to_owned(),
            _child: child,
            log,
        })
    }

    /// Waits until it has seen the primary answer, and the standby able.
    async fn healthy(&self) -> Result<(), Failure> {
        until("a watch that sees that all is well", async || {
            let Some(status) = super::http::json(&self.listens, "/status").await else {
                return false;
            };
            let list = |name: &str| status[name].as_array().map_or(0, Vec::len);
            let answers = status["observations"].to_string().contains("\"answers\"");
            status["state"] == "healthy" && answers && list("readiness_blockers") == 0
        })
        .await
    }

    /// When the run began by the wall clock, and the run's timing report, once it is done.
    async fn timing(&self) -> Result<(DateTime<Utc>, Value), Failure> {
        let (mut began, mut timing) = (None, None);
        until("the watch's timing report", async || {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            for line in log.lines() {
                let Ok(line) = serde_json::from_str::<Value>(line) else {
                    continue;
                };
                if line["message"] == "the failover begins" {
                    let at = line["timestamp"].as_str().unwrap_or_default();
                    began = DateTime::parse_from_rfc3339(at).ok();
                }
                if let Some(report) = line["timing"].as_str() {
                    timing = serde_json::from_str(report).ok();
                }
            }
            timing.is_some()
        })
        .await?;
        match (began, timing) {
            (Some(began), Some(timing)) => Ok((began.to_utc(), timing)),
            _ => Err(Failure::Failed(
                "the watch does not say when its run began".to_owned(),
            )),
        }
    }
}

/// Clients that send through the global name until it is acknowledged.
struct Clients {
    run: RunName,
    ledger: Arc<Ledger>,
    name: Receiver<Address>,
    senders: Senders,
    pacing: tokio::task::JoinHandle<()>,
    _lookup: Lookup,
}

impl Clients {
    async fn start(lab: &Lab, round: u32) -> Result<Self, Failure> {
        let names = Names::of(lab.status.dns.parse()?)?;
        let port = lab.ingress(Side::Primary).port();
        let base = format!("http://{}:{port}/", lab.pair.global_host);
        let ingresses: [(Side, IpAddr); 2] = Side::BOTH.map(|side| (side, lab.ingress(side).ip()));
        let (lookup, name) = Lookup::start(&names, &base, ingresses)?;
        let admin = lab
            .admin_token(Side::Primary, &lab.region(Side::Primary).await?)
            .await?;
        let primary = name.borrow().node.clone();
        primary.create_repository(&admin, REPOSITORY).await?;
        let token = primary
            .create_ingest_token(&admin, REPOSITORY, "bench")
            .await?;
        let run = RunName::new(u64::from(round), Utc::now().timestamp_millis());
        let ledger = Arc::new(Ledger::new(Instant::now(), MAX_EVENTS, BATCH_EVENTS));
        let lines = Generator::new(u64::from(round), Utc::now()).map(Ok);
        let (allow, allowed) = channel(0);
        let sending = Sending {
            run: run.clone(),
            token: token.into(),
            feed: Feed::new(run.clone(), ledger.clone(), lines),
            ledger: ledger.clone(),
            name: name.clone(),
            allowed,
        };
        Ok(Self {
            run,
            senders: Senders::start(SENDERS, &sending),
            pacing: tokio::spawn(pace(ledger.clone(), allow)),
            ledger,
            name,
            _lookup: lookup,
        })
    }

    /// Waits for the secondary's first acknowledgement, and for the first search there that finds
    /// as many events as had been acknowledged; says when they were.
    async fn served(&self, lab: &Lab, acknowledged: u64) -> Result<(u64, u64), Failure> {
        let secondary = lab.region(Side::Secondary).await?;
        let (mut admin, mut searched) = (None, None);
        until("service by the secondary", async || {
            if admin.is_none() {
                admin = lab.admin_token(Side::Secondary, &secondary).await.ok();
            }
            let address = self.name.borrow().clone();
            if let (None, Some(admin), Side::Secondary) = (searched, &admin, address.side) {
                let found = address.node.count(admin, REPOSITORY).await;
                if found.is_ok_and(|found| found >= acknowledged) {
                    searched = Some(self.ledger.now_ms());
                }
            }
            searched.is_some() && self.ledger.first_ack_ms(Side::Secondary).is_some()
        })
        .await?;
        let ack = self.ledger.first_ack_ms(Side::Secondary);
        Ok((ack.unwrap_or_default(), searched.unwrap_or_default()))
    }

    /// Stops sending, and checks that all that was acknowledged is there, each event once.
    async fn check(mut self, lab: &Lab) -> Result<(), Failure> {
        // One that gave up has met an answer that no client should get.
        self.senders.finished()?;
        self.pacing.abort();
        drop(self.senders);
        let admin = lab
            .admin_token(Side::Secondary, &lab.region(Side::Secondary).await?)
            .await?;
        let node = self.name.borrow().node.clone();
        let mut tally = Tally::new(&self.ledger);
        let rows = node.query(&admin, REPOSITORY, "*").await?;
        tally.take(&self.run, &self.ledger, rows, &|_| {}).await?;
        let verdict = judge(&self.run, &self.ledger, &tally);
        if verdict.holds() {
            return Ok(());
        }
        Err(Failure::Failed(format!(
            "{} of {} acknowledged events are lost, {} are there twice, {} were never sent: {}",
            verdict.lost,
            verdict.acknowledged,
            verdict.duplicated,
            verdict.phantom,
            verdict.examples.join(", "),
        )))
    }
}

/// Lets senders send at a steady pace, and stops them while nothing is acknowledged.
async fn pace(ledger: Arc<Ledger>, allow: Sender<u64>) {
    loop {
        let most = (ledger.acknowledged_events() + MAX_IN_FLIGHT_EVENTS).min(MAX_EVENTS);
        allow.send_modify(|allowed| *allowed = (*allowed + BATCH_EVENTS).min(most));
        tokio::time::sleep(BATCH_INTERVAL).await;
    }
}
