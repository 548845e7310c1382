use std::fmt;

use super::{SHOWN, excerpt, innermost, with_causes};

#[derive(Debug)]
struct Because(&'static str, Option<Box<Because>>);

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Because {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_deref().map(|it| it as _)
    }
}

#[test]
fn causes_are_said_once() {
    let last = Because("refused", None);
    let middle = Because("connect error", Some(Box::new(last)));
    let same = Because("request failed: connect error", Some(Box::new(middle)));
    assert_eq!(with_causes(&same), "request failed: connect error: refused");
    assert_eq!(innermost(&same).to_string(), "refused");
}

#[test]
fn foreign_text_is_on_one_line_and_ends_somewhere() {
    assert_eq!(excerpt(" two\nlines\u{1b}[31m "), "two lines [31m");
    let long = "ä".repeat(SHOWN);
    assert_eq!(excerpt(&long), long);
    assert_eq!(excerpt(&format!("{long}b")), format!("{long}…"));
}
