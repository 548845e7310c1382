//! The versions of the API that are answered, all in the same way.

use backstay_traffic_arm::Served;

use crate::{ACTION_GROUP, ALERT, METRIC_ALERT};

pub(super) const IN_GROUPS: [Served; 2] = [
    Served {
        of: METRIC_ALERT,
        versions: &METRIC_ALERTS,
    },
    Served {
        of: ACTION_GROUP,
        versions: &ACTION_GROUPS,
    },
];

pub(super) const IN_SUBSCRIPTIONS: [Served; 1] = [Served {
    of: ALERT,
    versions: &ALERTS,
}];

const METRIC_ALERTS: [&str; 3] = ["2018-03-01", "2024-01-01-preview", "2024-03-01-preview"];

const ACTION_GROUPS: [&str; 11] = [
    "2017-04-01",
    "2018-03-01",
    "2018-09-01",
    "2019-03-01",
    "2019-06-01",
    "2021-09-01",
    "2022-04-01",
    "2022-06-01",
    "2023-01-01",
    "2023-09-01-preview",
    "2024-10-01-preview",
];

const ALERTS: [&str; 5] = [
    "2018-05-05",
    "2019-03-01",
    "2019-05-05-preview",
    "2023-07-12-preview",
    "2024-01-01-preview",
];
