//! `backstay watch`.

use std::net::SocketAddr;
use std::time::Duration;

use backstay_failover::verdict::Demand;
use backstay_watch::{Verification, Watcher, serve};

use crate::args::{Output, WatchFlags};
use crate::{Exit, control, print_error, print_result, stopped, webhook};

/// Watches until it is told to stop. Standard output gets one thing: where it listens.
pub async fn run(flags: &WatchFlags, output: Output) -> Exit {
    let world = match control::connect(&flags.control).await {
        Ok(world) => world,
        Err(exit) => return exit,
    };
    let webhook = match webhook::options(&flags.webhook, world.pair()) {
        Ok(webhook) => webhook,
        Err(why) => {
            print_error(&why.to_string());
            return Exit::Usage;
        }
    };
    let mut watcher = Watcher::new(world, Demand::Watch);
    if flags.dry_run {
        watcher = watcher.dry_run();
    }
    let me = watcher.me().to_owned();
    let verification = match verification(flags) {
        Ok(verification) => verification,
        Err(error) => {
            print_error(&format!("cannot find this program itself: {error}"));
            return Exit::Failed;
        }
    };
    let listening = |address: Option<SocketAddr>, alerts: Option<SocketAddr>| {
        let object = serde_json::json!({ "instance": me, "listen": address, "webhook": alerts });
        print_result(output, &object, || match address {
            Some(address) => format!("watching as {me}; http://{address}/status\n"),
            None => format!("watching as {me}\n"),
        });
    };
    match serve(
        watcher,
        flags.listen,
        webhook,
        verification,
        listening,
        stopped(),
    )
    .await
    {
        Ok(()) => Exit::Done,
        Err(error) => {
            print_error(&error.to_string());
            Exit::Failed
        }
    }
}

/// `backstay verify` of the same pair, for the schedule.
fn verification(flags: &WatchFlags) -> std::io::Result<Option<Verification>> {
    if flags.verify_every == 0 {
        return Ok(None);
    }
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command
        .arg("verify")
        .arg("--pair")
        .arg(&flags.control.pair.file)
        .args(["--output", "prometheus"]);
    if flags.control.in_cluster {
        command.arg("--in-cluster");
    }
    Ok(Some(Verification {
        command,
        every: Duration::from_secs(flags.verify_every),
    }))
}
