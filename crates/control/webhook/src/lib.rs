//! Receives Azure Monitor's alerts, and wakes the watch. Nothing in it decides anything: an alert
//! says that it is worth looking now, and what is seen then decides.
//!
//! It is a door that is open to a network, in front of the process that can end a region, so it is
//! narrow:
//! - [`Message`]: a notification in the common alert schema, of 256 KiB at most;
//! - who may tell: a shared secret, a token of Entra ([`Entra`]), or the Functions host on the same
//!   machine ([`Door::Functions`]); without any of them it does not start;
//! - [`Rule`]: the alert rule that wakes; alerts of other rules are taken and ignored;
//! - each message wakes once: it is remembered for as long as it would be taken ([`MAX_AGE`]), and
//!   an older one is refused;
//! - [`Webhook`]: the server; [`Wake`] is what it sends on, [`Counters`] what it counts.
//!
//! # Which answers make Azure try again
//! Azure calls again after 408, 429, 503, 504 and when nothing answers, and after any other status
//! it does not
//! (<https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups>, "Webhook"). So 503 is
//! answered when another attempt may do better (the keys that would prove a token cannot be read,
//! the watch has ended), 408 when a body did not come in time, and everything else is final. When a few calls in a row have failed, Azure leaves the
//! receiver alone for a quarter of an hour: a message is therefore taken even when the watch has
//! not yet got round to the last one, for which it is awake already.

mod admission;
mod counters;
mod entra;
mod inbox;
mod invocation;
mod keys;
mod message;
mod proof;
mod refusal;
mod rule;
mod seen;
mod server;

pub use counters::{Counters, Counts};
pub use entra::{AZURE_MONITOR, Entra, EntraError};
pub use inbox::{Alert, MAX_AGE, MAX_AHEAD, Wake};
pub use message::{Condition, MAX_MESSAGE_BYTES, Malformed, Message};
pub use refusal::RefusalKind;
pub use rule::{Rule, RuleError};
pub use server::{Door, Options, Webhook, WebhookError};
