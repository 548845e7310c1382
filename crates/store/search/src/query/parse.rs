//! The parser: recursive descent over characters, with a bound on its depth.

use super::pattern::{Flags, Pattern, RegexText};
use super::{Expr, Operator, ParseError, Query, Stage, Value};

mod forms;
mod functions;

/// How deep parentheses and `not` may nest; the stack is finite and queries come from outside.
const MAX_DEPTH: usize = 64;
/// Bytes of a query. What a search does for each event grows with these five, so they are bounded
/// before anything is compiled or run.
const MAX_BYTES: usize = 256 << 10;
/// Stages of a query.
const MAX_STAGES: usize = 100;
/// A parsed query takes so many times its text, at the most.
const MEMORY_PER_TEXT_BYTE: usize = 16;
/// Conditions of all filters of a query.
const MAX_TERMS: usize = 1000;
/// Regular expressions of a query; each takes memory of its own in each thread that runs it.
const MAX_REGEXES: usize = 50;
/// Bytes of the compiled regular expressions of a query together.
const MAX_REGEX_BYTES: usize = 4 << 20;
/// Names that the functions of a query take together.
const MAX_NAMES: usize = 1000;

/// Parses a whole query.
pub(super) fn query(text: &str) -> Result<Query, ParseError> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        terms: 0,
        regexes: 0,
        regex_bytes: 0,
        names: 0,
    };
    if text.len() > MAX_BYTES {
        return Err(parser.error(
            format!("a query of at most {MAX_BYTES} bytes"),
            format!("this one has {}; split it", text.len()),
        ));
    }
    let mut stages = Vec::new();
    loop {
        parser.space();
        parser.at_most(stages.len() + 1, MAX_STAGES, "stages between `|`")?;
        // An empty first stage is a query for everything; `| head(5)` is common.
        if stages.is_empty() && matches!(parser.peek(), None | Some('|')) {
            stages.push(Stage::Filter(Expr::True));
        } else {
            stages.push(parser.stage()?);
        }
        parser.space();
        match parser.peek() {
            None => {
                let memory = text.len() * MEMORY_PER_TEXT_BYTE + parser.regex_bytes;
                return Ok(Query { stages, memory });
            }
            Some('|') => parser.advance(),
            Some(_) => {
                return Err(parser.error(
                    "`|`, `and`, `or` or the end of the query",
                    "put text with special characters into quotes",
                ));
            }
        }
    }
}

/// Whether a bare word means something else than itself.
pub(super) fn is_keyword(word: &str) -> bool {
    ["and", "or", "not"]
        .iter()
        .any(|keyword| word.eq_ignore_ascii_case(keyword))
}

struct Parser<'a> {
    text: &'a str,
    /// Bytes that are read.
    at: usize,
    depth: usize,
    /// How many conditions, regular expressions and names there were.
    terms: usize,
    regexes: usize,
    /// What the regular expressions take.
    regex_bytes: usize,
    names: usize,
}

