//! The arguments of the commands that look at a pair or change it.
// What stands in brackets here is for the reader of `--help`: clap shows comments as they are.
#![allow(rustdoc::broken_intra_doc_links)]

use std::net::SocketAddr;
use std::path::PathBuf;

use backstay_pair::{Dr, Side};
use clap::Args;

#[derive(Debug, Args)]
pub struct PairFlag {
    /// The pair's file
    #[arg(
        long = "pair",
        visible_alias = "config",
        value_name = "FILE",
        default_value = "backstay.toml",
        env = "BACKSTAY_PAIR"
    )]
    pub file: PathBuf,
}

/// Which pair, and how it is reached.
#[derive(Debug, Args)]
pub struct ControlFlags {
    #[command(flatten)]
    pub pair: PairFlag,
    /// The DNS server that is asked where the global name points [default: the system's]
    #[arg(long, value_name = "ADDRESS:PORT", env = "BACKSTAY_DNS")]
    pub dns: Option<SocketAddr>,
    /// Use the service account of the pod that this runs in, for the standby's cluster
    #[arg(long, env = "BACKSTAY_IN_CLUSTER")]
    pub in_cluster: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Clusters are reached by the contexts of KUBECONFIG that the pair's file names, Azure by the \
    variables of DefaultAzureCredential (or BACKSTAY_AZURE_TOKEN_FILE), buckets by what the standby's \
    HumioCluster is told. Any number may run: one of them acts. See docs/failover.md. Exit codes: 0 stopped \
    by SIGTERM or SIGINT, 1 failed, 2 bad usage."
)]
pub struct WatchFlags {
    #[command(flatten)]
    pub control: ControlFlags,
    /// Where /metrics, /healthz and /status are served
    #[arg(long, value_name = "ADDRESS:PORT", env = "BACKSTAY_WATCH_LISTEN")]
    pub listen: Option<SocketAddr>,
    #[command(flatten)]
    pub webhook: WebhookFlags,
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Seconds from one verification of the standby to the next (see `backstay verify`); 0 is never
    #[arg(
        long,
        value_name = "SECONDS",
        env = "BACKSTAY_VERIFY_EVERY",
        default_value_t = 900
    )]
    pub verify_every: u64,
}

/// How alerts come in. FUNCTIONS_CUSTOMHANDLER_PORT, which the Azure Functions host sets, opens a door
/// for that host alone.
#[derive(Debug, Args)]
pub struct WebhookFlags {
    /// Where alerts of Azure Monitor are taken
    #[arg(
        long = "webhook",
        value_name = "ADDRESS:PORT",
        env = "BACKSTAY_WEBHOOK"
    )]
    pub address: Option<SocketAddr>,
    /// The secret that lets in; made where there is none
    #[arg(
        long = "webhook-secret-file",
        value_name = "FILE",
        env = "BACKSTAY_WEBHOOK_SECRET_FILE"
    )]
    pub secret: Option<PathBuf>,
    /// The tenant whose tokens let in
    #[arg(
        long = "webhook-tenant",
        value_name = "ID",
        env = "BACKSTAY_WEBHOOK_TENANT",
        requires = "audience"
    )]
    pub tenant: Option<String>,
    /// For whom those tokens are: the application's id URI, and its id; several with commas
    #[arg(
        long = "webhook-audience",
        value_name = "ID",
        value_delimiter = ',',
        env = "BACKSTAY_WEBHOOK_AUDIENCE",
        requires = "tenant"
    )]
    pub audience: Vec<String>,
    /// Whose those tokens are: the id of the application that calls
    #[arg(
        long = "webhook-app",
        value_name = "ID",
        env = "BACKSTAY_WEBHOOK_APP",
        default_value = backstay_webhook::AZURE_MONITOR
    )]
    pub app: String,
    /// Its certificate, PEM
    #[arg(
        long = "webhook-cert",
        value_name = "FILE",
        env = "BACKSTAY_WEBHOOK_CERT",
        requires = "key"
    )]
    pub cert: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(
        long = "webhook-key",
        value_name = "FILE",
        env = "BACKSTAY_WEBHOOK_KEY",
        requires = "cert"
    )]
    pub key: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without --over it does what `backstay watch` would do, and says what speaks against it. Exit codes: \
    0 failed over, 1 failed, 2 bad usage, 3 something speaks against it."
)]
pub struct FailoverFlags {
    #[command(flatten)]
    pub control: ControlFlags,
    /// Fail over although this speaks against it (a code, as it is shown); several with commas. Asks
    /// for the pair's name, unless --yes
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub over: Vec<String>,
    /// Ask nothing
    #[arg(long)]
    pub yes: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Seconds after which it is given up; what is done stays, and the next run goes on
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub timeout: u64,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 it is as it should be, 1 failed, 2 bad usage, 3 something is wrong."
)]
pub struct StatusFlags {
    #[command(flatten)]
    pub control: ControlFlags,
    /// Show it again and again until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "BACKSTAY_PAIR__… overrides a key of the file, as BACKSTAY_PAIR__PRIMARY__VERSION does \
    primary.version. Secrets are shown by their names. Exit codes: 0 done, 1 failed, 2 bad usage."
)]
pub struct DeriveFlags {
    #[command(flatten)]
    pub pair: PairFlag,
    /// primary or secondary
    #[arg(long)]
    pub region: Side,
    /// Its role: active, standby, or nothing for a cluster that has no other [default: as in peace]
    #[arg(long)]
    pub dr: Option<Dr>,
    /// Route to pools of their own for searches and for events
    #[arg(long)]
    pub dedicated: bool,
    /// Show Kubernetes' documents instead, ready to be applied
    #[arg(long)]
    pub manifests: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The regions are the pair's contexts in the kubeconfig (KUBECONFIG); who we are in Azure is found as \
    DefaultAzureCredential finds it, or is the token in BACKSTAY_AZURE_TOKEN_FILE. Neither bucket is written to. Exit \
    codes: 0 able, 1 failed, 2 bad usage, 3 a check says no."
)]
pub struct VerifyFlags {
    #[command(flatten)]
    pub pair: PairFlag,
    /// Use the service account of the pod that this runs in, for the standby's cluster
    #[arg(long, env = "BACKSTAY_IN_CLUSTER")]
    pub in_cluster: bool,
    /// Say instead whether the bucket of a node's own variables (…_STORAGE_…) is whole, as behind a restored backup
    #[arg(long, conflicts_with_all = ["notify", "strict"])]
    pub bucket: bool,
    /// Read the contents of all segments, not of a sample
    #[arg(long)]
    pub deep: bool,
    /// How many segments the sample has
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "deep")]
    pub sample: u32,
    /// Which ones: the same for the same seed [default: random]
    #[arg(long, conflicts_with = "deep")]
    pub seed: Option<u64>,
    /// What cannot be found out says no, even what only the primary's Kubernetes API could tell
    #[arg(long)]
    pub strict: bool,
    /// Send a test notification through the action group, and wait for the answers of its receivers
    #[arg(long)]
    pub notify: bool,
    /// How long each part of the world is waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub patience: u64,
}
