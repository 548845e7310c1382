//! The language by its description, over maps, with nothing of the executor: what tests compare
//! with.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use crate::query::{Count, Expr, Operator, Part, Query, Stage, Value};
use crate::{Event, TimeRange};

pub(super) type Map = BTreeMap<String, String>;

fn map_of(event: &Event) -> Map {
    let mut map = Map::new();
    for (name, value) in event.fields.iter().rev() {
        map.insert(name.clone(), value.clone());
    }
    for (name, value) in event.tags.iter().rev() {
        map.insert(format!("#{}", name.trim_start_matches('#')), value.clone());
    }
    map.insert("@timestamp".into(), event.timestamp_ms.to_string());
    map.insert("@rawstring".into(), event.raw.clone());
    map.insert("@id".into(), event.id.clone());
    map
}

fn lower(text: &str) -> Vec<char> {
    text.chars()
        .map(|c| {
            let lower: Vec<char> = c.to_lowercase().collect();
            match lower[..] {
                [one] if c.is_ascii() || (!one.is_ascii() && one.len_utf8() == c.len_utf8()) => one,
                _ => c,
            }
        })
        .collect()
}

/// Whether `text` has the parts one after the other; `Star` lets anything between.
fn glob(parts: &[Part], text: &[char]) -> bool {
    match parts.split_first() {
        None => text.is_empty(),
        Some((Part::Star, rest)) => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        Some((Part::Literal(literal), rest)) => {
            let literal: Vec<char> = literal.chars().collect();
            text.starts_with(&literal) && glob(rest, &text[literal.len()..])
        }
    }
}

