//! The client against the real traffic manager of this project, and against servers that misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alerts;
mod alerts_in_the_lab;
mod faults;
mod identities;
mod notifications;
mod standin;
mod traffic_manager;

use std::time::Duration;

use backstay_azure::{Client, Cloud, Environment, Identity, ResourceId};
use backstay_retry::{Deadline, Policy};

/// Nothing here takes so long, unless it hangs.
const HANG: Duration = Duration::from_secs(90);

/// As the real one, but in milliseconds.
const QUICK: Policy = Policy {
    first: Duration::from_millis(10),
    longest: Duration::from_millis(100),
    jitter: 0.25,
    attempt: Duration::from_secs(20),
};

const PROFILE: &str =
    "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Network/trafficManagerProfiles/logs";

fn deadline() -> Deadline {
    Deadline::after(HANG)
}

fn id(text: &str) -> ResourceId {
    text.parse().unwrap()
}

fn primary() -> ResourceId {
    id(PROFILE).child("externalEndpoints", "primary").unwrap()
}

/// A client with the token in a file, as in the lab.
fn client(arm: &str, token_file: &std::path::Path, policy: Policy) -> Client {
    let file = token_file.to_str().unwrap();
    let environment: Environment = [("BACKSTAY_AZURE_TOKEN_FILE", file)].into_iter().collect();
    let cloud = Cloud::new(Some(arm), &environment).unwrap();
    let identity = Identity::new(&cloud, &environment, policy).unwrap();
    Client::new(cloud, identity, policy).unwrap()
}
