//! From region to region and back: whichever is active has everything since the beginning.

use backstay_lab::supervisor::NodeProcess;

use crate::world::{Clients, Objects, World, log, ready, recovering, set_up, until_status};

/// East, west, east, west. The one that is left is killed, or frozen and thawed once its successor
/// has taken over.
async fn there_and_back_twice(mut world: World) {
    let (east, west) = (world.region("east").await, world.region("west").await);
    let hops = [(&east, &west), (&west, &east), (&east, &west)];
    let mut node = ready(&world.node("east", east.own())).await;
    let token = set_up(&node).await;
    let mut clients = Clients::start(&[&node], &token).await;
    for (hop, (from, to)) in hops.into_iter().enumerate() {
        clients.flow(400).await;
        let frozen = hop == 1;
        if frozen {
            node.freeze().unwrap();
        } else {
            node.kill().await.unwrap();
        }
        // As the runbook does: of a side that comes back, the snapshots of its earlier life are
        // deleted, and only they. Its data folder is as it was left.
        Objects::of(to).remove_all("globalsnapshots").await;
        let spec = world.node(to.name(), recovering(from, to));
        let next = ready(&spec).await;
        let said = log(&spec.log_file);
        assert!(
            said.contains("recovery source"),
            "it did not recover: {said}"
        );
        clients.know(&[&next]);
        if frozen {
            node.thaw().unwrap();
            fenced(&node).await;
        }
        node = next;
        clients.flow(200).await;
        clients.pause().await;
        clients.all_found(&node).await;
        clients.go_on();
    }
    // Every hop left its segments where it was.
    for region in [&east, &west] {
        assert!(!region.keys("segments/").await.unwrap().is_empty());
    }
    clients.pause().await;
    // Neither is one of them needed to start again, nor does one more start change anything.
    node.kill().await.unwrap();
    let again = ready(&world.node("west", recovering(&east, &west))).await;
    clients.all_found(&again).await;
    world.end().await;
}

async fn fenced(node: &NodeProcess) {
    let status = until_status(node, 503).await;
    assert!(status.contains("fenced"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_and_back_twice_loses_nothing() {
    there_and_back_twice(World::folders()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_and_back_twice_loses_nothing_in_azurite() {
    if let Some(world) = World::azurite() {
        there_and_back_twice(world).await;
    }
}
