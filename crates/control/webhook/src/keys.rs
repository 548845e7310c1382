//! The keys of a tenant, kept for a while.
//!
//! Entra exchanges its keys when it likes, and asks to read them at least every 24 hours
//! (<https://learn.microsoft.com/entra/identity-platform/signing-key-rollover>). Anybody can send
//! a token that names a key nobody knows, so such a token must not make us ask each time.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_azure::{SigningKey, Tenant};
use jsonwebtoken::DecodingKey;
use parking_lot::RwLock;
use tokio::sync::Mutex;

use crate::refusal::Refusal;

/// Keys are as good as new for so long.
const REREAD_AFTER: Duration = Duration::from_secs(60 * 60);
/// And are used for so long when they cannot be read again.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// They are not read more often.
const REREAD_DELAY: Duration = Duration::from_secs(30);
/// Unless that failed: Azure calls again after 5 s.
const REREAD_DELAY_AFTER_FAILURE: Duration = Duration::from_secs(3);

/// What to do about a token that names a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// The key is there.
    Use,
    /// Read the keys first.
    Read,
    /// There is no such key.
    Unknown,
    /// That cannot be said.
    Unavailable,
}

/// `known` is how old the keys are, if this one is among them; `tried` how long ago they were read
/// last, and whether that worked.
fn plan(known: Option<Duration>, tried: Option<(Duration, bool)>) -> Plan {
    match (known, tried) {
        (Some(age), _) if age < REREAD_AFTER => Plan::Use,
        (_, None) => Plan::Read,
        (_, Some((ago, worked)))
            if ago
                >= if worked {
                    REREAD_DELAY
                } else {
                    REREAD_DELAY_AFTER_FAILURE
                } =>
        {
            Plan::Read
        }
        (known, tried) => after(known, tried),
    }
}

/// The same, once they have been read, or could not be.
fn after(known: Option<Duration>, tried: Option<(Duration, bool)>) -> Plan {
    match (known, tried) {
        (Some(age), _) if age < MAX_AGE => Plan::Use,
        (None, Some((_, true))) => Plan::Unknown,
        _ => Plan::Unavailable,
    }
}

#[derive(Default)]
struct Read {
    keys: HashMap<String, DecodingKey>,
    at: Option<Instant>,
    tried: Option<(Instant, bool)>,
}

impl Read {
    fn known(&self, id: &str) -> Option<Duration> {
        let at = self.at.filter(|_| self.keys.contains_key(id))?;
        Some(at.elapsed())
    }

    fn tried(&self) -> Option<(Duration, bool)> {
        self.tried.map(|(at, worked)| (at.elapsed(), worked))
    }

    fn take(&mut self, keys: Vec<SigningKey>) {
        let usable = keys.into_iter().filter_map(|it| {
            let key = DecodingKey::from_rsa_components(&it.modulus, &it.exponent).ok()?;
            Some((it.id, key))
        });
        self.keys = usable.collect();
        self.at = Some(Instant::now());
    }
}

pub(crate) struct Keys {
    tenant: Tenant,
    read: RwLock<Read>,
    /// One at a time reads.
    reading: Mutex<()>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tenant.fmt(f)
    }
}

impl Keys {
    pub(crate) fn new(tenant: Tenant) -> Self {
        Self {
            tenant,
            read: RwLock::default(),
            reading: Mutex::default(),
        }
    }

    /// The key with this id.
    pub(crate) async fn key(self: &Arc<Self>, id: &str) -> Result<DecodingKey, Refusal> {
        let now = |plan: fn(_, _) -> Plan| {
            let read = self.read.read();
            (
                plan(read.known(id), read.tried()),
                read.keys.get(id).cloned(),
            )
        };
        let mut found = now(plan);
        if found.0 == Plan::Read {
            let _one = self.reading.lock().await;
            // Another one may have read them meanwhile.
            found = now(plan);
            if found.0 == Plan::Read {
                self.read_anew().await;
                found = now(after);
            }
        }
        match found {
            (Plan::Use, Some(key)) => Ok(key),
            (Plan::Unknown, _) => Err(Refusal::Forbidden(
                "the token names a key that its tenant does not have (kid)",
            )),
            _ => Err(Refusal::Unverifiable(
                "the tenant's signing keys could not be read, see above".to_owned(),
            )),
        }
    }

    async fn read_anew(self: &Arc<Self>) {
        // In a task of its own: whoever asked may go away.
        let keys = Arc::clone(self);
        let reading = tokio::spawn(async move {
            let got = keys.tenant.signing_keys().await;
            let mut read = keys.read.write();
            read.tried = Some((Instant::now(), got.is_ok()));
            match got {
                Ok(got) => read.take(got),
                Err(error) => tracing::warn!(%error, "no keys to judge tokens by"),
            }
        });
        // It does not panic, and ends after a few seconds.
        let _ = reading.await;
    }
}

#[cfg(test)]
mod tests;