/// A name or value as written.
enum Token<'a> {
    Bare(&'a str),
    Quoted(&'a str),
}

impl<'a> Token<'a> {
    fn text(&self) -> &'a str {
        match self {
            Self::Bare(text) | Self::Quoted(text) => text,
        }
    }

    /// As a name: a star is a star in it.
    fn name(&self) -> String {
        let mut name = String::new();
        let mut chars = self.text().chars().peekable();
        while let Some(char) = chars.next() {
            match (char, chars.peek()) {
                ('\\', Some(&next @ ('*' | '"' | '\\'))) => {
                    name.push(next);
                    chars.next();
                }
                _ => name.push(char),
            }
        }
        name
    }
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Skips white space and comments.
    fn space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            let length = if trimmed.starts_with("//") {
                trimmed.find('\n').or(Some(trimmed.len()))
            } else if trimmed.starts_with("/*") {
                // One without an end is refused as whatever should stand here.
                let inner = trimmed.get(2..).and_then(|inner| inner.find("*/"));
                inner.map(|end| end + 4)
            } else {
                None
            };
            match length {
                Some(length) => self.at += length,
                None => return,
            }
        }
    }

    /// Refuses more of something than a query may have.
    fn at_most(&self, count: usize, most: usize, what: &str) -> Result<(), ParseError> {
        if count <= most {
            return Ok(());
        }
        Err(self.error(
            format!("at most {most} {what} in a query"),
            "split the query",
        ))
    }

    fn error(&self, expected: impl Into<String>, hint: impl Into<String>) -> ParseError {
        self.error_at(self.at, expected, hint)
    }

    fn error_at(
        &self,
        at: usize,
        expected: impl Into<String>,
        hint: impl Into<String>,
    ) -> ParseError {
        error_at(self.text, at, expected, hint)
    }

    /// The bare word that starts here, without taking it.
    fn word(&self, extra_stops: &[char]) -> &'a str {
        let rest = self.rest();
        let mut chars = rest.char_indices().peekable();
        while let Some((index, char)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            let stops = match char {
                '\\' => {
                    if matches!(next, Some('*' | '"' | '\\')) {
                        chars.next();
                    }
                    false
                }
                '(' | ')' | '|' | '"' | '=' | '<' | '>' | '{' | '}' => true,
                '!' => next == Some('='),
                other => other.is_whitespace() || extra_stops.contains(&other),
            };
            if stops {
                return rest.get(..index).unwrap_or("");
            }
        }
        rest
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let word = self.word(&[]);
        let found = word.eq_ignore_ascii_case(keyword);
        // `and = 5` is a field of that name.
        if !found || self.is_field(word.len()) {
            return false;
        }
        self.at += word.len();
        true
    }

    /// Whether a comparison follows after this many bytes.
    fn is_field(&self, after: usize) -> bool {
        let ahead = self.rest().get(after..).unwrap_or("").trim_start();
        ahead.starts_with(['=', '<', '>']) || ahead.starts_with("!=")
    }

    fn stage(&mut self) -> Result<Stage, ParseError> {
        let word = self.word(&[]);
        let called = self
            .rest()
            .get(word.len()..)
            .is_some_and(|r| r.starts_with('('));
        if called && !word.is_empty() && !word.starts_with(['!', '/']) && !is_keyword(word) {
            self.refuse_word(word)?;
            return self.function_stage(word);
        }
        Ok(Stage::Filter(self.and()?))
    }

    fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(
                format!("at most {MAX_DEPTH} levels of parentheses and `not`"),
                "write the filter flatter",
            ));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Filters side by side. `or` binds closer than `and`, as in LogScale.
    fn and(&mut self) -> Result<Expr, ParseError> {
        let mut parts = vec![self.or()?];
        loop {
            self.space();
            if !self.keyword("and") {
                if matches!(self.peek(), None | Some('|' | ')')) {
                    break;
                }
                self.refuse_operator()?;
            }
            parts.push(self.or()?);
        }
        Ok(one_or(parts, Expr::And))
    }

    fn or(&mut self) -> Result<Expr, ParseError> {
        let mut parts = vec![self.unary()?];
        loop {
            self.space();
            if !self.keyword("or") {
                break;
            }
            parts.push(self.unary()?);
        }
        Ok(one_or(parts, Expr::Or))
    }

    fn unary(&mut self) -> Result<Expr, ParseError> {
        self.space();
        let negated = if self.keyword("not") {
            true
        } else if self.peek() == Some('!') && !self.rest().starts_with("!=") {
            self.advance();
            true
        } else {
            false
        };
        if negated {
            return Ok(Expr::Not(Box::new(self.deeper(Self::unary)?)));
        }
        if self.eat("(") {
            let inner = self.deeper(Self::and)?;
            self.space();
            if !self.eat(")") {
                return Err(self.error("`)`", "close the parenthesis"));
            }
            return Ok(inner);
        }
        self.term()
    }

    fn term(&mut self) -> Result<Expr, ParseError> {
        self.terms += 1;
        self.at_most(self.terms, MAX_TERMS, "conditions")?;
        self.refuse_comment()?;
        if self.peek() == Some('/') {
            return Ok(Expr::Regex(self.regex()?));
        }
        let start = self.at;
        let token = self.token(&[])?;
        if let Token::Bare(word) = token {
            if is_keyword(word) && !self.is_field(0) {
                return Err(self.error_at(
                    start,
                    "a filter",
                    format!("`{word}` joins two filters; put it into quotes to search for it"),
                ));
            }
            if self.peek() == Some('(') {
                return Err(self.error_at(
                    start,
                    "a filter",
                    format!(
                        "functions such as `{word}()` stand alone between `|`; functions within \
                         filters are not supported"
                    ),
                ));
            }
            self.refuse_assignment(start, word)?;
        }
        if !self.is_field(0) {
            let pattern = Pattern::parse(token.text());
            // Every event has the empty text.
            return Ok(if pattern.literals().next().is_none() {
                Expr::True
            } else {
                Expr::Text(pattern)
            });
        }
        self.space();
        let field = token.name();
        let operator = self.operator()?;
        self.space();
        let value = self.value(operator)?;
        Ok(Expr::Compare {
            field,
            operator,
            value,
        })
    }

    fn token(&mut self, extra_stops: &[char]) -> Result<Token<'a>, ParseError> {
        self.refuse_block()?;
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let word = self.word(extra_stops);
        if word.is_empty() {
            return Err(self.error(
                "a word, a text in quotes or a regular expression",
                "put special characters into quotes",
            ));
        }
        self.refuse_word(word)?;
        self.at += word.len();
        Ok(Token::Bare(word))
    }

    fn quoted(&mut self) -> Result<Token<'a>, ParseError> {
        let start = self.at;
        self.advance();
        let rest = self.rest();
        let mut chars = rest.char_indices().peekable();
        while let Some((index, char)) = chars.next() {
            match char {
                '"' => {
                    self.at += index + 1;
                    return Ok(Token::Quoted(rest.get(..index).unwrap_or("")));
                }
                '\\' if matches!(chars.peek(), Some((_, '*' | '"' | '\\'))) => {
                    chars.next();
                }
                _ => {}
            }
        }
        Err(self.error_at(
            start,
            "a text that ends with `\"`",
            "close the quotes; write a quote within them as `\\\"`",
        ))
    }

    fn regex(&mut self) -> Result<RegexText, ParseError> {
        let start = self.at;
        self.advance();
        let rest = self.rest();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next() {
                Some((_, '\\')) => {
                    chars.next();
                }
                Some((index, '/')) => break index,
                Some(_) => {}
                None => {
                    return Err(self.error_at(
                        start,
                        "a regular expression that ends with `/`",
                        "write a slash within it as `\\/`, or put a text with slashes into quotes",
                    ));
                }
            }
        };
        self.at += end + 1;
        let mut flags = Flags::default();
        while let Some(char) = self.peek().filter(|c| c.is_alphanumeric()) {
            match char {
                'i' => flags.ignore_case = true,
                'm' => flags.multi_line = true,
                'd' => flags.dot_all = true,
                other => {
                    return Err(self.error(
                        "one of the flags `i`, `m`, `d`",
                        format!(
                            "`{other}` is not one of them; put a text with slashes into quotes"
                        ),
                    ));
                }
            }
            self.advance();
        }
        self.regexes += 1;
        self.at_most(self.regexes, MAX_REGEXES, "regular expressions")?;
        let pattern = rest.get(..end).unwrap_or("").to_owned();
        let regex = RegexText::new(pattern, flags).map_err(|error| {
            self.error_at(
                start,
                "a regular expression",
                format!("this is not a valid one: {error}"),
            )
        })?;
        self.refuse_captures(start, &regex)?;
        self.regex_bytes += regex.memory;
        if self.regex_bytes > MAX_REGEX_BYTES {
            return Err(self.error_at(
                start,
                "smaller regular expressions",
                format!(
                    "those of this query take more than {MAX_REGEX_BYTES} bytes once they are \
                     compiled; write fewer repetitions, or split the query"
                ),
            ));
        }
        Ok(regex)
    }

    fn operator(&mut self) -> Result<Operator, ParseError> {
        let known = [
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessEqual),
            (">=", Operator::GreaterEqual),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        known
            .into_iter()
            .find(|(text, _)| self.eat(text))
            .map(|(_, operator)| operator)
            .ok_or_else(|| self.error("a comparison", "one of = != < <= > >="))
    }

    fn value(&mut self, operator: Operator) -> Result<Value, ParseError> {
        let start = self.at;
        self.refuse_value()?;
        if matches!(operator, Operator::Equal | Operator::NotEqual) {
            if self.peek() == Some('/') {
                self.refuse_comment()?;
                return Ok(Value::Regex(self.regex()?));
            }
            let token = self.token(&[])?;
            self.refuse_call(start, &token)?;
            return Ok(Value::Pattern(Pattern::parse(token.text())));
        }
        let token = self.token(&[])?;
        token
            .text()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(Value::Number)
            .ok_or_else(|| self.error_at(start, "a number", "only numbers are less or greater"))
    }
}

fn error_at(
    text: &str,
    at: usize,
    expected: impl Into<String>,
    hint: impl Into<String>,
) -> ParseError {
    ParseError {
        at: text.get(..at).unwrap_or(text).chars().count(),
        expected: expected.into(),
        hint: hint.into(),
    }
}

fn one_or(mut parts: Vec<Expr>, many: impl FnOnce(Vec<Expr>) -> Expr) -> Expr {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            parts.push(last);
            many(parts)
        }
        (None, _) => Expr::True,
    }
}
