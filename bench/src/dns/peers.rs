//! The three servers, each with a configuration that means the same.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::endpoint::{FIRST, SECOND};
use crate::Failure;
use crate::process::find;

/// What is asked for.
pub(super) const NAME: &str = "logs.tm.test";
/// Seconds between probes: the least that gdnsd allows.
const PROBE_INTERVAL_SECONDS: u32 = 2;
const ZONE: &str = "@ 300 IN SOA ns1 hostmaster 1 900 300 604800 30\n\
                    @ 300 IN NS ns1\n\
                    ns1 300 IN A 127.0.0.1\n";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Backstay,
    Gdnsd,
    PowerDns,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Backstay => "backstay",
            Self::Gdnsd => "gdnsd",
            Self::PowerDns => "pdns",
        }
    }
}

/// A running server; it ends with this.
pub(super) struct Server {
    kind: Kind,
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Server {
    /// Starts one on its core, with its files in this folder.
    pub(super) fn start(
        kind: Kind,
        folder: &Path,
        endpoints: u16,
        core: u32,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(folder)?;
        let port = free_port()?;
        let arm = free_port()?;
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string()]);
        match kind {
            Kind::Backstay => backstay(&mut command, folder, port, arm)?,
            Kind::Gdnsd => gdnsd(&mut command, folder, port, endpoints)?,
            Kind::PowerDns => powerdns(&mut command, folder, port, endpoints)?,
        }
        let log = folder.join("log");
        let file = fs::File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        let server = Self {
            kind,
            child,
            port,
            log,
        };
        if kind == Kind::Backstay {
            profile(folder, arm, endpoints)?;
        }
        Ok(server)
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until the name points there and both endpoints have been looked at.
    pub(super) async fn until(&self, wanted: Ipv4Addr) -> Result<(), Failure> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let begun = Instant::now();
        while self.ask(&socket)? != Some(wanted) {
            if begun.elapsed() > Duration::from_secs(60) {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(Failure::Failed(format!(
                    "{} does not answer; its log: {log}",
                    self.kind.name()
                )));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_secs(2 * u64::from(PROBE_INTERVAL_SECONDS))).await;
        Ok(())
    }

    /// The address that the name has; none if there is no answer.
    pub(super) fn ask(&self, socket: &UdpSocket) -> io::Result<Option<Ipv4Addr>> {
        let mut query = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in NAME.split('.') {
            query.push(u8::try_from(label.len()).unwrap_or(0));
            query.extend(label.bytes());
        }
        query.extend([0, 0, 1, 0, 1]);
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        // Before the server listens, this is refused.
        if socket.send_to(&query, ("127.0.0.1", self.port)).is_err() {
            return Ok(None);
        }
        let mut answer = [0; 512];
        let Ok(length) = socket.recv(&mut answer) else {
            return Ok(None);
        };
        // The one record's data is the message's end; none of the three adds anything behind it.
        let answered = answer.get(6..8) == Some(&[0, 1]);
        let data = answer.get(..length).and_then(|it| it.last_chunk::<4>());
        Ok(data.filter(|_| answered).map(|it| Ipv4Addr::from(*it)))
    }

