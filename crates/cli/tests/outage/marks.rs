//! What the instances share, as the standby's cluster has it.

use backstay_failover::marks::RUN;
use serde_json::Value;

use crate::control::Watch;
use crate::ended::operator;
use crate::world::World;

/// The annotations of the standby's operator.
pub fn annotations(world: &World) -> Value {
    operator(world)["metadata"]["annotations"].clone()
}

/// The id of the run that is on record, if there is one.
pub fn run(world: &World) -> Option<String> {
    let annotations = annotations(world);
    let text = annotations[RUN].as_str()?.to_owned();
    Some(text.split(' ').nth(2).unwrap().to_owned())
}

/// Events that the failover has written, by their reason: `(name, count, message)`.
pub fn events(world: &World, reason: &str) -> Vec<(String, u64, String)> {
    let text = world.shell("kubectl --context aks-secondary -n logging get events -o json");
    let read: Value = serde_json::from_str(&text).unwrap();
    let all = read["items"].as_array().unwrap().iter();
    let wanted = all.filter(|it| it["reason"] == reason);
    let each = wanted.map(|it| {
        let name = it["metadata"]["name"].as_str().unwrap().to_owned();
        let message = it["message"].as_str().unwrap().to_owned();
        (name, it["count"].as_u64().unwrap(), message)
    });
    each.collect()
}

/// A `backstay watch` that is told these variables besides.
pub fn watch(world: &World, name: &str, variables: &[(&str, &str)]) -> Watch {
    // A verification is a matter of its own, and takes a processor.
    let told = [&[("BACKSTAY_VERIFY_EVERY", "0")], variables].concat();
    Watch::start(world, name, &told)
}
