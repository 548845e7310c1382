//! Queries as text that parses to the same query.

use std::fmt::{self, Display, Formatter, Write};

use super::{Count, Expr, Operator, Part, Pattern, Query, RegexText, Stage, Value};

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        separated(f, &self.stages, " | ")
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(expr) => expr.fmt(f),
            Self::Head(limit) => write!(f, "head({limit})"),
            Self::Tail(limit) => write!(f, "tail({limit})"),
            Self::Sort {
                fields,
                descending,
                limit,
            } => {
                let order = if *descending { "desc" } else { "asc" };
                write!(f, "sort({}, order={order}, limit={limit})", Names(fields))
            }
            Self::Select(fields) => write!(f, "select({})", Names(fields)),
            Self::Count(count) => count.fmt(f),
            Self::GroupBy {
                fields,
                count,
                limit,
            } => write!(
                f,
                "groupBy({}, function={count}, limit={limit})",
                Names(fields)
            ),
            Self::TimeChart {
                series,
                span_ms,
                count,
                limit,
            } => {
                f.write_str("timeChart(")?;
                if let Some(series) = series {
                    write!(f, "{}, ", Name(series))?;
                }
                if let Some(span) = span_ms {
                    write!(f, "span={span}ms, ")?;
                }
                write!(f, "function={count}, limit={limit})")
            }
        }
    }
}

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("count(")?;
        if let Some(field) = &self.field {
            write!(f, "{}, ", Name(field))?;
        }
        write!(f, "as={})", Name(&self.output))
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::True => f.write_char('*'),
            Self::Text(pattern) => pattern.fmt(f),
            Self::Regex(regex) => regex.fmt(f),
            Self::Compare {
                field,
                operator,
                value,
            } => write!(f, "{}{operator}{value}", Name(field)),
            Self::And(parts) => joined(f, parts, " and "),
            Self::Or(parts) => joined(f, parts, " or "),
            Self::Not(inner) => {
                f.write_str("not ")?;
                operand(f, inner)
            }
        }
    }
}

impl Display for Operator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        })
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => pattern.fmt(f),
            Self::Regex(regex) => regex.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bare = match self.exact() {
            Some(text) => is_bare(text),
            None => self.literals().all(is_bare),
        };
        if !bare {
            f.write_char('"')?;
        }
        for part in &self.parts {
            match part {
                Part::Literal(text) if bare => f.write_str(text)?,
                Part::Literal(text) => escaped(f, text)?,
                Part::Star => f.write_char('*')?,
            }
        }
        if !bare {
            f.write_char('"')?;
        }
        Ok(())
    }
}

impl Display for RegexText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.pattern)?;
        for (set, flag) in [
            (self.flags.ignore_case, 'i'),
            (self.flags.multi_line, 'm'),
            (self.flags.dot_all, 'd'),
        ] {
            if set {
                f.write_char(flag)?;
            }
        }
        Ok(())
    }
}

struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_bare(self.0) {
            f.write_str(self.0)
        } else {
            f.write_char('"')?;
            escaped(f, self.0)?;
            f.write_char('"')
        }
    }
}

struct Names<'a>(&'a [String]);

impl Display for Names<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names: Vec<Name<'_>> = self.0.iter().map(|name| Name(name)).collect();
        f.write_char('[')?;
        separated(f, &names, ", ")?;
        f.write_char(']')
    }
}

/// Whether a text needs no quotes. Narrower than what the parser takes, so that this needs no
/// knowledge of its corners.
fn is_bare(text: &str) -> bool {
    !text.is_empty()
        && !text.ends_with(':')
        && !super::parse::is_keyword(text)
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '#' | ':'))
}

fn escaped(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    for char in text.chars() {
        if matches!(char, '"' | '\\' | '*') {
            f.write_char('\\')?;
        }
        f.write_char(char)?;
    }
    Ok(())
}

fn separated<T: Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

fn joined(f: &mut Formatter<'_>, parts: &[Expr], separator: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        operand(f, part)?;
    }
    Ok(())
}

fn operand(f: &mut Formatter<'_>, expr: &Expr) -> fmt::Result {
    if matches!(expr, Expr::And(_) | Expr::Or(_)) {
        write!(f, "({expr})")
    } else {
        expr.fmt(f)
    }
}
