//! The arguments.
// What stands in brackets here is for the reader of `--help`: clap shows comments as they are.
#![allow(rustdoc::broken_intra_doc_links)]

mod control;
#[cfg(feature = "lab")]
mod drill;
#[cfg(feature = "lab")]
mod lab;
mod runbook;
#[cfg(not(feature = "lab"))]
mod without_lab;

use std::net::SocketAddr;
use std::path::PathBuf;

use backstay_traffic::{NameServer, VantagePoint};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use control::{
    ControlFlags, DeriveFlags, FailoverFlags, PairFlag, StatusFlags, VerifyFlags, WatchFlags,
    WebhookFlags,
};
#[cfg(feature = "lab")]
pub use drill::{ActFlag, DrillFlags, FaultFlag};
#[cfg(feature = "lab")]
pub use lab::{LabCommand, LabFlags, LabPart, LabUpFlags, Operator, SlowFlags};
pub use runbook::{
    CleanFlags, FailbackFlags, PromoteFlags, RunFlags, RunsCommand, RunsFlags, WhoFlags,
};
#[cfg(not(feature = "lab"))]
pub use without_lab::{NeedsLab as DrillFlags, NeedsLab as LabFlags};

/// Keeps a log platform alive when its region dies.
#[derive(Debug, Parser)]
#[command(name = "backstay", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 bad usage, 3 a check says no, 4 waiting for a person."
)]
pub struct Arguments {
    /// How the result is written to standard output
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// How logs are written to standard error; BACKSTAY_LOG says which (such as `debug`)
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "BACKSTAY_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// End when standard input ends: for a parent that must not leave this process behind
    #[arg(long, global = true, hide = true)]
    pub exit_with_parent: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// JSON objects, one a line: what goes on, as it goes on, and at last what `json` gives
    Ndjson,
    /// Metrics, where a command has any: `verify`
    Prometheus,
}

impl Output {
    /// Whether programs read it.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Ndjson)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a node: a log store that keeps everything in a bucket
    Node(NodeFlags),
    /// Runs the traffic manager: probes endpoints, and answers DNS with the first healthy one
    Traffic(TrafficFlags),
    /// Shows what a region is told, derived from the file that describes the pair
    Derive(DeriveFlags),
    /// Says whether the standby is able to take over, without touching production
    Verify(VerifyFlags),
    /// Two regions on this machine, to be driven with kubectl
    Lab(LabFlags),
    /// Plays a disaster, the failover and the way back, and shows that nothing acknowledged is lost
    Drill(DrillFlags),
    /// Watches the primary, and fails over when it is dead
    Watch(WatchFlags),
    /// Fails over now, by hand
    Failover(FailoverFlags),
    /// Grows the secondary that has taken over to full size, without a failed request
    Promote(PromoteFlags),
    /// Gives everything back to the primary, with all that was taken in meanwhile
    Failback(FailbackFlags),
    /// Makes the secondary a standby again, after a failback
    CleanSecondary(CleanFlags),
    /// Shows runs of these, goes on with one, or gives it up
    Runs(RunsFlags),
    /// Shows both regions, the term, the holdoff and what is wrong
    Status(StatusFlags),
    /// Writes the completions of a shell to standard output
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Makes a secret that administers a node, and the hash that the node is given of it
    TokenHash(TokenHashFlags),
    /// Writes the manual's pages, one for each command, into a folder
    Man(ManFlags),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The hash is the value of BOOTSTRAP_ROOT_TOKEN_HASHED; the secret is sent as \
    `Authorization: Bearer localroot~SECRET`. humio-operator runs this in the image, as \
    /app/humio/humio/bin/humio-token-hashing.sh --json. Exit codes: 0 done, 1 failed."
)]
pub struct TokenHashFlags {
    /// As one JSON object, `secret` and `hashedToken`, on lines of its own
    #[arg(long)]
    pub json: bool,
    /// A secret that there is already, of 32 characters at least; others on this machine can read it here
    #[arg(value_name = "SECRET")]
    pub secret: Option<String>,
}

#[derive(Debug, Args)]
pub struct ManFlags {
    /// The folder; made where there is none
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Only say which pages would be written
    #[arg(long)]
    pub dry_run: bool,
}

impl Command {
    /// Whether it has metrics to show.
    pub fn has_metrics(&self) -> bool {
        matches!(self, Self::Verify(_))
    }

    /// Whether it serves others until it is told to stop.
    pub fn serves(&self) -> bool {
        match self {
            Self::Node(_) | Self::Traffic(_) | Self::Watch(_) => true,
            Self::Lab(flags) => flags.serves(),
            _ => false,
        }
    }

    /// Whether only warnings are logged unless BACKSTAY_LOG says otherwise: a drill shows its
    /// progress by itself.
    pub fn quiet(&self) -> bool {
        !self.serves()
    }
}

