//! Three nodes on one bucket, of which one is killed and one frozen for longer than its lease.

use backstay_lab::supervisor::NodeProcess;

use crate::world::{Clients, World, metric, ready, set_up, until, until_metric};

const PARTITIONS: u64 = 3;

async fn one_killed_and_one_frozen(mut world: World) {
    let region = world.region("east").await;
    let mut a = ready(&world.node("a", region.own())).await;
    let token = set_up(&a).await;
    let b = ready(&world.node("b", region.own())).await;
    let c = ready(&world.node("c", region.own())).await;
    for node in [&a, &b, &c] {
        until_metric(node, "partitions_owned", |owned| owned == 1).await;
    }
    let mut clients = Clients::start(&[&a, &b, &c], &token).await;
    clients.flow(400).await;
    a.kill().await.unwrap();
    let both = [&b, &c];
    until("the dead one's partition is taken over", || owned_by(&both)).await;
    clients.flow(400).await;

    b.freeze().unwrap();
    until_metric(&c, "partitions_owned", |owned| owned == PARTITIONS).await;
    // Not even those wait for it whom the third node has passed on to it.
    clients.flow(400).await;
    b.thaw().unwrap();
    // Its clients of before it was frozen still wait for their answers, and get them now.
    until_metric(&b, "partitions_lost_total", |lost| lost >= 1).await;
    clients.flow(400).await;
    until("the thawed one has its share again", || owned_by(&both)).await;
    clients.flow(400).await;
    clients.pause().await;
    clients.all_found(&b).await;
    clients.all_found(&c).await;
    world.end().await;
}

/// Whether these nodes, and no others, have all partitions, and each of them some.
async fn owned_by(nodes: &[&NodeProcess]) -> Result<(), Vec<u64>> {
    let mut owned = Vec::new();
    for node in nodes {
        owned.push(metric(node, "partitions_owned").await.unwrap_or(0));
    }
    if owned.iter().sum::<u64>() == PARTITIONS && !owned.contains(&0) {
        Ok(())
    } else {
        Err(owned)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_killed_and_one_frozen_lose_and_double_nothing() {
    one_killed_and_one_frozen(World::folders()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_killed_and_one_frozen_lose_and_double_nothing_in_azurite() {
    if let Some(world) = World::azurite() {
        one_killed_and_one_frozen(world).await;
    }
}
