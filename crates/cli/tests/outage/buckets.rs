//! A primary whose bucket denies it: it lives, can acknowledge nothing, and that is an outage.

use backstay_lab::region::Azurite;
use backstay_pair::Side::Primary;

use crate::clients::Client;
use crate::ended::is_failed_over;
use crate::marks::watch;
use crate::world::{Logs, World, no_kubectl, region};

#[test]
fn a_primary_whose_bucket_denies_it_is_down() {
    let Some(azurite) = Azurite::for_tests().unwrap() else {
        return;
    };
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::In(&azurite));
    let mut client = Client::of_primary(&world);
    client.until_acknowledged(50);
    let watch = watch(&world, "watch", &[]);
    watch.until_state("healthy");
    world.done(&["lab", "deny-bucket", "primary"]);
    // Its processes live, and say that they cannot.
    world.until_status(|status| region(status, Primary)["view"]["status"] == 503);
    client.until_refused();
    is_failed_over(&world, &watch.until_state("failed-over"));
    // Its bucket is there again: it is fenced all the same.
    world.done(&["lab", "restore", "primary"]);
    client.until_refused();
    assert!(client.check(&world) >= 50);
    is_failed_over(&world, &watch.until_state("failed-over"));
    watch.end();
    world.down();
}
