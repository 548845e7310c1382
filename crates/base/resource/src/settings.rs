//! Settings that several of Azure's resources share.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `Enabled` or `Disabled`: the status of a profile and of an endpoint, Always Serve, Traffic View.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Switch {
    /// On.
    Enabled,
    /// Off.
    Disabled,
}

impl Switch {
    /// As Azure writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which monitor settings a traffic manager takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorLimits {
    /// Azure's: an interval of 30 or 10 seconds, a timeout of 5 to 10 or 5 to 9.
    Azure,
    /// Any whole seconds, for drills: an interval of 1 to 3600, a timeout up to it; alerts are
    /// evaluated every second to once a day.
    Lab,
}
