//! What happened, for people; written down only when somebody will read it.

use std::fmt::Write;

pub struct Trace {
    pub text: Option<String>,
}

impl Trace {
    pub fn say(&mut self, at: u64, what: impl FnOnce() -> String) {
        if let Some(text) = &mut self.text {
            let _ = writeln!(text, "{:>9.3} {}", at as f64 / 1_000.0, what());
        }
    }
}
