//! A primary whose bucket is sick: when it can acknowledge nothing, that is an outage; when it is
//! slow, it is none.

use std::time::{Duration, Instant};

use backstay_lab::region::Azurite;
use backstay_pair::Side::Primary;

use crate::clients::Client;
use crate::control::{HANG, HOLDOFF};
use crate::ended::is_failed_over;
use crate::marks::{annotations, watch};
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

/// For so long the bucket is slow, at least. On a machine with nothing else to do, as this test is given it
/// (`.config/nextest.toml`), the longest wait for an acknowledgement is a second or two.
const SLOW: Duration = Duration::from_secs(60);
/// From one look at the acknowledgements to the next.
const LOOK: Duration = Duration::from_millis(500);

#[test]
fn a_slow_bucket_is_no_outage() {
    let Some(azurite) = Azurite::for_tests().unwrap() else {
        return;
    };
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::In(&azurite));
    let mut client = Client::of_primary(&world);
    client.until_acknowledged(10);
    let watch = watch(&world, "watch", &[(HOLDOFF, "15")]);
    watch.until_state("healthy");
    // All its nodes serve: what is measured is a slow bucket, not a cluster that still comes up.
    world.until(
        "kubectl --context aks-primary -n logging get pods -l app.kubernetes.io/name=humio -o jsonpath='{.items[*].status.conditions[?(@.type==\"Ready\")].status}'",
        |ready| ready.split_whitespace().filter(|it| *it == "True").count() >= 3,
    );
    world.done(&["lab", "slow-bucket", "primary", "--millis", "200"]);
    let (begun, refused) = (Instant::now(), client.refused());
    let first = client.acknowledged();
    let (mut before, mut since) = (first, begun);
    while begun.elapsed() < SLOW || before == first {
        let run = annotations(&world)["logscale.dr/failover-run"].clone();
        assert!(run.is_null(), "a failover was begun: {run}");
        std::thread::sleep(LOOK);
        if client.acknowledged() > before {
            (before, since) = (client.acknowledged(), Instant::now());
        }
        assert!(since.elapsed() < HANG, "{}", client.status());
    }
    let (taken, refused) = (client.acknowledged() - first, client.refused() - refused);
    // Those of a node that is judged dead by the others: of all its clients' requests a third was.
    assert!(
        refused * 10 <= taken,
        "{refused} refused, {taken} acknowledged"
    );
    watch.rounds_pass(1, |status| {
        status["run"].is_null()
            && status["state"] != "failing-over"
            && status["state"] != "failed-over"
    });
    world.done(&["lab", "restore", "primary"]);
    watch.until_state("healthy");
    client.end();
    watch.end();
    world.down();
}
