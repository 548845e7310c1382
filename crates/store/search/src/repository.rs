//! `#repo`: the name of the repository that events are in. It is the same for all events of a source,
//! so it is stored nowhere: whatever is done with an event sees it as one of its tags ([`Within`]).
//! The filters that come first are made into some for each repository, in which conditions on the name
//! are decided, and where no event of a repository can pass, nothing of it is read.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::execute::Row;
use crate::filter::{Fields, Filter};
use crate::query::{Expr, Query, Stage};
use crate::{Event, LiveEvents, SearchError, SegmentSource, SourceError};

/// Name of the tag that says which repository an event is in.
pub const REPOSITORY: &str = "#repo";

/// What it wraps, as of a repository of this name.
struct Named<T: ?Sized> {
    name: Arc<str>,
    inner: Arc<T>,
}

/// A segment whose events are in the repository `name`.
pub fn segment_of(name: Arc<str>, inner: Arc<dyn SegmentSource>) -> Arc<dyn SegmentSource> {
    Arc::new(Named { name, inner })
}

/// Live events that are in the repository `name`.
pub fn live_of(name: Arc<str>, inner: Arc<dyn LiveEvents>) -> Arc<dyn LiveEvents> {
    Arc::new(Named { name, inner })
}

#[async_trait]
impl SegmentSource for Named<dyn SegmentSource> {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn start_ms(&self) -> i64 {
        self.inner.start_ms()
    }

    fn end_ms(&self) -> i64 {
        self.inner.end_ms()
    }

    async fn size(&self) -> Result<u64, SourceError> {
        self.inner.size().await
    }

    async fn bring(&self) -> Result<(), SourceError> {
        self.inner.bring().await
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, SourceError> {
        self.inner.read(range).await
    }

    fn repository(&self) -> Option<Arc<str>> {
        Some(self.name.clone())
    }
}

impl LiveEvents for Named<dyn LiveEvents> {
    fn pieces(&self) -> usize {
        self.inner.pieces()
    }

    fn extent(&self, piece: usize) -> Option<(i64, i64)> {
        self.inner.extent(piece)
    }

    fn memory(&self, piece: usize) -> usize {
        self.inner.memory(piece)
    }

    fn look(
        &self,
        piece: usize,
        see: &mut dyn FnMut(&Event) -> Result<(), SearchError>,
    ) -> Result<(), SearchError> {
        self.inner.look(piece, see)
    }

    fn repository(&self) -> Option<Arc<str>> {
        Some(self.name.clone())
    }
}

/// A row with `#repo`. What an event has under that name itself does not count.
pub(crate) struct Within<'a> {
    pub(crate) row: &'a dyn Fields,
    pub(crate) repository: &'a str,
}

impl Fields for Within<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        if name == REPOSITORY {
            Some(Cow::Borrowed(self.repository))
        } else {
            self.row.value(name)
        }
    }

    fn any_text(&self, found: &mut dyn FnMut(&str) -> bool) -> bool {
        self.row.any_text(found)
    }

    fn to_row(&self) -> Row {
        let mut row = self.row.to_row();
        row.insert(REPOSITORY.to_owned(), self.repository.into());
        row
    }
}

impl Query {
    /// Whether anything of this repository can be in the result: where conditions on its name let
    /// nothing pass, whatever an event has else, nothing of it need be read.
    pub fn may_find_in(&self, repository: &str) -> bool {
        let passes =
            |filter: &Expr| !is_asked_for(filter) || decided(filter, repository) != never();
        self.first_filters().all(passes)
    }

    /// The filters that events have to pass before anything else is done with them.
    pub(crate) fn leading(&self) -> Expr {
        Expr::And(self.first_filters().cloned().collect())
    }

    fn first_filters(&self) -> impl Iterator<Item = &Expr> {
        self.stages.iter().map_while(|stage| match stage {
            Stage::Filter(expr) => Some(expr),
            _ => None,
        })
    }
}

/// Whether a filter asks for the repository.
pub(crate) fn is_asked_for(expr: &Expr) -> bool {
    match expr {
        Expr::True | Expr::Text(_) | Expr::Regex(_) => false,
        Expr::Compare { field, .. } => field == REPOSITORY,
        Expr::And(parts) | Expr::Or(parts) => parts.iter().any(is_asked_for),
        Expr::Not(inner) => is_asked_for(inner),
    }
}

/// The filter for events of one repository: conditions on its name are decided. One that nothing
/// can pass is [`never`].
pub(crate) fn decided(expr: &Expr, repository: &str) -> Expr {
    match expr {
        Expr::Compare { field, .. } if field == REPOSITORY => match Filter::new(expr) {
            Filter::Field(field) if field.matches(Some(repository)) => Expr::True,
            _ => never(),
        },
        Expr::True | Expr::Text(_) | Expr::Regex(_) | Expr::Compare { .. } => expr.clone(),
        Expr::And(parts) => {
            let parts = parts.iter().map(|part| decided(part, repository));
            let left: Vec<Expr> = parts.filter(|part| *part != Expr::True).collect();
            if left.contains(&never()) {
                never()
            } else if left.is_empty() {
                Expr::True
            } else {
                Expr::And(left)
            }
        }
        Expr::Or(parts) => {
            let parts = parts.iter().map(|part| decided(part, repository));
            let left: Vec<Expr> = parts.filter(|part| *part != never()).collect();
            if left.contains(&Expr::True) {
                Expr::True
            } else if left.is_empty() {
                never()
            } else {
                Expr::Or(left)
            }
        }
        Expr::Not(inner) => match decided(inner, repository) {
            Expr::Not(twice) => *twice,
            other => Expr::Not(Box::new(other)),
        },
    }
}

/// The filter that lets nothing pass.
pub(crate) fn never() -> Expr {
    Expr::Not(Box::new(Expr::True))
}