    /// Processor time that the server has used.
    pub(super) fn processor_time(&self) -> Result<Duration, Failure> {
        // taskset becomes the server, so the id is the same.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Behind the program's name in parentheses: utime and stime are the 12th and 13th.
        let rest = stat.rsplit_once(')').map(|(_, rest)| rest);
        let fields: Vec<&str> = rest.unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|it| it.parse::<u64>().ok());
        match (ticks(11), ticks(12)) {
            // USER_HZ is 100 on Linux, whatever the kernel's own clock.
            (Some(user), Some(system)) => Ok(Duration::from_millis((user + system) * 10)),
            _ => Err(Failure::Failed("cannot read /proc/<id>/stat".to_owned())),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(name: &str) -> Result<PathBuf, Failure> {
    find(name).ok_or_else(|| Failure::Missing(format!("{name} is not on this machine")))
}

fn backstay(command: &mut Command, folder: &Path, port: u16, arm: u16) -> Result<(), Failure> {
    let backstay = std::env::current_exe()?.with_file_name("backstay");
    if !backstay.is_file() {
        return Err(Failure::Missing(format!(
            "there is no {}; build it with `cargo build --release -p backstay-cli`",
            backstay.display()
        )));
    }
    command
        .arg(backstay)
        .args(["traffic", "--dns", &format!("127.0.0.1:{port}")])
        // The limit is on, but above anything that dnsperf can do.
        .args(["--dns-workers", "1", "--dns-rate", "100000000"])
        .args(["--arm", &format!("127.0.0.1:{arm}")])
        .args(["--observe", "127.0.0.1:0", "--zone", "tm.test"])
        .args(["--vantage-points", "a", "--any-interval"])
        .arg("--state")
        .arg(folder.join("state.json"))
        .arg("--token-file")
        .arg(folder.join("token"));
    Ok(())
}

/// Makes the profile through the API.
fn profile(folder: &Path, arm: u16, endpoints: u16) -> Result<(), Failure> {
    let endpoint = |name: &str, target: Ipv4Addr, priority: u32| json!({ "name": name, "properties": { "target": target.to_string(), "priority": priority } });
    let body = json!({
        "location": "global",
        "properties": {
            "trafficRoutingMethod": "Priority",
            "dnsConfig": { "relativeName": "logs", "ttl": 5 },
            "monitorConfig": {
                "protocol": "HTTP", "port": endpoints, "path": "/api/v1/status",
                "intervalInSeconds": PROBE_INTERVAL_SECONDS, "timeoutInSeconds": 1, "toleratedNumberOfFailures": 0,
            },
            "endpoints": [endpoint("primary", FIRST, 1), endpoint("secondary", SECOND, 2)],
        },
    })
    .to_string();
    let begun = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", arm)) {
            Ok(stream) => break stream,
            Err(error) if begun.elapsed() > Duration::from_secs(30) => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let token = fs::read_to_string(folder.join("token"))?;
    let path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/trafficManagerProfiles/p?api-version=2022-04-01";
    write!(
        stream,
        "PUT {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        token.trim(),
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 201") {
        Ok(())
    } else {
        Err(Failure::Failed(format!(
            "backstay took no profile: {answer}"
        )))
    }
}

fn gdnsd(command: &mut Command, folder: &Path, port: u16, endpoints: u16) -> Result<(), Failure> {
    let at = |name: &str| folder.join(name).display().to_string();
    fs::create_dir_all(folder.join("zones"))?;
    fs::write(
        folder.join("config"),
        format!(
            "options => {{ listen => {{ 127.0.0.1:{port} => {{ udp_threads = 1, tcp_threads = 1 }} }}, \
             run_dir => \"{}\", state_dir => \"{}\" }}\n\
             service_types => {{ web => {{ plugin => http_status, port => {endpoints}, \
             url_path => /api/v1/status, interval => {PROBE_INTERVAL_SECONDS}, timeout => 1, \
             up_thresh => 1, ok_thresh => 1, down_thresh => 1 }} }}\n\
             plugins => {{ simplefo => {{ logs => {{ service_types => [web], \
             primary => {FIRST}, secondary => {SECOND} }} }} }}\n",
            at("run"),
            at("state"),
        ),
    )?;
    let zone = ZONE.replace(" IN ", " ");
    fs::write(
        folder.join("zones/tm.test"),
        format!("{zone}logs 5 DYNA simplefo!logs\n"),
    )?;
    command
        .arg(program("gdnsd")?)
        .arg("-c")
        .arg(folder)
        .arg("start");
    Ok(())
}

fn powerdns(
    command: &mut Command,
    folder: &Path,
    port: u16,
    endpoints: u16,
) -> Result<(), Failure> {
    let shown = folder.display();
    fs::write(
        folder.join("pdns.conf"),
        format!(
            "launch=bind\nbind-config={shown}/named.conf\nlocal-address=127.0.0.1\n\
             local-port={port}\nenable-lua-records=yes\nlua-health-checks-interval={PROBE_INTERVAL_SECONDS}\n\
             socket-dir={shown}\nreceiver-threads=1\ndistributor-threads=1\n"
        ),
    )?;
    fs::write(
        folder.join("named.conf"),
        format!(
            "options {{ directory \"{shown}\"; }};\n\
             zone \"tm.test\" {{ type master; file \"tm.test.zone\"; }};\n"
        ),
    )?;
    fs::write(
        folder.join("tm.test.zone"),
        format!(
            "$ORIGIN tm.test.\n{ZONE}logs 5 IN LUA A \"ifurlup('http://tm.test:{endpoints}/api/v1/status', \
             {{{{'{FIRST}'}},{{'{SECOND}'}}}}, {{timeout=1}})\"\n"
        ),
    )?;
    command
        .arg(program("pdns_server")?)
        .arg(format!("--config-dir={shown}"));
    Ok(())
}

fn free_port() -> io::Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}
