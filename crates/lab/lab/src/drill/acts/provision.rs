//! Both regions, a repository with a token, the clients, and a watch beside them.

use std::sync::Arc;
use std::time::Duration;

use backstay_pair::Side;
use tokio::sync::watch;

use super::Play;
use crate::drill::clients::{Clients, HISTORY_PERCENT};
use crate::drill::clock::Clock;
use crate::drill::operator::Operator;
use crate::drill::region::call;
use crate::drill::report::Measured;
use crate::drill::scene::Scene;
use crate::drill::stage::Lines;
use crate::drill::watcher::Watch;
use crate::drill::{DrillError, Options};
use crate::workload::RunName;
use crate::workload::feed::Feed;
use crate::workload::sender::{Senders, Sending};

/// The repository of the drill.
const REPOSITORY: &str = "drill";

/// The first wait of clients that go slowly.
const INITIAL_WAIT: Duration = Duration::from_millis(50);

/// So much longer is it where pods take minutes to start.
const SLOW_START_FACTOR: u32 = 10;

/// Waits for both regions, and lets everybody who acts begin.
pub(in crate::drill) async fn provision<'a>(
    options: &'a Options,
    scene: &'a Scene,
    run: RunName,
    mut clock: Clock<'a>,
    lines: Lines,
) -> Result<Play<'a>, DrillError> {
    let ledger = clock.ledger.clone();
    scene.ready(clock.progress).await?;
    let operator = Operator {
        hands: scene.hands.clone(),
        log: scene.log("runbook"),
        target: options.kill_operator_at.clone(),
    };
    let mut repository = REPOSITORY.to_owned();
    let mut pace = INITIAL_WAIT;
    if !scene.is_lab() {
        let verified = operator.verify().await?;
        if verified.exit_code != 0 {
            return Err(DrillError::NotAble(verified.problems.join("; ")));
        }
        // It stays there, and the next drill has its own.
        repository = format!("{REPOSITORY}-{}", run.as_str());
        pace *= SLOW_START_FACTOR;
        let what = format!("create the repository {repository} in the primary, and send to it");
        scene.ask(&what).await?;
    }
    clock.begin("the watch looks", None);
    let (lookup, name) = scene.follow()?;
    let admin = scene.admin_token(Side::Primary).await?;
    let primary = name.borrow().node.clone();
    primary
        .create_repository(&admin, &repository)
        .await
        .map_err(call(Side::Primary))?;
    let token: Arc<str> = primary
        .create_ingest_token(&admin, &repository, "drill")
        .await
        .map_err(call(Side::Primary))?
        .into();
    let mut watch = Watch::start(&scene.hands, &scene.log("watch")).await?;
    watch.on_guard().await?;

    let (allow, allowed) = watch::channel(0);
    let sending = Sending {
        run: run.clone(),
        token: token.clone(),
        feed: Feed::new(run.clone(), ledger.clone(), lines),
        ledger: ledger.clone(),
        name: name.clone(),
        allowed,
    };
    let senders = Senders::start(options.senders, &sending);
    let clients = Clients::new(
        run,
        ledger,
        (lookup, name),
        (repository, token),
        (senders, allow),
        pace,
    );
    clients.allow(clients.part(HISTORY_PERCENT));
    Ok(Play {
        options,
        scene,
        clock,
        clients,
        watch,
        operator,
        measured: Measured {
            fault: options.fault,
            kill_operator_at: options.kill_operator_at.as_ref().map(|it| it.step.clone()),
            ..Measured::default()
        },
    })
}
