//! The query language: a part of LogScale's.
//!
//! A query is a pipe of stages. A stage is a filter or a function:
//!
//! | Written | Means |
//! | --- | --- |
//! | `word`, `"some words"` | the text stands somewhere in the event: in `@rawstring` or a field, in upper or lower case; not in tags, `@id`, `@timestamp` |
//! | `/pattern/i` | the same for a regular expression; flags `i` (case), `m` (`^` and `$` at lines), `d` (`.` matches line ends); upper and lower case differ without `i` |
//! | `field=value`, `field!=value` | the whole value, upper and lower case differ; `!=` also holds where there is no such field |
//! | `field=/pattern/` | the expression is found in the value |
//! | `*` in a text or value | any characters; `field=*`: there is such a field; `\*` is a star |
//! | `field < 5`, `<=`, `>`, `>=` | both are numbers |
//! | `#tag`, `@id`, `@timestamp`, `@rawstring` | names like any other |
//! | `#type` | the parser that took the event apart |
//! | `#repo` | the repository that the event is in, whatever the event says of it itself |
//! | `a b`, `a and b`, `a or b`, `not a`, `!a`, `( )` | `not` binds before `or`, `or` before `and`, as in LogScale: `a b or c` is `a and (b or c)` |
//! | `head(n)`, `tail(n)` | the first (oldest), the last (newest) n, 200 by default |
//! | `sort(field, order=asc, limit=n)` | by `_count`, `desc`, 200 by default; numbers before texts when ascending, after them when descending, rows without the field last |
//! | `select([a, b])` | only these fields |
//! | `count()`, `count(field, as=name)` | how many (have the field), as `_count` |
//! | `groupBy([a, b], function=count(), limit=n)` | the same for each combination that exists |
//! | `timeChart(field, span=5m, function=count(), limit=n)` | the same for each stretch of time, `_bucket` |
//!
//! `head` and `tail` go by time until a stage has given the rows another order. `groupBy` leaves
//! out rows that lack one of the fields and gives the largest groups first; `timeChart` shows
//! stretches without any row too, as 0, between the first and the last that has one.
//!
//! `// text` to the end of the line is a comment, and so is `/* text */`. What LogScale has beyond
//! this is refused by its name (`parse/forms.rs`): assignments (`:=`), `case`, `match`, `=~`, `like`,
//! `in [ ]`, parameters (`?name`), named captures, subqueries, saved searches (`$name()`), `name[]`,
//! functions within filters and those that are not in the table. Such text in quotes is free text.
//!
//! A query has at most 256 KiB, 100 stages, 1,000 conditions, 50 regular expressions (4 MiB of them
//! compiled), 1,000 names and arguments of functions, 32 fields in a `sort`, and 64 levels of
//! parentheses.

mod display;
mod parse;
mod pattern;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use pattern::{Part, Pattern, RegexText};

/// A query. Its `Display` is a text that parses to the same query.
#[derive(Clone, Debug)]
pub struct Query {
    /// The stages in their order; never empty.
    pub(crate) stages: Vec<Stage>,
    pub(crate) memory: usize,
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.stages == other.stages
    }
}

/// Where a text stops being a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: expected {expected}; {hint}")]
pub struct ParseError {
    /// How many characters of the text are before the place.
    pub at: usize,
    /// What could have stood there.
    pub expected: String,
    /// What to write instead.
    pub hint: String,
}

impl Query {
    /// Parses a query. Computes for long when it has large regular expressions: call it where that
    /// may block.
    ///
    /// ```
    /// use backstay_search::Query;
    ///
    /// let query = Query::parse("DataSnapshotLoader | #kind != threaddumps | count()")?;
    /// assert!(query.is_aggregate());
    /// assert!(Query::parse("(a or b").is_err());
    /// # Ok::<(), backstay_search::ParseError>(())
    /// ```
    ///
    /// # Errors
    /// Says where the text stops being a query and what to do.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::query(text)
    }

    /// What it takes in memory, roughly, with its compiled regular expressions.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Whether there is a stage that needs all rows together.
    pub(crate) fn needs_all_rows(&self) -> bool {
        let is_of_one = |stage: &Stage| matches!(stage, Stage::Filter(_) | Stage::Select(_));
        !self.stages.iter().all(is_of_one)
    }

    /// Whether its rows are aggregates, not events.
    pub fn is_aggregate(&self) -> bool {
        self.stages.iter().any(|stage| {
            matches!(
                stage,
                Stage::Count(_) | Stage::GroupBy { .. } | Stage::TimeChart { .. }
            )
        })
    }
}

/// One stage of the pipe.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stage {
    /// Lets rows through or not.
    Filter(Expr),
    /// The first n rows.
    Head(usize),
    /// The last n rows.
    Tail(usize),
    /// The first n in an order.
    Sort {
        fields: Vec<String>,
        descending: bool,
        limit: usize,
    },
    /// Keeps only these fields of each row.
    Select(Vec<String>),
    /// Counts rows, in one group or in several.
    Count(Count),
    /// How many rows for each combination of values.
    GroupBy {
        fields: Vec<String>,
        count: Count,
        limit: usize,
    },
    /// How many rows for each stretch of time.
    TimeChart {
        series: Option<String>,
        span_ms: Option<i64>,
        count: Count,
        limit: usize,
    },
}

/// The function `count()`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Count {
    /// Counts only rows with this field.
    pub(crate) field: Option<String>,
    /// Name of the result.
    pub(crate) output: String,
}

impl Default for Count {
    fn default() -> Self {
        Self {
            field: None,
            output: "_count".to_owned(),
        }
    }
}

/// A filter, as it was parsed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    /// Passes every event.
    True,
    /// Passes events whose raw text has this pattern.
    Text(Pattern),
    /// A free regular expression.
    Regex(RegexText),
    /// Compares the value of a field.
    Compare {
        field: String,
        operator: Operator,
        value: Value,
    },
    /// Passes what all of them pass.
    And(Vec<Expr>),
    /// Passes what any of them passes.
    Or(Vec<Expr>),
    /// Passes what it does not pass.
    Not(Box<Expr>),
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// With what a field is compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A pattern with `*`, for equality.
    Pattern(Pattern),
    /// A regular expression, for equality.
    Regex(RegexText),
    /// For the others; finite.
    Number(f64),
}
