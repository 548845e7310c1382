//! `backstay promote` under clients that ask all the time and try nothing a second time: none of their
//! requests fails.

use backstay_pair::Side;

use crate::crowd::Crowd;
use crate::state::{done, fail_over, serving, state, step};
use crate::world::no_kubectl;

#[test]
fn a_promotion_fails_no_request() {
    if no_kubectl() {
        return;
    }
    let world = serving();
    fail_over(&world);
    let crowd = Crowd::start(&world, Side::Secondary);
    crowd.flow(200);
    crowd.say("before");
    let report = done(&world, &["promote", "--yes"]);
    crowd.say("promoted");
    crowd.flow(200);
    crowd.say("after");
    crowd.check();
    assert_eq!(step(&report, "environment")["state"], "done");
    let now = state(&world);
    let secondary = &now["secondary"];
    assert_eq!(
        secondary["selectors"][0]["humio.com/node-pool"],
        "logscale-ui"
    );
    assert_eq!(secondary["endpoint"], "Enabled");
    // Promoted once more, there is nothing to do.
    let again = done(&world, &["promote", "--yes"]);
    let steps = again["steps"].as_array().unwrap();
    assert!(steps.iter().all(|it| it["state"] == "already"), "{again:#}");
    world.down();
}
