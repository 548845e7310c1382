//! Asks a person before what cannot be undone.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// Whether there is a person to ask.
pub fn is_there() -> bool {
    std::io::stdin().is_terminal()
}

/// Whether the person types the pair's name.
pub fn types_name(name: &str) -> bool {
    let mut err = std::io::stderr();
    // If it cannot be asked, nothing is typed.
    let _ = write!(err, "type the pair's name, {name}, to go on: ");
    let _ = err.flush();
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.is_ok() && line.trim() == name
}
