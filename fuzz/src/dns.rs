//! Datagrams: what we answer, hickory-proto reads, and both read queries alike.

use std::cell::RefCell;
use std::sync::LazyLock;

use backstay_traffic_dns::query::{Parsed, parse};
use backstay_traffic_dns::zone::absolute;
use backstay_traffic_dns::{Pointer, Transport, UDP_SIZE, Zone, ZoneBuilder, respond};
use hickory_proto::op::{Message, MessageType};
use hickory_proto::serialize::binary::BinEncodable as _;

static ZONE: LazyLock<Zone> = LazyLock::new(|| {
    let address = |text: &str| text.parse().expect("an address");
    let servers = [
        ("ns1.tm.example".to_owned(), Some(address("192.0.2.53"))),
        ("ns2.elsewhere.example".to_owned(), None),
    ];
    let mut builder = ZoneBuilder::new("TM.example", &servers, 7).expect("a zone");
    let west = absolute("west.example.net").expect("a name");
    for (label, pointer) in [
        ("v4", Pointer::Address(address("192.0.2.1"))),
        ("v6", Pointer::Address(address("2001:db8::1"))),
        ("name", Pointer::Name(west)),
        ("empty", Pointer::Nothing),
    ] {
        builder.set(label, Some((&pointer, 60))).expect("a record");
    }
    builder.build().expect("a zone")
});

thread_local! {
    static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A datagram, or a message on a connection.
pub fn dns_message(input: &[u8]) {
    ANSWER.with_borrow_mut(|answer| {
        for transport in [Transport::Udp, Transport::Tcp] {
            let code = respond(&ZONE, input, transport, answer);
            assert_eq!(code.is_some(), !answer.is_empty());
            if transport == Transport::Udp {
                assert!(answer.len() <= UDP_SIZE);
            }
            if code.is_some() {
                let read = Message::from_vec(answer).expect("an answer is a message");
                assert_eq!(read.metadata.message_type, MessageType::Response);
                assert_eq!(answer[..2], input[..2]);
            }
        }
    });
    let (Parsed::Query(ours), Ok(theirs)) = (parse(input), Message::from_vec(input)) else {
        return;
    };
    let question = &theirs.queries[0];
    assert_eq!(u16::from(question.query_type()), ours.qtype);
    let name = question.name().to_lowercase().to_bytes();
    assert_eq!(name.expect("a name that was read"), ours.name());
}
