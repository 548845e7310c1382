//! Home without what the other region has taken in: the journal is given back, and each side is what
//! it then has to be.

use backstay_global::recovery::outside::{Holder, gained, holder, take_back};
use backstay_lab::supervisor::NodeProcess;
use backstay_node::events_in_record;
use backstay_retry::WriteGuard;

use crate::world::{
    Clients, Objects, World, get, log, ready, recovering, set_up, until, until_status,
};

/// What becomes of the standby's node while the primary is given its journal back.
#[derive(PartialEq)]
enum Standby {
    Runs,
    Frozen,
    Killed,
}

async fn home_without_the_others(mut world: World, standby: Standby) {
    let (east, west) = (world.region("east").await, world.region("west").await);
    let primary = world.node("east", east.own());
    let mut home = ready(&primary).await;
    let token = set_up(&home).await;
    let mut clients = Clients::start(&[&home], &token).await;
    clients.flow(400).await;
    clients.pause().await;
    home.kill().await.unwrap();

    let spec = world.node("west", recovering(&east, &west));
    let mut away = ready(&spec).await;
    let mut others = Clients::start(&[&away], &token).await;
    others.flow(200).await;
    others.pause().await;
    let other = west.open().await.unwrap();
    let lost = gained(&other, events_in_record).await.unwrap();
    assert_eq!(lost.events, others.acknowledged(), "{lost:?}");
    match standby {
        Standby::Runs => {}
        Standby::Frozen => away.freeze().unwrap(),
        Standby::Killed => away.kill().await.unwrap(),
    }

    let own = east.open().await.unwrap();
    take_back(&own, &other, &WriteGuard::unguarded())
        .await
        .unwrap();
    assert_eq!(holder(&own).await.unwrap(), Holder::Itself);
    let mut home = ready(&primary).await;
    assert!(!log(&primary.log_file).contains("recovery source"));
    clients.all_found(&home).await;
    match standby {
        Standby::Runs => {}
        Standby::Frozen => away.thaw().unwrap(),
        Standby::Killed => away = NodeProcess::start(&spec).unwrap(),
    }
    // One that starts answers 503 before it knows.
    until("the standby is fenced", || async {
        let (code, status) = get(&away, "api/v1/status?deep=1").await;
        match code == 503 && status.contains("fenced") {
            true => Ok(()),
            false => Err(status),
        }
    })
    .await;
    clients.know(&[&home]);
    clients.go_on();
    clients.flow(200).await;
    clients.pause().await;
    clients.all_found(&home).await;
    // Another failover has all of it, and nothing of what the west had taken in before.
    home.kill().await.unwrap();
    away.kill().await.unwrap();
    Objects::of(&west).remove_all("globalsnapshots").await;
    let away = ready(&spec).await;
    clients.all_found(&away).await;
    let before = clients.acknowledged();
    clients.know(&[&away]);
    clients.go_on();
    clients.flow(100).await;
    clients.pause().await;
    clients.all_found(&away).await;
    // And home once more: the primary's snapshots are of its second life.
    take_back(&own, &other, &WriteGuard::unguarded())
        .await
        .unwrap();
    let home = ready(&primary).await;
    let left_behind = clients.acknowledged() - before;
    let found = clients.verdict(&home).await.unwrap_err().to_string();
    assert!(found.contains(&format!("lost: {left_behind},")), "{found}");
    until_status(&away, 503).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn home_from_a_standby_that_runs() {
    home_without_the_others(World::folders(), Standby::Runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn home_from_a_standby_that_thaws() {
    home_without_the_others(World::folders(), Standby::Frozen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn home_from_a_standby_that_is_started_again() {
    home_without_the_others(World::folders(), Standby::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn home_from_a_standby_that_runs_in_azurite() {
    if let Some(world) = World::azurite() {
        home_without_the_others(world, Standby::Runs).await;
    }
}
