//! A search over everything that was acknowledged before it began.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstay_global::{BucketEntity, RepositoryId, Segment};
use backstay_search::{
    Execution, Limits, LiveEvents, Query, SourceError, TimeRange, live_of, segment_of,
};
use futures::future::{try_join, try_join_all};

use super::api::{RepositoryName, SearchError};
use super::running::Running;
use super::sources::BucketSegment;
use super::view::{self, PendingTail};

/// How often a search takes a newer state before it gives up; each time, somebody has published
/// segments in the microseconds between two locks.
const MAX_ATTEMPTS: u32 = 100;

/// What a search takes from one state.
struct Chosen {
    /// With their names.
    repositories: BTreeMap<RepositoryId, Arc<str>>,
    covered: Vec<(u32, u64)>,
    pending: Vec<PendingTail>,
    segments: Vec<Segment>,
    buckets: BTreeMap<u32, BucketEntity>,
}

impl Running {
    /// Prepares a search; see [`super::Engine::search`].
    pub(crate) async fn prepare(
        &self,
        repository: &RepositoryName,
        query: Query,
        range: TimeRange,
        limits: Limits,
    ) -> Result<Execution, SearchError> {
        self.catch_up().await?;
        for _ in 0..MAX_ATTEMPTS {
            let chosen = self.choose(repository, &query, range)?;
            let live = self.live(&chosen);
            let Some(live) = live else {
                continue;
            };
            let mut sources = Vec::with_capacity(chosen.segments.len());
            let mut opened = BTreeMap::new();
            for segment in &chosen.segments {
                let bucket = match opened.get(&segment.bucket) {
                    Some(bucket) => bucket,
                    None => {
                        let entity = chosen.buckets.get(&segment.bucket);
                        let bucket = self.buckets.open_id(segment.bucket, entity).await;
                        let bucket =
                            bucket.map_err(|source| backstay_search::SearchError::Source {
                                segment: segment.id.to_string(),
                                source,
                            })?;
                        opened.entry(segment.bucket).or_insert(bucket)
                    }
                };
                let source = BucketSegment::source(segment, bucket.clone());
                let source = match &self.cache {
                    Some(cache) => cache.wrap(source),
                    None => source,
                };
                sources.push(match chosen.repositories.get(&segment.repository) {
                    Some(name) => segment_of(name.clone(), source),
                    None => source,
                });
            }
            let execution = Execution::new(query, range, sources, live, limits);
            return Ok(execution.with(self.resources.clone()));
        }
        Err(SearchError::Unavailable {
            detail: "segments are published faster than the state can be read".to_owned(),
        })
    }

    /// What of the tails belongs to a state; `None` when it is too old.
    fn live(&self, chosen: &Chosen) -> Option<Vec<Arc<dyn LiveEvents>>> {
        let mut live: Vec<Arc<dyn LiveEvents>> = Vec::new();
        for (repository, name) in &chosen.repositories {
            let id = repository.as_str();
            let own = self.tails.batches(&chosen.covered, id)?;
            let recovered = self.recovered.batches(&chosen.pending, id)?;
            let batches = own.into_iter().chain(recovered);
            live.extend(batches.map(|batch| live_of(name.clone(), batch)));
        }
        Some(live)
    }

    /// Brings the metadata and all tails to the present.
    async fn catch_up(&self) -> Result<(), SearchError> {
        let unavailable = |detail: String| SearchError::Unavailable { detail };
        self.global
            .refresh()
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        let (partitions, pending) = self
            .global
            .read(|state| (view::partitions(state), view::pending_tails(state)));
        let own = partitions.into_iter().map(|it| self.follow(it));
        let recovered = pending.iter().map(|it| self.follow_recovered(it));
        try_join(try_join_all(own), try_join_all(recovered))
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        Ok(())
    }

    /// Whether the bucket of another cluster can be read, with the credential and the key that it
    /// needs.
    pub(crate) async fn look_into(&self, entity: &BucketEntity) -> Result<(), SourceError> {
        let bucket = self.buckets.open_id(entity.id, Some(entity)).await?;
        match bucket.get(backstay_global::identity::OBJECT).await {
            Ok(_) => Ok(()),
            // That of a cluster that is not one of ours.
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(SourceError::new(error)),
        }
    }

    fn choose(
        &self,
        repository: &RepositoryName,
        query: &Query,
        range: TimeRange,
    ) -> Result<Chosen, SearchError> {
        self.global.read(|state| {
            let mut repositories = view::searched(state, repository.as_str())?;
            // Where nothing can be found, the buckets of the segments need not even be there.
            repositories.retain(|_, name| query.may_find_in(name));
            Ok(Chosen {
                covered: view::covered(state),
                pending: view::pending_tails(state),
                segments: view::segments(state, repositories.keys(), range),
                buckets: view::buckets(state),
                repositories,
            })
        })
    }
}
