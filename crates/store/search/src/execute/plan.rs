//! What of a query is done where.

use super::Limits;
use super::list::Names;
use crate::TimeRange;
use crate::context::Context;
use crate::event::TIMESTAMP;
use crate::filter::{Fields, Filter, Need};
use crate::query::{Count, Expr, Query, Stage};
use crate::repository::Within;
use crate::segment::Wanted;

/// A query, split at the first stage that needs all rows.
pub(crate) struct Plan {
    pub(crate) context: Context,
    pub(crate) range: TimeRange,
    pub(crate) limits: Limits,
    /// The first filters, together.
    pub(crate) filter: Filter,
    pub(crate) need: Need,
    /// What happens to each row on its own.
    pub(crate) steps: Vec<Step>,
    /// The stage that needs all rows.
    pub(crate) reduce: Reduce,
    /// What happens to its result.
    pub(crate) rest: Vec<Stage>,
    pub(crate) wanted: Wanted,
    /// Span of time charts that do not name one.
    pub(crate) auto_span_ms: i64,
}

/// A stage that looks at one row at a time.
pub(crate) enum Step {
    Filter(Filter),
    Select(Names),
}

/// A stage that needs all rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reduce {
    /// The newest, or oldest, events.
    Ends {
        newest: bool,
        limit: usize,
    },
    /// All events, for a stream that holds none for long.
    All,
    Sort {
        fields: Vec<String>,
        descending: bool,
        limit: usize,
    },
    Count(Count),
    Group {
        fields: Vec<String>,
        count: Count,
        limit: usize,
    },
    Chart {
        series: Option<String>,
        span_ms: i64,
        count: Count,
        limit: usize,
    },
}

/// How many buckets a time chart has when it does not say.
const AUTO_BUCKETS: i64 = 100;

impl Plan {
    /// `filter` is what is left of the query's first filters ([`Query::leading`]); `extent` the first
    /// and last ms of anything that could be read.
    pub(crate) fn new(
        query: &Query,
        filter: &Expr,
        range: TimeRange,
        extent: Option<(i64, i64)>,
        limits: Limits,
        context: Context,
    ) -> Self {
        let auto_span_ms = auto_span(extent);
        let is_filter = |stage: &&Stage| matches!(stage, Stage::Filter(_));
        let mut stages = query.stages.iter().skip_while(is_filter);
        let mut steps = Vec::new();
        let mut wanted = None;
        let reduce = loop {
            let Some(stage) = stages.next() else {
                break Reduce::Ends {
                    newest: true,
                    limit: limits.rows,
                };
            };
            match stage {
                Stage::Filter(expr) => steps.push(Step::Filter(Filter::new(expr))),
                Stage::Select(fields) => {
                    // What a second `select` wants must be in the first.
                    wanted.get_or_insert_with(|| fields.clone());
                    steps.push(Step::Select(Names::new(fields.clone())));
                }
                other => {
                    if let Some(reduce) = Reduce::new(other, auto_span_ms) {
                        break reduce;
                    }
                }
            }
        };
        let position = reduce.keeps_events();
        let names = wanted.or_else(|| (!position).then(|| reduce.names()));
        Self {
            context,
            range,
            limits,
            need: Need::new(filter),
            filter: Filter::new(filter),
            steps,
            reduce,
            rest: stages.cloned().collect(),
            wanted: match names {
                Some(names) => Wanted::These { names, position },
                None => Wanted::All,
            },
            auto_span_ms,
        }
    }

    /// The same for a stream of all rows, of a query in which no stage needs them together.
    pub(crate) fn unbounded(mut self) -> Self {
        self.reduce = Reduce::All;
        self
    }

    /// How many rows at one end of a row group are enough, and whether it is the newer end.
    pub(crate) fn enough(&self) -> Option<(bool, usize)> {
        match self.reduce {
            Reduce::Ends { newest, limit } if self.steps.is_empty() => Some((newest, limit)),
            _ => None,
        }
    }

    /// Whether the steps let every row through.
    pub(crate) fn passes_all(&self) -> bool {
        let is_filter = |step: &Step| matches!(step, Step::Filter(_));
        !self.steps.iter().any(is_filter)
    }

