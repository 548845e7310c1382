//! `lab` and `drill` in a binary that was built without the feature `lab`: whatever they are given, they
//! say what they need.

use std::ffi::OsString;

use clap::Args;

/// What either of them is given.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct NeedsLab {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

impl NeedsLab {
    /// It does nothing.
    pub fn serves(&self) -> bool {
        false
    }
}
