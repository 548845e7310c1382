//! The versions of the API that are answered, all in the same way.

use backstay_traffic_arm::Served;
use backstay_traffic_profile::PROFILE;

pub(super) const SERVED: [Served; 1] = [Served {
    of: PROFILE,
    versions: &PROFILES,
}];

/// The newest stable one that is documented is 2022-04-01; 2026-09-01 is what the `az` of autumn
/// 2026 asks for.
const PROFILES: [&str; 13] = [
    "2015-11-01",
    "2017-03-01",
    "2017-05-01",
    "2017-09-01-preview",
    "2018-02-01",
    "2018-03-01",
    "2018-04-01",
    "2018-08-01",
    "2020-08-01",
    "2022-04-01",
    "2022-04-01-preview",
    "2024-04-01-preview",
    "2026-09-01",
];
