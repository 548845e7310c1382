//! A plan for each repository that a search reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::plan::Plan;
use crate::context::Context;
use crate::memory::Held;
use crate::query::{Expr, Query};
use crate::{LiveEvents, SearchError, SegmentSource, repository};

/// What is read, each with its plan.
pub(crate) type Planned<T> = Vec<(Arc<Plan>, Arc<T>)>;

/// Plans that differ in nothing but their filters.
pub(crate) struct Plans {
    /// With the filter as it is written: for what is in no repository, and how results are put
    /// together, for all.
    pub(crate) any: Arc<Plan>,
    /// Where the filter asks for the repository: `None` where nothing can pass.
    named: BTreeMap<Arc<str>, Option<Arc<Plan>>>,
    /// The memory of those that are not `any`.
    held: Held,
}

impl Plans {
    /// Plans for repositories of these names, by `make`.
    ///
    /// # Errors
    /// When they are so many that there is no memory for them.
    pub(crate) fn new(
        query: &Query,
        names: impl Iterator<Item = Arc<str>>,
        context: &Context,
        make: impl Fn(&Expr) -> Plan,
    ) -> Result<Self, SearchError> {
        let leading = query.leading();
        let mut plans = Self {
            any: Arc::new(make(&leading)),
            named: BTreeMap::new(),
            held: context.rows(usize::MAX),
        };
        if !repository::is_asked_for(&leading) {
            return Ok(plans);
        }
        // In most repositories the same is left of a filter.
        let mut made: Vec<(Expr, Option<Arc<Plan>>)> = vec![(repository::never(), None)];
        for name in names {
            if plans.named.contains_key(&name) {
                continue;
            }
            let filter = repository::decided(&leading, &name);
            let known = made.iter().find(|(other, _)| *other == filter);
            let plan = match known {
                Some((_, plan)) => plan.clone(),
                None => {
                    plans.held.reach(made.len() * query.memory(), "the query")?;
                    let plan = Some(Arc::new(make(&filter)));
                    made.push((filter, plan.clone()));
                    plan
                }
            };
            plans.named.insert(name, plan);
        }
        Ok(plans)
    }

    /// The one for what is in this repository; `None` when nothing of that can pass.
    fn of(&self, repository: Option<Arc<str>>) -> Option<Arc<Plan>> {
        match repository.and_then(|name| self.named.get(&name)) {
            Some(plan) => plan.clone(),
            None => Some(self.any.clone()),
        }
    }

    /// Segments that must be read.
    pub(crate) fn segments(&self, all: Vec<Arc<dyn SegmentSource>>) -> Planned<dyn SegmentSource> {
        self.planned(all, |it| it.repository())
    }

    /// Live events that must be read.
    pub(crate) fn live(&self, all: Vec<Arc<dyn LiveEvents>>) -> Planned<dyn LiveEvents> {
        self.planned(all, |it| it.repository())
    }

    fn planned<T: ?Sized>(
        &self,
        all: Vec<Arc<T>>,
        repository: impl Fn(&T) -> Option<Arc<str>>,
    ) -> Planned<T> {
        let read = all.into_iter();
        read.filter_map(|it| Some((self.of(repository(&it))?, it)))
            .collect()
    }
}
