//! DNS: queries a second on one core, and how soon a failed probe becomes another answer,
//! compared with two servers that also check the health of what they answer.
//!
//! The peers are `gdnsd` (monitor `http_status`, plugin `simplefo`) and the PowerDNS Authoritative
//! Server (`ifurlup` in LUA records, bind backend), as Debian has them. All three answer the same
//! name with the first healthy of two addresses, look at them every two seconds (the least that
//! gdnsd allows), and hold one failure for death. Each runs alone, on one core with one UDP thread;
//! the load, `dnsperf`, is on another. They are measured in turn; the medians count.
//!
//! *A core's queries a second* is how many queries are answered for each second of processor time
//! that the server used: where the load's own core is the limit, the rate that is achieved says
//! more about `dnsperf`. *Detection to answer* is the time from the moment at which the endpoint
//! has answered a probe with 503 until the name points to the other one.

mod endpoint;
mod peers;

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::measure::median;
use crate::process::find;
use crate::table::{Ratio, Report, Row};
use crate::{Failure, note};
use endpoint::Endpoints;
use peers::{Kind, Server};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds of load in each round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// How often each server is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The server's core.
    #[arg(long, default_value_t = 0)]
    server_core: u32,
    /// The load's core.
    #[arg(long, default_value_t = 1)]
    load_core: u32,
}

/// What was measured of one server.
#[derive(Default)]
struct Figures {
    /// Queries a second that were answered.
    rates: Vec<f64>,
    /// Processor time for a million queries.
    costs: Vec<Duration>,
    /// From a failed probe to the other answer.
    detections: Vec<Duration>,
}

pub(crate) async fn run(options: &Options) -> Result<Report, Failure> {
    for (program, package) in [
        ("dnsperf", "dnsperf"),
        ("taskset", "util-linux"),
        ("gdnsd", "gdnsd"),
        ("pdns_server", "pdns-server and pdns-backend-bind"),
    ] {
        if find(program).is_none() {
            return Err(Failure::Missing(format!(
                "{program} is not on this machine; install {package}"
            )));
        }
    }
    let folder = tempfile::tempdir()?;
    let endpoints = Endpoints::start().await?;
    let mut all: Vec<(Kind, Figures)> = [Kind::Backstay, Kind::Gdnsd, Kind::PowerDns]
        .map(|kind| (kind, Figures::default()))
        .into();
    for round in 1..=options.rounds {
        for (kind, figures) in &mut all {
            endpoints.revive();
            let place = folder.path().join(format!("{}-{round}", kind.name()));
            let server = Server::start(*kind, &place, endpoints.port(), options.server_core)?;
            server.until(endpoint::FIRST).await?;
            load(options, &server, folder.path(), figures)?;
            let detection = detect(&endpoints, &server).await?;
            figures.detections.push(detection);
            note(&format!(
                "round {round}: {}: {:.0} queries/s, {:.2?} of processor time for a million, {detection:.2?} from a failed probe to the answer",
                kind.name(),
                figures.rates.last().copied().unwrap_or_default(),
                figures.costs.last().copied().unwrap_or_default(),
            ));
        }
    }
    Ok(report(options, all))
}

/// Loads a server, and takes what it answered and what that cost it.
fn load(
    options: &Options,
    server: &Server,
    folder: &Path,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let queries = folder.join("queries");
    std::fs::write(&queries, format!("{} A\n", peers::NAME))?;
    let before = server.processor_time()?;
    let output = Command::new("taskset")
        .args(["-c", &options.load_core.to_string(), "dnsperf"])
        .args(["-s", "127.0.0.1", "-p", &server.port().to_string()])
        .args(["-d", &queries.display().to_string()])
        .args(["-l", &options.seconds.to_string()])
        .args(["-c", "16", "-T", "1", "-q", "500"])
        .output()?;
    let used = server.processor_time()?.saturating_sub(before);
    let text = String::from_utf8_lossy(&output.stdout);
    let figure = |name: &str| {
        let line = text.lines().find_map(|it| it.trim().strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    let (Some(completed), Some(rate)) =
        (figure("Queries completed:"), figure("Queries per second:"))
    else {
        return Err(Failure::Failed(format!(
            "dnsperf said nothing that can be read: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        )));
    };
    if completed < 1.0 || !text.contains("NOERROR") {
        return Err(Failure::Failed(format!("nothing was answered: {text}")));
    }
    figures.rates.push(rate);
    figures.costs.push(used.mul_f64(1e6 / completed));
    Ok(())
}

/// Kills the first endpoint, and waits until the name points to the second.
async fn detect(endpoints: &Endpoints, server: &Server) -> Result<Duration, Failure> {
    // At another point of the probes' interval each time.
    tokio::time::sleep(Duration::from_millis(
        300 + 137 * u64::from(std::process::id() % 7),
    ))
    .await;
    endpoints.kill_first();
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let begun = Instant::now();
    loop {
        if server.ask(&socket)? == Some(endpoint::SECOND) {
            break;
        }
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(Failure::Failed(format!(
                "{} never moved the name",
                server.kind().name()
            )));
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    let answered = Instant::now();
    let told = endpoints
        .told()
        .ok_or_else(|| Failure::Failed("the name moved without a failed probe".to_owned()))?;
    Ok(answered.saturating_duration_since(told))
}

fn report(options: &Options, all: Vec<(Kind, Figures)>) -> Report {
    let mut rows = Vec::new();
    let mut medians = Vec::new();
    for (kind, mut figures) in all {
        figures.rates.sort_by(f64::total_cmp);
        let rate = figures.rates.get(figures.rates.len() / 2).copied();
        let cost = median(figures.costs);
        let detection = median(figures.detections);
        let name = kind.name();
        rows.push(Row {
            name: format!("{name}: answered under load"),
            value: rate.unwrap_or_default(),
            unit: "queries/s",
        });
        rows.push(Row {
            name: format!("{name}: a core's queries a second"),
            value: 1e6 / cost.as_secs_f64(),
            unit: "queries/s",
        });
        rows.push(Row::time(format!("{name}: detection to answer"), detection));
        medians.push((cost, detection));
    }
    let mut ratios = Vec::new();
    // The goal is to be faster than both.
    if let [ours, gdnsd, powerdns] = medians.as_slice() {
        ratios.push(Ratio::of(
            "processor time for a query, to gdnsd",
            ours.0,
            gdnsd.0,
        ));
        ratios.push(Ratio::of(
            "processor time for a query, to pdns",
            ours.0,
            powerdns.0,
        ));
        ratios.push(Ratio::of("detection to answer, to gdnsd", ours.1, gdnsd.1));
        ratios.push(Ratio::of(
            "detection to answer, to pdns",
            ours.1,
            powerdns.1,
        ));
    }
    let ratios: Vec<Ratio> = ratios.into_iter().map(|it| it.at_most(1.0)).collect();
    Report {
        bench: "dns",
        subject: "one name, the first healthy of two addresses, one core".to_owned(),
        peer: "gdnsd with http_status and simplefo; pdns-server with ifurlup".to_owned(),
        rows,
        ok: ratios.iter().all(Ratio::holds),
        ratios,
        notes: vec![format!(
            "medians of {} rounds of {} s; server on core {}, dnsperf on core {}; probes every 2 s, \
             one failure is death",
            options.rounds, options.seconds, options.server_core, options.load_core
        )],
    }
}
