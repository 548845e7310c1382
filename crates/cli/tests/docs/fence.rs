//! Fenced blocks of a document.

/// A fenced block.
#[derive(Debug)]
pub struct Fence {
    document: String,
    /// Line of its first line of text.
    line: usize,
    language: String,
    /// Why it is not typed.
    pub norun: Option<String>,
    text: Vec<String>,
}

/// What a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commands behind `$ `, and what they print.
    Session,
    /// Commands alone.
    Script,
    /// To be read.
    Read,
}

/// A command, and what it must print.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// Its line in the document.
    pub line: usize,
    pub text: String,
    /// Lines that come out, in this order; `…` stands for anything.
    pub expected: Vec<String>,
}

/// All blocks of a document.
pub fn fences(document: &str, text: &str) -> Vec<Fence> {
    let mut found: Vec<Fence> = Vec::new();
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(_), true) => open = false,
            (Some(info), false) => {
                open = true;
                let (language, rest) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
                let norun = rest.trim().strip_prefix("norun:");
                assert!(
                    rest.is_empty() || norun.is_some_and(|reason| !reason.trim().is_empty()),
                    "{document}:{}: behind the language of a fence comes `norun: <reason>` or nothing",
                    at + 1
                );
                found.push(Fence {
                    document: document.to_owned(),
                    line: at + 2,
                    language: language.to_owned(),
                    norun: norun.map(|reason| reason.trim().to_owned()),
                    text: Vec::new(),
                });
            }
            (None, true) => found.last_mut().unwrap().text.push(line.to_owned()),
            (None, false) => {}
        }
    }
    assert!(!open, "{document}: a block has no end");
    found
}

impl Fence {
    /// Where it is.
    pub fn place(&self) -> String {
        format!("{}:{}", self.document, self.line)
    }

    /// What it is for, or the language that is none here.
    pub fn kind(&self) -> Result<Kind, &str> {
        match self.language.as_str() {
            "console" => Ok(Kind::Session),
            "bash" => Ok(Kind::Script),
            "text" | "toml" | "json" | "yaml" | "hcl" | "rust" | "ini" => Ok(Kind::Read),
            other => Err(other),
        }
    }

    /// Whether it is typed.
    pub fn is_typed(&self) -> bool {
        self.norun.is_none() && matches!(self.kind(), Ok(Kind::Session | Kind::Script))
    }

    /// What is typed.
    pub fn commands(&self) -> Vec<Command> {
        if self.kind() != Ok(Kind::Session) {
            return vec![Command {
                line: self.line,
                text: self.text.join("\n"),
                expected: Vec::new(),
            }];
        }
        let mut commands: Vec<Command> = Vec::new();
        for (at, line) in self.text.iter().enumerate() {
            let line_number = self.line + at;
            if let Some(text) = line.strip_prefix("$ ") {
                commands.push(Command {
                    line: line_number,
                    text: text.to_owned(),
                    expected: Vec::new(),
                });
                continue;
            }
            let last = commands.last_mut();
            let last = last.unwrap_or_else(|| panic!("{}: begins with no command", self.place()));
            // Of a command that goes on, only its own lines come before what it prints.
            if last.expected.is_empty() && last.text.ends_with('\\') {
                last.text.push('\n');
                last.text.push_str(line);
            } else {
                last.expected.push(line.clone());
            }
        }
        commands
    }

    pub fn document(&self) -> &str {
        &self.document
    }
}

/// Whether a printed line is the expected one.
pub fn is_as_expected(expected: &str, printed: &str) -> bool {
    let mut rest = printed.trim_end();
    let mut parts = expected.trim_end().split('…');
    let first = parts.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else {
        return false;
    };
    rest = after;
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[test]
fn blocks_are_cut_into_commands_and_what_they_print() {
    let text =
        "a\n```console\n$ one \\\n    more\nprinted\n$ two\n```\n```bash norun: why not\nx\n```\n";
    let all = fences("d.md", text);
    assert_eq!(all.len(), 2);
    assert_eq!(all[1].norun.as_deref(), Some("why not"));
    let commands = all[0].commands();
    assert_eq!(commands[0].text, "one \\\n    more");
    assert_eq!(commands[0].expected, ["printed"]);
    assert_eq!((commands[1].line, commands[1].text.as_str()), (6, "two"));
}

#[test]
fn dots_stand_for_anything() {
    for (expected, printed, same) in [
        ("a", "a  ", true),
        ("a", "ab", false),
        ("a…", "abc", true),
        ("a…c", "abc", true),
        ("a…c", "abd", false),
        ("a…b…d", "a1b2d", true),
        ("a…b…d", "a1d", false),
        ("…", "", true),
    ] {
        assert_eq!(
            is_as_expected(expected, printed),
            same,
            "{expected} {printed}"
        );
    }
}
