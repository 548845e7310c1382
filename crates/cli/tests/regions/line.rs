//! A container that cannot be reached for 20 seconds while clients send.

use std::time::Duration;

use crate::world::{Clients, Cut, World, ready, set_up, until_status, with};

const AWAY: Duration = Duration::from_secs(20);

async fn away(how: Cut) {
    let Some((mut world, proxy)) = World::behind_proxy().await else {
        return;
    };
    let region = world.region("east").await;
    let spec = world.node("east", region.own());
    let node = ready(&with(&spec, "BACKSTAY_STATUS_GRACE_SECONDS", "2")).await;
    let token = set_up(&node).await;
    let mut clients = Clients::start(&[&node], &token).await;
    clients.flow(400).await;
    proxy.cut(how);
    let cut = tokio::time::Instant::now();
    let status = until_status(&node, 503).await;
    assert!(cut.elapsed() < AWAY, "not noticed while it was cut");
    assert!(
        status.contains("nothing could be acknowledged") && status.contains("bucket"),
        "{status}"
    );
    let before = clients.acknowledged();
    tokio::time::sleep_until(cut + AWAY).await;
    assert_eq!(
        before,
        clients.acknowledged(),
        "acknowledged without a bucket"
    );
    proxy.mend();
    until_status(&node, 200).await;
    clients.flow(400).await;
    clients.pause().await;
    clients.all_found(&node).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_refuses_for_20_seconds_costs_nothing() {
    away(Cut::Refuse).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_is_silent_for_20_seconds_costs_nothing() {
    away(Cut::Silence).await;
}