/// Each flag stands for a variable and wins over it. Keys and tokens have no flags: arguments can
/// be read by every user of a machine.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Everything else is set by LogScale's own variables: AZURE_STORAGE_*, S3_STORAGE_*, \
    GCP_STORAGE_* or LOCAL_STORAGE_* for the bucket (its key in *_STORAGE_ENCRYPTION_KEY), and \
    *_RECOVER_FROM_* for the bucket to recover from."
)]
pub struct NodeFlags {
    /// Where it listens [PORT, default 8080]
    #[arg(long)]
    pub port: Option<u16>,
    /// The address it listens on [BACKSTAY_BIND, default 0.0.0.0]
    #[arg(long)]
    pub bind: Option<std::net::IpAddr>,
    /// The data folder [DIRECTORY, default ./data]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// A folder as the bucket [LOCAL_STORAGE_PATH]
    #[arg(long, value_name = "FOLDER")]
    pub bucket_folder: Option<PathBuf>,
    /// A folder bucket to recover from [LOCAL_RECOVER_FROM_PATH]
    #[arg(long, value_name = "FOLDER")]
    pub recover_from_folder: Option<PathBuf>,
    /// How clients and other nodes reach it [PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// all, ingestonly or httponly [NODE_ROLES, default all]
    #[arg(long)]
    pub roles: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Profiles and endpoints are set through the Resource Manager API, with the token of the \
    token file; see docs/traffic.md. Exit codes: 0 stopped by SIGTERM or SIGINT, 1 an address, the \
    state, the token, the storage accounts or the certificate cannot be used, or a part of it broke, \
    2 bad usage."
)]
pub struct TrafficFlags {
    /// Where DNS is answered, on UDP and TCP; several with commas
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        value_delimiter = ',',
        env = "BACKSTAY_TRAFFIC_DNS",
        default_value = "127.0.0.1:5300"
    )]
    pub dns: Vec<SocketAddr>,
    /// UDP sockets and threads for each of those [default: one for each core]
    #[arg(long, env = "BACKSTAY_TRAFFIC_DNS_WORKERS", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub dns_workers: Option<u16>,
    /// Queries a second that one source may ask of one socket; 0 is any number
    #[arg(long, env = "BACKSTAY_TRAFFIC_DNS_RATE", default_value_t = 1_000)]
    pub dns_rate: u32,
    /// Where the Resource Manager API is
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "BACKSTAY_TRAFFIC_ARM",
        default_value = "127.0.0.1:8070"
    )]
    pub arm: SocketAddr,
    /// Where metrics, events and status are; they ask for no token
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "BACKSTAY_TRAFFIC_OBSERVE",
        default_value = "127.0.0.1:8071"
    )]
    pub observe: SocketAddr,
    /// The file with the profiles; one for alerts is kept beside it
    #[arg(
        long,
        value_name = "FILE",
        env = "BACKSTAY_TRAFFIC_STATE",
        default_value = "./data/traffic.json"
    )]
    pub state: PathBuf,
    /// The file with the API's token; made at first start, for its owner alone
    #[arg(
        long,
        value_name = "FILE",
        env = "BACKSTAY_TRAFFIC_TOKEN_FILE",
        default_value = "./data/traffic-token.txt"
    )]
    pub token_file: PathBuf,
    /// The API's certificate chain, PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "BACKSTAY_TRAFFIC_TLS_CERT",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "BACKSTAY_TRAFFIC_TLS_KEY",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,
    /// The zone in which profiles have their names
    #[arg(
        long,
        value_name = "NAME",
        env = "BACKSTAY_TRAFFIC_ZONE",
        default_value = "trafficmanager.net"
    )]
    pub zone: String,
    /// The zone's name servers, with an address if they are in the zone; several with commas
    /// [default: ns1 in the zone]
    #[arg(
        long,
        value_name = "NAME[=ADDRESS]",
        value_delimiter = ',',
        env = "BACKSTAY_TRAFFIC_NAME_SERVERS"
    )]
    pub name_servers: Vec<NameServer>,
    /// From where endpoints are probed, with the local address if it matters; several with commas
    #[arg(
        long,
        value_name = "NAME[=ADDRESS]",
        value_delimiter = ',',
        env = "BACKSTAY_TRAFFIC_VANTAGE_POINTS",
        default_value = "a,b,c"
    )]
    pub vantage_points: Vec<VantagePoint>,
    /// How many vantage points must agree that an endpoint is dead or alive [default: more than half]
    #[arg(long, env = "BACKSTAY_TRAFFIC_QUORUM")]
    pub quorum: Option<usize>,
    /// Probes on their way at the same time
    #[arg(long, env = "BACKSTAY_TRAFFIC_MAX_PROBES", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub max_probes: u32,
    /// Allow any whole seconds as interval and timeout, where Azure has 30 or 10 and 5 to 10, and
    /// as an alert's frequency and window: for drills
    #[arg(long, env = "BACKSTAY_TRAFFIC_ANY_INTERVAL")]
    pub any_interval: bool,
    /// The file with the storage accounts whose keys the API hands out, mode 0600
    #[cfg(feature = "lab")]
    #[arg(long, value_name = "FILE", env = "BACKSTAY_TRAFFIC_STORAGE_ACCOUNTS")]
    pub storage_accounts: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use clap::{CommandFactory, Parser};

    use super::{Arguments, Command, Output};

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn several_logs_and_a_global_flag_behind_the_command_are_understood() {
        let line = [
            "backstay", "drill", "--logs", "a", "b", "--events", "5000", "--output", "json",
        ];
        let arguments = Arguments::try_parse_from(line).unwrap();
        assert_eq!(arguments.output, Output::Json);
        let Command::Drill(flags) = arguments.command else {
            panic!("not a drill")
        };
        assert_eq!((flags.logs.len(), flags.events), (2, Some(5_000)));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for line in [
            ["backstay", "drill", "--events=999"],
            ["backstay", "drill", "--senders=0"],
            ["backstay", "node", "--port=70000"],
            ["backstay", "drill", "--output=xml"],
            ["backstay", "traffic", "--dns=localhost"],
            ["backstay", "traffic", "--dns-workers=0"],
            ["backstay", "traffic", "--tls-cert=cert.pem"],
            ["backstay", "traffic", "--vantage-points=a=b"],
            ["backstay", "traffic", "--name-servers=ns1=x"],
        ] {
            assert_eq!(
                Arguments::try_parse_from(line).unwrap_err().exit_code(),
                2,
                "{line:?}"
            );
        }
    }
}
