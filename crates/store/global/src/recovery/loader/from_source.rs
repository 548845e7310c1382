//! Another cluster's state, sealed and patched into one of ours.

use backstay_bucket::{Bucket, BucketConfig, Provider};
use backstay_journal::StreamId;
use uuid::Uuid;

use super::{Loader, Origin, RecoverFrom, Round, fetched};
use crate::event::Event;
use crate::identity;
use crate::log::{CommitError, GlobalLog};
use crate::recovery::Place;
use crate::recovery::error::LoadError;
use crate::recovery::keep::keep;
use crate::recovery::patch::{PatchInput, Patched, patch};
use crate::recovery::probe::Probe;
use crate::recovery::takeover::{self, Source};
use crate::segment::NO_BUCKET;
use crate::snapshot;
use crate::state::{EpochOffset, State};
use crate::store::journal_over;

impl Loader<'_> {
    /// Another cluster's state, patched; `None` when another node of ours was faster.
    pub(super) async fn recover(&mut self, found: &Probe) -> Round<(GlobalLog, Origin)> {
        let Some(from) = self.options.recover_from.clone() else {
            return Ok(None);
        };
        self.check_endpoints(&from)?;
        let config = &from.bucket;
        let provider = config.provider_name();
        self.log_line(format!(
            "Trying to fetch a global snapshot as recovery source from bucket storage in {provider}"
        ));
        self.log_line(format!(
            "Trying to fetch a global snapshot from bucket storage {provider} if one exists in bucket={}",
            config.container
        ));
        let source = match &self.source {
            Some(open) => open.clone(),
            None => {
                let open = if from.without_seal {
                    Bucket::open_to_read(config.clone()).await?
                } else {
                    Bucket::open(config.clone()).await?
                };
                self.source.insert(open).clone()
            }
        };
        let mut state = self.source_state(&source, config).await?;
        let position = state.position();
        self.log_line(format!(
            "Fetched a global snapshot as recovery source from bucket storage in {provider} and got snapshot with epochOffset={position} now patching..."
        ));
        self.select(vec![(position, provider)], found.first);
        let source_journal = journal_over(&source, self.options.writer.clone())
            .reading_as(self.options.source_reading.clone());
        let ending = Source {
            journal: &source_journal,
            seal: !from.without_seal,
        };
        let sealed = ending.end_global(&mut state, &self.cluster_id).await?;
        let tails = ending.end_partitions(&state, &self.cluster_id).await?;
        let recovery = Uuid::new_v4().simple().to_string();
        let epoch = state.epoch.saturating_add(1);
        let marker = Event::Recovered {
            id: recovery.clone(),
            epoch,
        };
        let begun =
            takeover::begin_own(&self.journal, found, &state, marker, &self.cluster_id).await?;
        let Some(begun) = begun else {
            return Ok(None);
        };
        if let Some(sealed) = sealed
            && !ending
                .is_still_ended(&state, &sealed, &self.cluster_id)
                .await?
        {
            return Ok(None);
        }
        let input = PatchInput {
            cluster_id: self.cluster_id.clone(),
            position: EpochOffset {
                epoch,
                offset: begun.offset,
            },
            term: begun.term,
            own: Place::of(self.options.own.config()),
            source: Place::of(config),
            replace_region: from.replace_region.clone(),
            replace_bucket: from.replace_bucket.clone(),
            partitions: begun.partitions,
            recovery: recovery.clone(),
            from_cluster: state.cluster_id.clone(),
            from: state.position(),
            at_ms: chrono::Utc::now().timestamp_millis(),
            tails,
        };
        let before = state.buckets.clone();
        let Patched { state, loss, log } = patch(state, &input);
        for line in log {
            self.log_line(line);
        }
        if !loss.is_empty() {
            tracing::error!(%loss, "only the lost hosts had this");
        }
        let source_id = state.recoveries.last().map_or(NO_BUCKET, |it| it.bucket);
        keep(&self.options.own, &source, &before, &state, source_id).await?;
        backstay_failpoint::hit("recovery.before_snapshot");
        snapshot::write(&self.options.own, &state).await?;
        snapshot::mirror(&self.options.data_dir, &state).await?;
        backstay_failpoint::hit("recovery.after_snapshot");
        let log = GlobalLog::open(self.journal.clone(), state);
        // Another node may have begun a term meanwhile; if it has recovered again, this state is
        // not the cluster's.
        match log.refresh().await {
            Ok(()) => Ok(Some((log, Origin::Recovered { recovery, loss }))),
            Err(CommitError::Stale { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// [`source_state`], and the line that tells of it.
    async fn source_state(
        &mut self,
        source: &Bucket,
        config: &BucketConfig,
    ) -> Result<State, LoadError> {
        let provider = config.provider_name();
        let (state, found) = source_state(source, &self.cluster_id).await?;
        match found {
            Some(position) => self.log_line(fetched(provider, position)),
            None => self.log_line(format!(
                "Fetching global snapshot from bucket storage {provider} found no snapshot to fetch."
            )),
        }
        Ok(state)
    }

    fn check_endpoints(&self, from: &RecoverFrom) -> Result<(), LoadError> {
        let (own, source) = (self.options.own.config(), &from.bucket);
        let azure = |config: &BucketConfig| matches!(config.provider, Provider::Azure { .. });
        let (own_at, source_at) = (own.endpoint(), source.endpoint());
        if self.options.multiple_endpoints || !azure(own) || !azure(source) || own_at == source_at {
            return Ok(());
        }
        Err(LoadError::OneEndpoint {
            own: own_at,
            source_endpoint: source_at,
        })
    }
}

/// The newest snapshot of the source, with its position; or, if it died before its first one,
/// nothing, to be followed by all of its journal.
pub(in crate::recovery) async fn source_state(
    source: &Bucket,
    cluster_id: &str,
) -> Result<(State, Option<EpochOffset>), LoadError> {
    let config = source.config();
    let identity = identity::read(source).await?;
    if identity.as_deref() == Some(cluster_id) {
        return Err(LoadError::OwnSource {
            container: config.container.clone(),
            variable: config.container_variable(),
        });
    }
    let newest = snapshot::newest(source, identity.as_deref()).await?;
    if let Some(newest) = newest {
        let state = snapshot::read(source, &newest.key).await?;
        return Ok((state, Some(newest.position())));
    }
    let first = StreamId::Global.key(0);
    match identity {
        Some(id) if source.exists(&first).await? => Ok((State::before_creation(id), None)),
        _ => Err(LoadError::NothingToRecover {
            container: config.container.clone(),
            prefix: config.prefix.clone(),
            variable: config.container_variable(),
        }),
    }
}
