//! `lab` and `drill` in a binary that was built without the feature `lab`: whatever they are given, they
//! say what they need.

use std::ffi::OsString;

use clap::Args;

/// What `lab` is given.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct LabFlags {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

impl LabFlags {
    /// It does nothing.
    pub fn serves(&self) -> bool {
        false
    }
}

/// What `drill` is given.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct DrillFlags {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}
