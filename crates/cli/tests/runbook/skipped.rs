//! A failback that leaves behind what the secondary has taken in.

use backstay_pair::Side;

use crate::calls::{admin, ingest};
use crate::control::json;
use crate::state::{CLEAN, come_back, done, fail_over, serving, step};
use crate::world::{World, no_kubectl};

fn count(world: &World, side: Side, text: &str) -> String {
    let body = format!(r#"{{"queryString":"\"{text}\" | count()","start":"1d"}}"#);
    admin(world, side, "/api/v1/repositories/humio/query", &body)
}

#[test]
fn without_reverse_recovery_the_primary_goes_on_where_it_was_and_says_what_is_left_behind() {
    if no_kubectl() {
        return;
    }
    let world = serving();
    ingest(&world, Side::Primary, "before the disaster");
    fail_over(&world);
    ingest(&world, Side::Secondary, "while it was away");
    come_back(&world);
    let back = done(
        &world,
        &[
            "failback",
            "--yes",
            "--quiet-seconds",
            "0",
            "--skip-reverse-recovery",
        ],
    );
    let left = step(&back, "left-behind")["detail"].as_str().unwrap();
    // The one that was sent, and what the region has logged itself.
    let events = left
        .split(' ')
        .nth(2)
        .and_then(|number| number.parse().ok());
    assert!(events.is_some_and(|events: u64| events >= 1), "{left}");
    assert_eq!(
        count(&world, Side::Primary, "before the disaster").trim(),
        "_count->1"
    );
    assert_eq!(
        count(&world, Side::Primary, "while it was away").trim(),
        "_count->0"
    );
    ingest(&world, Side::Primary, "at home again");
    done(&world, CLEAN);
    // The next failover has all that the primary has.
    fail_over(&world);
    assert_eq!(
        count(&world, Side::Secondary, "at home again").trim(),
        "_count->1"
    );
    let (status, code) = json(&world, &["status"]);
    assert_eq!(code, 0, "{status:#}");
    world.down();
}
