//! Forms of LogScale's language that are not implemented. Each is refused by its name: taken for
//! free text, it would give another answer than was asked for, without a word.

use super::{Parser, RegexText, Token};
use crate::query::ParseError;

impl Parser<'_> {
    fn not_supported(&self, at: usize, form: &str, instead: &str) -> ParseError {
        self.error_at(
            at,
            "a filter or function that is known here",
            format!("{form} is not supported; {instead}"),
        )
    }

    /// A bare word that is a form by how it begins or ends.
    pub(super) fn refuse_word(&self, word: &str) -> Result<(), ParseError> {
        let (form, instead) = if word.starts_with('?') {
            (
                "a query parameter (`?name`, `?{name=default}`)",
                "put the value itself there, or quotes around a text that begins with `?`",
            )
        } else if word.starts_with('$') {
            (
                "a saved search (`$name()`)",
                "put its text there, or quotes around a text that begins with `$`",
            )
        } else if word.starts_with('[') {
            (
                "a list (`[a, b]`) within a filter",
                "write `(field=a or field=b)`, or put quotes around a text with brackets",
            )
        } else if word.ends_with("[]") || word.contains("[].") {
            (
                "the array syntax `name[]`",
                "name one element, as in `name[0]=value`, or put the name into quotes",
            )
        } else {
            return Ok(());
        };
        Err(self.not_supported(self.at, form, instead))
    }

    /// What begins with a brace.
    pub(super) fn refuse_block(&self) -> Result<(), ParseError> {
        if !matches!(self.peek(), Some('{' | '}')) {
            return Ok(());
        }
        let before = self.text.get(..self.at).unwrap_or("").trim_end();
        let word = before.rsplit(|c: char| !c.is_alphanumeric()).next();
        let form = match word.unwrap_or("").to_ascii_lowercase().as_str() {
            "case" => "`case { … }`",
            "match" => "`match { … }`",
            _ => "a subquery or block (`{ … }`)",
        };
        let instead = "write a query for each branch, or put quotes around a text with braces";
        Err(self.not_supported(self.at, form, instead))
    }

    /// An operator that stands where the next filter could, written as a word.
    pub(super) fn refuse_operator(&self) -> Result<(), ParseError> {
        let word = self.word(&[]);
        let after = self.rest().get(word.len()..).unwrap_or("").trim_start();
        let is = |operator: &str| word.eq_ignore_ascii_case(operator);
        if self.is_field(word.len()) {
            return Ok(());
        }
        if is("like") {
            let instead = "write `field=*text*`, or put the word into quotes to search for it";
            return Err(self.not_supported(self.at, "the operator `like`", instead));
        }
        let list = word
            .get(..3)
            .is_some_and(|word| word.eq_ignore_ascii_case("in["));
        if list || (is("in") && after.starts_with('[')) {
            let instead = "write `(field=a or field=b)`, or put the word into quotes";
            return Err(self.not_supported(self.at, "the operator `in [ … ]`", instead));
        }
        Ok(())
    }

    /// A comment that has no end, or an end that has no comment.
    pub(super) fn refuse_comment(&self) -> Result<(), ParseError> {
        let is_end = self.word(&[]) == "*/" && !self.is_field(2);
        if self.rest().starts_with("/*") || is_end {
            return Err(self.error(
                "a comment from `/*` to `*/`",
                "put white space before `/*`, and `*/` behind it",
            ));
        }
        Ok(())
    }

    /// `:=` behind the word that was just read.
    pub(super) fn refuse_assignment(&self, start: usize, word: &str) -> Result<(), ParseError> {
        let glued = word.ends_with(':') && self.rest().starts_with('=');
        if glued || self.rest().trim_start().starts_with(":=") {
            return Err(self.not_supported(
                start,
                "an assignment (`name := value`)",
                "use the value where it is needed; a field whose name ends with `:` needs quotes",
            ));
        }
        Ok(())
    }

    /// What cannot stand behind a comparison.
    pub(super) fn refuse_value(&self) -> Result<(), ParseError> {
        let before = self.text.get(..self.at).unwrap_or("");
        let (form, instead) = if self.rest().starts_with('~') && before.ends_with('=') {
            ("the operator `=~`", "write `field=/pattern/`")
        } else if self.rest().starts_with('=') && before.ends_with('=') {
            ("the operator `==`", "write `field=value`")
        } else if self.rest().starts_with('>') && before.ends_with('<') {
            ("the operator `<>`", "write `field!=value`")
        } else {
            return Ok(());
        };
        Err(self.not_supported(self.at - 1, form, instead))
    }

    /// A function in the place of a value.
    pub(super) fn refuse_call(&self, start: usize, token: &Token<'_>) -> Result<(), ParseError> {
        match token {
            Token::Bare(name) if self.peek() == Some('(') => Err(self.not_supported(
                start,
                &format!("the function `{name}()` as a value"),
                "write the value itself, or put it into quotes",
            )),
            _ => Ok(()),
        }
    }

    /// Groups with names, which would be fields.
    pub(super) fn refuse_captures(&self, at: usize, regex: &RegexText) -> Result<(), ParseError> {
        match regex.compiled.capture_names().flatten().next() {
            Some(name) => Err(self.not_supported(
                at,
                &format!("the named capture `(?<{name}>…)`"),
                "write `(?:…)`: no field comes of it here",
            )),
            None => Ok(()),
        }
    }
}
