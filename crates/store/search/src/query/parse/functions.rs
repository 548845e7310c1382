//! The functions that a stage can be.

use super::{MAX_NAMES, Parser, Token, error_at, is_keyword};
use crate::query::{Count, ParseError, Stage};
use crate::range::span_ms;

const KNOWN_FUNCTIONS: &str = "head, tail, sort, select, count, groupBy, timeChart";
/// What LogScale takes without a limit.
const DEFAULT_ROWS: usize = 200;
/// What LogScale takes at most for `head`, `tail` and `sort`.
const MAX_ROWS: usize = 20_000;
/// Each comparison of two rows may look at all of them.
const MAX_SORT_FIELDS: usize = 32;
const DEFAULT_GROUPS: usize = 20_000;
const MAX_GROUPS: usize = 1_000_000;
const DEFAULT_SERIES: usize = 10;
const MAX_SERIES: usize = 500;

/// One argument: its place, its name (in lower case) and what it is.
struct Argument {
    at: usize,
    name: Option<String>,
    value: Passed,
}

enum Passed {
    One(String),
    Many(Vec<String>),
    Count(Count),
}

impl Parser<'_> {
    /// The function of this name, which starts here.
    pub(super) fn function_stage(&mut self, name: &str) -> Result<Stage, ParseError> {
        let start = self.at;
        // Before its arguments, which may be of a form that is not known either.
        if !KNOWN_FUNCTIONS
            .split(", ")
            .any(|known| known.eq_ignore_ascii_case(name))
        {
            return Err(self.unknown_function(start, name));
        }
        self.at += name.len();
        let arguments = self.arguments()?;
        let mut arguments = Arguments {
            text: self.text,
            start,
            function: name.to_owned(),
            left: arguments,
        };
        let stage = match name.to_ascii_lowercase().as_str() {
            "head" => Stage::Head(arguments.rows()?),
            "tail" => Stage::Tail(arguments.rows()?),
            "sort" => {
                let fields = arguments.names("field")?;
                let count = fields.as_ref().map_or(0, Vec::len);
                self.at_most(count, MAX_SORT_FIELDS, "fields of sort()")?;
                let descending = match arguments.one("order", false)? {
                    None => true,
                    Some((_, order)) if order == "desc" => true,
                    Some((_, order)) if order == "asc" => false,
                    Some((at, _)) => return Err(arguments.error(at, "`order=asc` or `order=desc`")),
                };
                Stage::Sort {
                    fields: fields.unwrap_or_else(|| vec!["_count".to_owned()]),
                    descending,
                    limit: arguments.limit(false, DEFAULT_ROWS, MAX_ROWS)?,
                }
            }
            "select" => Stage::Select(arguments.required_names("fields")?),
            "count" => Stage::Count(arguments.count()?),
            "groupby" => Stage::GroupBy {
                fields: arguments.required_names("field")?,
                count: arguments.function()?,
                limit: arguments.limit(false, DEFAULT_GROUPS, MAX_GROUPS)?,
            },
            "timechart" => Stage::TimeChart {
                series: arguments.one("series", true)?.map(|(_, name)| name),
                span_ms: arguments.span()?,
                count: arguments.function()?,
                limit: arguments.limit(false, DEFAULT_SERIES, MAX_SERIES)?,
            },
            _ => return Err(self.unknown_function(start, name)),
        };
        arguments.nothing_left()?;
        Ok(stage)
    }

    fn unknown_function(&self, start: usize, name: &str) -> ParseError {
        self.error_at(
            start,
            format!("one of the functions {KNOWN_FUNCTIONS}"),
            format!(
                "the function `{name}()` is not supported; put it into quotes to search for the \
                 text"
            ),
        )
    }

    fn arguments(&mut self) -> Result<Vec<Argument>, ParseError> {
        self.advance(); // the parenthesis
        let mut arguments = Vec::new();
        loop {
            self.space();
            if self.eat(")") {
                return Ok(arguments);
            }
            if !arguments.is_empty() {
                if !self.eat(",") {
                    return Err(self.error("`,` or `)`", "close the function's parenthesis"));
                }
                self.space();
            }
            arguments.push(self.argument()?);
        }
    }

    fn argument(&mut self) -> Result<Argument, ParseError> {
        let at = self.at;
        let (name, value) = match self.passed()? {
            Passed::One(first) => {
                self.space();
                if self.eat("=") {
                    self.space();
                    (Some(first.to_ascii_lowercase()), self.passed()?)
                } else {
                    (None, Passed::One(first))
                }
            }
            other => (None, other),
        };
        Ok(Argument { at, name, value })
    }

    /// A value, a list of them, or the function that a function takes.
    fn passed(&mut self) -> Result<Passed, ParseError> {
        if self.peek() == Some('[') {
            return self.deeper(Self::list);
        }
        let start = self.at;
        self.names += 1;
        self.at_most(self.names, MAX_NAMES, "names and arguments of functions")?;
        let token = self.token(&[',', '[', ']'])?;
        let callable = matches!(token, Token::Bare(word) if !is_keyword(word));
        if !callable || self.peek() != Some('(') {
            return Ok(Passed::One(token.name()));
        }
        let function = token.text().to_owned();
        if !function.eq_ignore_ascii_case("count") {
            return Err(self.error_at(
                start,
                "`count()`",
                format!("the function `{function}()` is not supported here"),
            ));
        }
        let left = self.deeper(Self::arguments)?;
        let mut arguments = Arguments {
            text: self.text,
            start,
            function,
            left,
        };
        let count = arguments.count()?;
        arguments.nothing_left()?;
        Ok(Passed::Count(count))
    }

    fn list(&mut self) -> Result<Passed, ParseError> {
        self.advance(); // the bracket
        let mut items = Vec::new();
        loop {
            self.space();
            if self.eat("]") {
                return Ok(Passed::Many(items));
            }
            if !items.is_empty() {
                if !self.eat(",") {
                    return Err(self.error("`,` or `]`", "close the list"));
                }
                self.space();
            }
            let at = self.at;
            match self.passed()? {
                Passed::One(item) => items.push(item),
                // `function=[count()]` is the same as without the brackets.
                Passed::Count(count) if items.is_empty() => {
                    self.space();
                    if self.eat("]") {
                        return Ok(Passed::Count(count));
                    }
                    return Err(self.error("`]`", "one function is all that is known here"));
                }
                _ => return Err(self.error_at(at, "a name", "a list holds names")),
            }
        }
    }
}