fn holds(expr: &Expr, map: &Map) -> bool {
    let texts = || {
        map.iter()
            .filter(|(name, _)| !name.starts_with('#') && *name != "@id" && *name != "@timestamp")
            .map(|(_, value)| value)
    };
    match expr {
        Expr::True => true,
        Expr::Text(pattern) => {
            let mut parts = vec![Part::Star];
            parts.extend(pattern.parts.iter().map(|part| match part {
                Part::Literal(text) => Part::Literal(lower(text).into_iter().collect()),
                Part::Star => Part::Star,
            }));
            parts.push(Part::Star);
            texts().any(|text| glob(&parts, &lower(text)))
        }
        Expr::Regex(regex) => texts().any(|text| regex.compiled.is_match(text)),
        Expr::Compare {
            field,
            operator,
            value,
        } => {
            let Some(text) = map.get(field) else {
                return *operator == Operator::NotEqual;
            };
            let number = || text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
            match (operator, value) {
                (Operator::Equal, Value::Pattern(p)) => glob(&p.parts, &chars(text)),
                (Operator::NotEqual, Value::Pattern(p)) => !glob(&p.parts, &chars(text)),
                (Operator::Equal, Value::Regex(r)) => r.compiled.is_match(text),
                (Operator::NotEqual, Value::Regex(r)) => !r.compiled.is_match(text),
                (Operator::Less, Value::Number(n)) => number().is_some_and(|v| v < *n),
                (Operator::LessEqual, Value::Number(n)) => number().is_some_and(|v| v <= *n),
                (Operator::Greater, Value::Number(n)) => number().is_some_and(|v| v > *n),
                (Operator::GreaterEqual, Value::Number(n)) => number().is_some_and(|v| v >= *n),
                other => panic!("{other:?} is no comparison"),
            }
        }
        Expr::And(parts) => parts.iter().all(|part| holds(part, map)),
        Expr::Or(parts) => parts.iter().any(|part| holds(part, map)),
        Expr::Not(inner) => !holds(inner, map),
    }
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn by_fields(a: &Map, b: &Map, fields: &[String], descending: bool) -> std::cmp::Ordering {
    use std::cmp::Ordering::{Greater, Less};
    let number = |text: &String| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    for field in fields {
        let order = match (a.get(field), b.get(field)) {
            (None, None) => continue,
            (None, _) => return Greater,
            (_, None) => return Less,
            (Some(a), Some(b)) => match (number(a), number(b)) {
                (Some(x), Some(y)) => x.total_cmp(&y),
                (Some(_), None) => Less,
                (None, Some(_)) => Greater,
                (None, None) => a.cmp(b),
            },
        };
        if order.is_ne() {
            return if descending { order.reverse() } else { order };
        }
    }
    std::cmp::Ordering::Equal
}

fn grouped(rows: &[Map], fields: &[String], count: &Count) -> BTreeMap<Vec<String>, u64> {
    let mut groups = BTreeMap::new();
    for row in rows {
        if let Some(key) = fields
            .iter()
            .map(|f| row.get(f).cloned())
            .collect::<Option<Vec<_>>>()
        {
            let counted = count
                .field
                .as_ref()
                .is_none_or(|field| row.contains_key(field));
            *groups.entry(key).or_default() += u64::from(counted);
        }
    }
    groups
}

pub(super) fn reference(
    query: &Query,
    range: TimeRange,
    events: &[(Event, usize)],
    limit: usize,
) -> Vec<Map> {
    let inside = |at: i64| range == TimeRange::ALL || (range.start_ms <= at && at < range.end_ms);
    let mut sorted: Vec<&Event> = events.iter().map(|(event, _)| event).collect();
    sorted.retain(|event| inside(event.timestamp_ms));
    sorted.sort_by_key(|event| (event.timestamp_ms, event.id.clone()));
    let mut rows: Vec<Map> = sorted.into_iter().map(map_of).collect();
    let mut by_time = true;
    for stage in &query.stages {
        match stage {
            Stage::Filter(expr) => rows.retain(|row| holds(expr, row)),
            Stage::Head(n) => rows.truncate(*n),
            Stage::Tail(n) => rows = rows.split_off(rows.len().saturating_sub(*n)),
            Stage::Sort {
                fields,
                descending,
                limit,
            } => {
                rows.sort_by(|a, b| by_fields(a, b, fields, *descending));
                rows.truncate(*limit);
                by_time = false;
            }
            Stage::Select(fields) => {
                rows.iter_mut()
                    .for_each(|row| row.retain(|name, _| fields.contains(name)));
            }
            Stage::Count(count) => {
                let n = grouped(&rows, &[], count).remove(&vec![]).unwrap_or(0);
                rows = vec![Map::from([(count.output.clone(), n.to_string())])];
                by_time = false;
            }
            Stage::GroupBy { fields, count, .. } => {
                let mut groups: Vec<_> = grouped(&rows, fields, count).into_iter().collect();
                groups.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
                rows = groups
                    .into_iter()
                    .map(|(key, n)| {
                        let mut row: Map = fields.iter().cloned().zip(key).collect();
                        row.insert(count.output.clone(), n.to_string());
                        row
                    })
                    .collect();
                by_time = false;
            }
            Stage::TimeChart {
                series,
                span_ms,
                count,
                ..
            } => {
                let span = span_ms.unwrap();
                let mut names: Vec<String> = series.iter().cloned().collect();
                for row in &mut rows {
                    if let Some(at) = row.get("@timestamp").and_then(|at| at.parse::<i64>().ok()) {
                        row.insert("_bucket".into(), at.div_euclid(span).to_string());
                    } else {
                        row.remove("_bucket");
                    }
                }
                names.insert(0, "_bucket".into());
                let groups = grouped(&rows, &names, count);
                let number = |key: &Vec<String>| key[0].parse::<i64>().unwrap();
                let first = groups.keys().map(number).min().unwrap_or(0);
                let last = groups.keys().map(number).max().unwrap_or(-1);
                let mut found: Vec<Vec<String>> =
                    groups.keys().map(|key| key[1..].to_vec()).collect();
                found.sort();
                found.dedup();
                rows = Vec::new();
                for bucket in first..=last {
                    for values in &found {
                        let mut key = vec![bucket.to_string()];
                        key.extend(values.clone());
                        let n = groups.get(&key).copied().unwrap_or(0);
                        let mut row = Map::from([("_bucket".into(), (bucket * span).to_string())]);
                        row.extend(series.iter().cloned().zip(values.clone()));
                        row.insert(count.output.clone(), n.to_string());
                        rows.push(row);
                    }
                }
                by_time = false;
            }
        }
    }
    if by_time {
        rows = rows.split_off(rows.len().saturating_sub(limit));
        rows.reverse();
    }
    rows.truncate(limit);
    rows
}
