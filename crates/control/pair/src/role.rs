//! A region's side and role, in the manual's words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// Which of the two regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The region that is active in peace.
    Primary,
    /// The region that stands by.
    Secondary,
}

impl Side {
    /// Both regions, the primary first.
    pub const BOTH: [Self; 2] = [Self::Primary, Self::Secondary];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }

    /// Its role in peace.
    pub fn usual(self) -> Dr {
        match self {
            Self::Primary => Dr::Active,
            Self::Secondary => Dr::Standby,
        }
    }

    /// `primary` or `secondary`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

/// A region's role: the source's variable `dr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dr {
    /// `active`: it serves.
    Active,
    /// `standby`: it waits, with one node declared and its operator at 0.
    Standby,
    /// Empty: a cluster that has no other.
    None,
}

impl Dr {
    /// `active`, `standby`, or empty.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::None => "",
        }
    }
}

/// A word that is no side or role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {must}")]
pub struct NotARole {
    must: &'static str,
}

impl FromStr for Side {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        match text {
            "primary" => Ok(Self::Primary),
            "secondary" => Ok(Self::Secondary),
            _ => Err(NotARole {
                must: "primary or secondary",
            }),
        }
    }
}

impl FromStr for Dr {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        match text {
            "active" => Ok(Self::Active),
            "standby" => Ok(Self::Standby),
            "" => Ok(Self::None),
            _ => Err(NotARole {
                must: "active, standby or empty",
            }),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Dr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Dr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
