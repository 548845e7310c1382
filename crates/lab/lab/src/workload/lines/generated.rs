//! Generated log lines of the kinds that a log platform gets: they compress, repeat and vary as
//! real ones do, and the same seed gives the same lines.

use chrono::{DateTime, SecondsFormat, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::Line;

const PATHS: [&str; 8] = [
    "/",
    "/api/v1/orders",
    "/api/v1/orders/{id}",
    "/api/v1/cart",
    "/login",
    "/static/app.js",
    "/health",
    "/search?q={id}",
];
const METHODS: [&str; 6] = ["GET", "GET", "GET", "POST", "PUT", "DELETE"];
const STATUSES: [u16; 10] = [200, 200, 200, 200, 201, 204, 304, 404, 500, 503];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15",
    "curl/8.14.1",
    "kube-probe/1.33",
];
const SERVICES: [&str; 6] = [
    "checkout",
    "payment",
    "inventory",
    "gateway",
    "mailer",
    "auth",
];
const LEVELS: [&str; 8] = [
    "INFO", "INFO", "INFO", "INFO", "DEBUG", "DEBUG", "WARN", "ERROR",
];
const MESSAGES: [&str; 7] = [
    "request handled",
    "cache miss, reading from the database",
    "connection to the upstream was reset, trying again",
    "order placed",
    "token refreshed",
    "slow query",
    "payment was declined by the issuer",
];
const DAEMONS: [&str; 5] = ["sshd", "systemd", "kernel", "cron", "dhclient"];
const VERBS: [&str; 5] = ["get", "list", "watch", "patch", "create"];
const RESOURCES: [&str; 5] = ["pods", "configmaps", "deployments", "secrets", "leases"];

/// An endless source of lines.
#[derive(Debug)]
pub struct Generator {
    random: StdRng,
    clock: DateTime<Utc>,
}

impl Generator {
    /// Lines of this seed; the times in them begin at `start`.
    pub fn new(seed: u64, start: DateTime<Utc>) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            clock: start,
        }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.random_range(0..from.len())]
    }

    fn id(&mut self) -> u32 {
        self.random.random_range(10_000..100_000)
    }

    fn address(&mut self) -> String {
        let (a, b) = (
            self.random.random_range(0..32u8),
            self.random.random_range(1..255u8),
        );
        format!("10.20.{a}.{b}")
    }

    /// Most answers are fast and some are very slow.
    fn millis(&mut self) -> f64 {
        let unit: f64 = self.random.random_range(0.001..1.0);
        (2.0 / unit * 1000.0).round() / 1000.0
    }

    fn access(&mut self) -> String {
        let path = self.pick(&PATHS).replace("{id}", &self.id().to_string());
        let time = self.clock.format("%d/%b/%Y:%H:%M:%S %z");
        let (address, method) = (self.address(), self.pick(&METHODS));
        let (status, agent) = (self.pick(&STATUSES), self.pick(&AGENTS));
        let size: u32 = self.random.random_range(120..60_000);
        format!(
            "{address} - - [{time}] \"{method} {path} HTTP/1.1\" {status} {size} \"-\" \"{agent}\""
        )
    }

    fn application(&mut self) -> String {
        json!({
            "ts": self.clock.to_rfc3339_opts(SecondsFormat::Millis, true),
            "level": self.pick(&LEVELS),
            "service": self.pick(&SERVICES),
            "msg": self.pick(&MESSAGES),
            "trace_id": format!("{:016x}", self.random.random::<u64>()),
            "duration_ms": self.millis(),
            "user": format!("u{}", self.id()),
        })
        .to_string()
    }

    fn logfmt(&mut self) -> String {
        let time = self.clock.to_rfc3339_opts(SecondsFormat::Millis, true);
        let (level, service) = (self.pick(&LEVELS).to_lowercase(), self.pick(&SERVICES));
        let (message, took) = (self.pick(&MESSAGES), self.millis());
        let order = self.id();
        format!(
            "time={time} level={level} service={service} msg=\"{message}\" took={took}ms order={order}"
        )
    }

    fn syslog(&mut self) -> String {
        let time = self.clock.format("%b %e %H:%M:%S");
        let (host, daemon, pid) = (
            self.random.random_range(1..9u8),
            self.pick(&DAEMONS),
            self.id(),
        );
        let what = match daemon {
            "sshd" => format!(
                "Accepted publickey for deploy from {} port {} ssh2",
                self.address(),
                self.id()
            ),
            "kernel" => format!("nf_conntrack: table has {} entries", self.id()),
            "cron" => format!(
                "(root) CMD (/usr/local/bin/rotate --keep {})",
                self.id() % 30
            ),
            _ => format!("unit-{}.service: Deactivated successfully.", self.id()),
        };
        format!("<30>{time} node-{host} {daemon}[{pid}]: {what}")
    }

    fn audit(&mut self) -> String {
        let (verb, resource) = (self.pick(&VERBS), self.pick(&RESOURCES));
        let code = self.pick(&STATUSES);
        json!({
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "stage": "ResponseComplete",
            "auditID": format!("{:032x}", self.random.random::<u128>()),
            "verb": verb,
            "requestURI": format!("/api/v1/namespaces/shop/{resource}"),
            "user": { "username": format!("system:serviceaccount:shop:{}", self.pick(&SERVICES)) },
            "sourceIPs": [self.address()],
            "responseStatus": { "code": code },
            "requestReceivedTimestamp": self.clock.to_rfc3339_opts(SecondsFormat::Micros, true),
        })
        .to_string()
    }
}

impl Iterator for Generator {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        self.clock += chrono::TimeDelta::milliseconds(self.random.random_range(0..8));
        let (kind, text) = match self.random.random_range(0..10u8) {
            0..4 => ("accesslog", self.access()),
            4..7 => ("application", self.application()),
            7 => ("logfmt", self.logfmt()),
            8 => ("syslog", self.syslog()),
            _ => ("kubernetes-audit", self.audit()),
        };
        Some(Line {
            kind: kind.to_owned(),
            text,
        })
    }
}
