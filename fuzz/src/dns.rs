//! Datagrams: what we answer, hickory-proto reads, and both read queries alike.

use std::cell::RefCell;
use std::sync::LazyLock;

use backstay_traffic_dns::Zone;
use backstay_traffic_dns::oracle::{agrees, zone};

static ZONE: LazyLock<Zone> = LazyLock::new(zone);

thread_local! {
    static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A datagram, or a message on a connection.
pub fn dns_message(input: &[u8]) {
    ANSWER.with_borrow_mut(|answer| agrees(&ZONE, input, answer));
}
