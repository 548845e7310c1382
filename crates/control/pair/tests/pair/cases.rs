//! The pairs, sides and roles that the tests go through.

use std::path::{Path, PathBuf};

use backstay_pair::{Dr, Pair, Side};

/// A pair in a role.
pub struct Case {
    pub provider: &'static str,
    pub pair: Pair,
    pub side: Side,
    pub dr: Dr,
    pub dedicated: bool,
}

impl Case {
    /// Like `azure-secondary-standby-shared`.
    pub fn name(&self) -> String {
        let dr = match self.dr {
            Dr::None => "single",
            _ => self.dr.as_str(),
        };
        let routing = if self.dedicated {
            "dedicated"
        } else {
            "shared"
        };
        format!("{}-{}-{dr}-{routing}", self.provider, self.side)
    }
}

/// Every combination.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for provider in ["azure", "folder"] {
        for side in [Side::Primary, Side::Secondary] {
            for dr in [Dr::Active, Dr::Standby, Dr::None] {
                for dedicated in [false, true] {
                    cases.push(Case {
                        provider,
                        pair: pair(provider),
                        side,
                        dr,
                        dedicated,
                    });
                }
            }
        }
    }
    cases
}

pub fn pair(provider: &str) -> Pair {
    Pair::read(&folder().join(format!("{provider}.toml")), []).unwrap()
}

/// Where these tests are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pair")
}

/// The project's `deploy`.
pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy")
}
