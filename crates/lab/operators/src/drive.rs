//! What calls a reconciler: a kube-rs controller that waits for changes, and tries again what
//! failed.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBuilder;
use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::controller::{Action, Controller, Error};
use kube::runtime::watcher::{self, ExponentialBackoff};

use crate::api::{Kind, Objects, RunError};

/// The region's server may have been away for a moment only.
const WATCH_BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// After somebody else was faster: he is done by then.
const CONFLICT_DELAY: Duration = Duration::from_millis(50);
/// After any other failure.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// A controller of the documents of one kind, in `namespace` or everywhere.
pub(crate) fn controller(
    objects: &Objects,
    kind: Kind,
    namespace: &str,
    which: watcher::Config,
) -> Controller<DynamicObject> {
    let (first, longest) = WATCH_BACKOFF;
    let again = ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times();
    Controller::new_with(objects.api(kind, namespace), which, kind.resource())
        .trigger_backoff(ExponentialBackoff::from(again))
}

/// The same, also called when something changes that such a document owns.
pub(crate) fn owning(
    controller: Controller<DynamicObject>,
    objects: &Objects,
    owned: &[Kind],
    namespace: &str,
) -> Controller<DynamicObject> {
    owned.iter().fold(controller, |controller, kind| {
        let api = objects.api(*kind, namespace);
        controller.owns_with(api, kind.resource(), watcher::Config::default())
    })
}

/// Runs it until it is dropped. `name` is for the log.
pub(crate) async fn run<C, F>(
    name: &'static str,
    controller: Controller<DynamicObject>,
    context: Arc<C>,
    reconcile: impl Fn(Arc<DynamicObject>, Arc<C>) -> F,
) where
    C: Send + Sync + 'static,
    F: Future<Output = Result<Action, RunError>> + Send + 'static,
{
    let again = |_: Arc<DynamicObject>, error: &RunError, _: Arc<C>| {
        Action::requeue(match error {
            RunError::Overtaken { .. } => CONFLICT_DELAY,
            _ => RETRY_DELAY,
        })
    };
    controller
        .run(reconcile, again, context)
        .for_each(|outcome| {
            match outcome {
                Ok(_) | Err(Error::ObjectNotFound(_)) => {}
                Err(Error::ReconcilerFailed(error @ RunError::Overtaken { .. }, object)) => {
                    tracing::debug!(controller = name, %object, %error, "done again");
                }
                Err(Error::ReconcilerFailed(error, object)) => {
                    tracing::warn!(controller = name, %object, %error, "done again");
                }
                Err(error) => tracing::warn!(controller = name, %error, "watched again"),
            }
            std::future::ready(())
        })
        .await;
}
