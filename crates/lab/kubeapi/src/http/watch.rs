//! Watch: every change after a version, in order, none left out and none twice.
//!
//! A watcher has no queue of its own in the store: it holds a version and reads the history from
//! there whenever something is new. One that is too slow falls out of the history and is told so.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::read::{selector, version};
use super::request::{Call, Target};
use super::view::View;
use crate::document::{self, metadata_mut};
use crate::kind::Kind;
use crate::selector::Selector;
use crate::status::{ApiError, ApiResult};
use crate::store::{Change, ChangeKind, Document, ListQuery, Store};

/// How long a watch lasts that does not say: between this and twice as long, so that clients do
/// not all come back at once.
const MIN_WATCH_DURATION: Duration = Duration::from_secs(1800);
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// Changes that are sent together.
const MAX_BATCH_CHANGES: usize = 128;

pub(super) fn watch(api: &Api, call: &Call, target: &Target) -> ApiResult<Response> {
    let selector = selector(call, target.kind)?;
    let asked = version(call)?;
    let bookmarks = call.flag("allowWatchBookmarks");
    let send_initial = match call.parameter("sendInitialEvents") {
        "" => None,
        _ => Some(call.flag("sendInitialEvents")),
    };
    if send_initial.is_some() && call.parameter("resourceVersionMatch") != "NotOlderThan" {
        return Err(ApiError::unprocessable(
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    let lasts = match call.number("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => Duration::from_secs(seconds.min(86_400)),
        _ => MIN_WATCH_DURATION.mul_f64(rand::rng().random_range(1.0..2.0)),
    };
    let mut watcher = Watcher {
        store: api.store.clone(),
        announcements: api.store.announcements(),
        stopping: api.stopping.clone(),
        kind: target.kind,
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        selector,
        view: View::of(call)?,
        version: 0,
        ready: Vec::new(),
        any_sent: false,
        ended: false,
        deadline: Box::pin(tokio::time::sleep(lasts)),
        bookmark: bookmarks.then(|| Instant::now() + BOOKMARK_INTERVAL),
    };
    let initial = send_initial.unwrap_or(asked.is_none());
    if initial {
        if let Some(asked) = asked
            && asked > api.store.version()
        {
            return Err(ApiError::version_in_future(asked, api.store.version()));
        }
        watcher.send_current(bookmarks && send_initial == Some(true))?;
    } else {
        watcher.version = asked.unwrap_or_else(|| api.store.version());
    }
    let stream = stream::unfold(watcher, |mut watcher| async move {
        let lines = watcher.next().await?;
        Some((Ok::<_, Infallible>(lines), watcher))
    });
    let mut response = (StatusCode::OK, Body::from_stream(stream)).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

struct Watcher {
    store: Store,
    announcements: Receiver<u64>,
    stopping: CancellationToken,
    kind: &'static Kind,
    namespace: String,
    name: String,
    selector: Selector,
    view: View,
    /// Everything up to here is sent.
    version: u64,
    ready: Vec<u8>,
    any_sent: bool,
    ended: bool,
    deadline: Pin<Box<Sleep>>,
    bookmark: Option<Instant>,
}

enum Woken {
    New,
    Bookmark,
    Over,
}

impl Watcher {
    /// The next lines, or the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.ready.is_empty() {
                return Some(Bytes::from(std::mem::take(&mut self.ready)));
            }
            if self.ended {
                return None;
            }
            // Seen before the history is read: what comes after it wakes us.
            self.announcements.mark_unchanged();
            match self
                .store
                .changes(self.kind, self.version, MAX_BATCH_CHANGES)
            {
                Ok((changes, upto)) => {
                    let more = changes.len() == MAX_BATCH_CHANGES;
                    for change in &changes {
                        self.send_change(change);
                    }
                    self.version = upto;
                    if more || !self.ready.is_empty() {
                        continue;
                    }
                }
                Err(error) => {
                    self.line("ERROR", &error.body());
                    self.ended = true;
                    continue;
                }
            }
            match self.wait().await {
                Woken::New => {}
                Woken::Bookmark => {
                    let bookmark = self.view.bookmark(self.kind, self.version, false);
                    self.line("BOOKMARK", &bookmark);
                    self.bookmark = Some(Instant::now() + BOOKMARK_INTERVAL);
                }
                Woken::Over => self.ended = true,
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let bookmark = self.bookmark;
        let due = async move {
            match bookmark {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.announcements.changed() => match changed {
                Ok(()) => Woken::New,
                Err(_) => Woken::Over,
            },
            () = due => Woken::Bookmark,
            () = self.deadline.as_mut() => Woken::Over,
            () = self.stopping.cancelled() => Woken::Over,
        }
    }

    fn line(&mut self, kind: &str, object: &Value) {
        let line = json!({ "type": kind, "object": object });
        self.ready.extend_from_slice(line.to_string().as_bytes());
        self.ready.push(b'\n');
    }

    fn send(&mut self, kind: &str, document: &Value) {
        let shown = self.view.event(self.kind, document, !self.any_sent);
        self.any_sent = true;
        self.line(kind, &shown);
    }

    /// All that there is now, as if it were new.
    fn send_current(&mut self, say_end: bool) -> ApiResult<()> {
        let listed = self.store.list(&ListQuery {
            kind: self.kind,
            namespace: &self.namespace,
            selector: &self.selector,
            limit: 0,
            from: None,
            at: None,
        })?;
        for document in &listed.documents {
            if self.means(document) {
                self.send("ADDED", document);
            }
        }
        self.version = listed.version;
        if say_end {
            let bookmark = self.view.bookmark(self.kind, self.version, true);
            self.line("BOOKMARK", &bookmark);
        }
        Ok(())
    }

    fn means(&self, document: &Value) -> bool {
        (self.namespace.is_empty() || document::namespace(document) == self.namespace)
            && (self.name.is_empty() || document::name(document) == self.name)
            && self.selector.matches(document)
    }

    /// A change as this watch sees it: a document may come into its selection and leave it.
    fn send_change(&mut self, change: &Change) {
        let meant = |document: &Option<Document>| {
            document
                .as_ref()
                .is_some_and(|document| self.means(document))
        };
        let before = meant(&change.previous);
        let after = change.kind != ChangeKind::Deleted && self.means(&change.document);
        match (before, after) {
            (false, false) => {}
            (false, true) => self.send("ADDED", &change.document),
            (true, true) => self.send("MODIFIED", &change.document),
            (true, false) => {
                // As it was when it was last meant, under the version at which it left.
                let last = change.previous.as_ref().unwrap_or(&change.document);
                let mut last = Value::clone(last);
                metadata_mut(&mut last).insert(
                    "resourceVersion".to_owned(),
                    json!(change.version.to_string()),
                );
                self.send("DELETED", &last);
            }
        }
    }
}
