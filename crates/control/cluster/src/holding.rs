//! Changes that are authorized by a Lease that we hold.

use std::time::Duration;

use backstay_retry::{Authority, Authorization, Deadline, WriteGuard, WriteRefused};

use crate::Region;

/// Longest wait for the answer. An attempt to change something has to have time left.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// A Lease, and the name that we hold it by.
#[derive(Debug)]
struct Held {
    region: Region,
    lease: String,
    me: String,
}

impl Region {
    /// Authorizes changes for as long as `me` is written in this Lease as its holder. The Lease is read,
    /// not renewed: whether it has run out does not matter while nobody else has taken it.
    pub fn while_holding(&self, lease: &str, me: &str) -> WriteGuard {
        WriteGuard::authorized_by(Held {
            region: self.under(WriteGuard::unguarded()),
            lease: lease.to_owned(),
            me: me.to_owned(),
        })
    }
}

impl Authority for Held {
    fn authorize(&self) -> Authorization<'_> {
        Box::pin(async {
            let found = self
                .region
                .lease(&self.lease, Deadline::after(CHECK_TIMEOUT))
                .await;
            let found = found.map_err(|error| WriteRefused::Unknown(error.to_string()))?;
            match found.and_then(|it| it.holder) {
                Some(holder) if holder == self.me => Ok(()),
                Some(holder) => Err(WriteRefused::Lost(format!(
                    "{holder} holds lease {} by now",
                    self.lease
                ))),
                None => Err(WriteRefused::Lost(format!(
                    "lease {} is not ours any more",
                    self.lease
                ))),
            }
        })
    }
}