/// The arguments of one function that are not used yet.
struct Arguments<'a> {
    text: &'a str,
    start: usize,
    function: String,
    left: Vec<Argument>,
}

impl Arguments<'_> {
    fn error(&self, at: usize, expected: impl Into<String>) -> ParseError {
        error_at(
            self.text,
            at,
            expected,
            format!("see the arguments of `{}()`", self.function),
        )
    }

    /// The argument of this name, or, where that is allowed, the first without a name.
    fn take(&mut self, name: &str, positional: bool) -> Option<Argument> {
        let named = |argument: &Argument| argument.name.as_deref() == Some(name);
        let bare = |argument: &Argument| positional && argument.name.is_none();
        let index = self
            .left
            .iter()
            .position(named)
            .or_else(|| self.left.iter().position(bare))?;
        Some(self.left.remove(index))
    }

    fn one(&mut self, name: &str, positional: bool) -> Result<Option<(usize, String)>, ParseError> {
        match self.take(name, positional) {
            None => Ok(None),
            Some(Argument {
                at,
                value: Passed::One(value),
                ..
            }) => Ok(Some((at, value))),
            Some(Argument { at, .. }) => Err(self.error(at, format!("one value for `{name}`"))),
        }
    }

    fn names(&mut self, name: &str) -> Result<Option<Vec<String>>, ParseError> {
        match self.take(name, true) {
            None => Ok(None),
            Some(Argument { at, value, .. }) => match value {
                Passed::One(field) => Ok(Some(vec![field])),
                Passed::Many(fields) if !fields.is_empty() => Ok(Some(fields)),
                _ => Err(self.error(at, format!("fields for `{name}`"))),
            },
        }
    }

    fn required_names(&mut self, name: &str) -> Result<Vec<String>, ParseError> {
        let names = self.names(name)?;
        names.ok_or_else(|| self.error(self.start, format!("fields, as in `{name}=[a, b]`")))
    }

    fn rows(&mut self) -> Result<usize, ParseError> {
        self.limit(true, DEFAULT_ROWS, MAX_ROWS)
    }

    fn limit(&mut self, positional: bool, default: usize, max: usize) -> Result<usize, ParseError> {
        let Some((at, text)) = self.one("limit", positional)? else {
            return Ok(default);
        };
        if text == "max" {
            return Ok(max);
        }
        let limit = text.parse().ok().filter(|n| (1..=max).contains(n));
        limit.ok_or_else(|| self.error(at, format!("a limit from 1 to {max}, or `max`")))
    }

    fn span(&mut self) -> Result<Option<i64>, ParseError> {
        let Some((at, text)) = self.one("span", false)? else {
            return Ok(None);
        };
        let span = span_ms(&text).filter(|ms| *ms > 0);
        match span {
            Some(span) => Ok(Some(span)),
            None => Err(self.error(at, "a span such as `30s`, `5m`, `1h` or `1d`")),
        }
    }

    fn count(&mut self) -> Result<Count, ParseError> {
        let mut count = Count {
            field: self.one("field", true)?.map(|(_, field)| field),
            ..Count::default()
        };
        if let Some((_, output)) = self.one("as", false)? {
            count.output = output;
        }
        Ok(count)
    }

    /// The argument `function`, `count()` without one.
    fn function(&mut self) -> Result<Count, ParseError> {
        match self.take("function", false) {
            None => Ok(Count::default()),
            Some(Argument {
                value: Passed::Count(count),
                ..
            }) => Ok(count),
            Some(Argument { at, .. }) => Err(self.error(at, "`function=count()`")),
        }
    }

    fn nothing_left(&self) -> Result<(), ParseError> {
        match self.left.first() {
            None => Ok(()),
            Some(argument) => Err(self.error(argument.at, "no such argument here")),
        }
    }
}