    /// Takes a row that has passed the filter, and is in this repository, through the steps.
    pub(crate) fn take(
        &self,
        row: &dyn Fields,
        repository: Option<&str>,
        scratch: &mut Vec<u8>,
        passed: &mut dyn FnMut(&dyn Fields) -> Result<(), crate::SearchError>,
    ) -> Result<(), crate::SearchError> {
        match repository {
            None => Self::step(&self.steps, row, scratch, passed),
            Some(repository) => {
                let row = Within { row, repository };
                Self::step(&self.steps, &row, scratch, passed)
            }
        }
    }

    fn step(
        steps: &[Step],
        row: &dyn Fields,
        scratch: &mut Vec<u8>,
        passed: &mut dyn FnMut(&dyn Fields) -> Result<(), crate::SearchError>,
    ) -> Result<(), crate::SearchError> {
        match steps.split_first() {
            None => passed(row),
            Some((Step::Filter(filter), rest)) => {
                if !filter.matches(row, scratch) {
                    return Ok(());
                }
                Self::step(rest, row, scratch, passed)
            }
            Some((Step::Select(fields), rest)) => {
                Self::step(rest, &super::list::select(row, fields), scratch, passed)
            }
        }
    }
}

impl Reduce {
    /// The stage as one that needs all rows; `None` when it looks at each row on its own.
    pub(crate) fn new(stage: &Stage, auto_span_ms: i64) -> Option<Self> {
        Some(match stage {
            Stage::Filter(_) | Stage::Select(_) => return None,
            Stage::Head(limit) => Self::Ends {
                newest: false,
                limit: *limit,
            },
            Stage::Tail(limit) => Self::Ends {
                newest: true,
                limit: *limit,
            },
            Stage::Sort {
                fields,
                descending,
                limit,
            } => Self::Sort {
                fields: fields.clone(),
                descending: *descending,
                limit: *limit,
            },
            Stage::Count(count) => Self::Count(count.clone()),
            Stage::GroupBy {
                fields,
                count,
                limit,
            } => Self::Group {
                fields: fields.clone(),
                count: count.clone(),
                limit: *limit,
            },
            Stage::TimeChart {
                series,
                span_ms,
                count,
                limit,
            } => Self::Chart {
                series: series.clone(),
                span_ms: span_ms.unwrap_or(auto_span_ms).max(1),
                count: count.clone(),
                limit: *limit,
            },
        })
    }

    /// Whether its result are whole events.
    fn keeps_events(&self) -> bool {
        matches!(self, Self::Ends { .. } | Self::All | Self::Sort { .. })
    }

    /// The fields that an aggregate looks at.
    fn names(&self) -> Vec<String> {
        let (mut names, count) = match self {
            Self::Ends { .. } | Self::All => return Vec::new(),
            Self::Sort { fields, .. } => return fields.clone(),
            Self::Count(count) => (Vec::new(), count),
            Self::Group { fields, count, .. } => (fields.clone(), count),
            Self::Chart { series, count, .. } => {
                let mut names = vec![TIMESTAMP.to_owned()];
                names.extend(series.clone());
                (names, count)
            }
        };
        names.extend(count.field.clone());
        names
    }
}

/// The least round span that gives no more than [`AUTO_BUCKETS`] buckets.
fn auto_span(extent: Option<(i64, i64)>) -> i64 {
    const ROUND: [i64; 14] = [
        1000,
        5000,
        10_000,
        30_000,
        60_000,
        300_000,
        600_000,
        1_800_000,
        3_600_000,
        10_800_000,
        21_600_000,
        43_200_000,
        86_400_000,
        604_800_000,
    ];
    let length = extent.map_or(0, |(first, last)| last.saturating_sub(first));
    let least = length / AUTO_BUCKETS + 1;
    ROUND
        .into_iter()
        .find(|span| *span >= least)
        .unwrap_or_else(|| {
            least
                .div_euclid(86_400_000)
                .saturating_add(1)
                .saturating_mul(86_400_000)
        })
}
