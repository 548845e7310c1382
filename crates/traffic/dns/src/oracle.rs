//! hickory-proto as the judge of what is read and answered here: for the tests of this crate and the
//! fuzz target, never in a production build (feature `oracle`).
#![allow(clippy::unwrap_used)]

use hickory_proto::op::{Message, MessageType};
use hickory_proto::serialize::binary::BinEncodable as _;

use crate::query::{Parsed, parse};
use crate::zone::absolute;
use crate::{Pointer, Transport, UDP_SIZE, Zone, ZoneBuilder, respond};

/// A zone with a name of each kind: `v4`, `v6`, `name`, `empty` below `tm.example`, and `gone` taken away.
pub fn zone() -> Zone {
    let servers = [
        (
            "ns1.tm.example".to_owned(),
            Some("192.0.2.53".parse().unwrap()),
        ),
        (
            "ns2.elsewhere.example".to_owned(),
            Some("192.0.2.54".parse().unwrap()),
        ),
    ];
    let mut builder = ZoneBuilder::new("TM.example", &servers, 7).unwrap();
    let v4 = Pointer::Address("192.0.2.1".parse().unwrap());
    let v6 = Pointer::Address("2001:db8::1".parse().unwrap());
    let name = Pointer::Name(absolute("west.example.net").unwrap());
    builder.set("v4", Some((&v4, 60))).unwrap();
    builder.set("v6", Some((&v6, 0))).unwrap();
    builder.set("name", Some((&name, 30))).unwrap();
    builder.set("empty", Some((&Pointer::Nothing, 30))).unwrap();
    builder.set("gone", Some((&v4, 60))).unwrap();
    builder.set("gone", None).unwrap();
    builder.build().unwrap()
}

/// What hickory-proto reads as a query for one question, we read as the same, and what we answer
/// it reads as an answer to that. `out` is a buffer that is used again.
///
/// # Panics
/// When it is otherwise.
pub fn agrees(zone: &Zone, bytes: &[u8], out: &mut Vec<u8>) {
    for transport in [Transport::Udp, Transport::Tcp] {
        let code = respond(zone, bytes, transport, out);
        assert_eq!(code.is_some(), !out.is_empty());
        if transport == Transport::Udp {
            assert!(out.len() <= UDP_SIZE);
        }
        if code.is_some() {
            let response = Message::from_vec(out)
                .unwrap_or_else(|error| panic!("{error}: {out:02x?} for {bytes:02x?}"));
            assert_eq!(response.metadata.message_type, MessageType::Response);
            assert_eq!(&out[..2], &bytes[..2]);
        }
    }
    let Parsed::Query(ours) = parse(bytes) else {
        return;
    };
    let Ok(theirs) = Message::from_vec(bytes) else {
        return;
    };
    let question = &theirs.queries[0];
    assert_eq!(u16::from(question.query_type()), ours.qtype);
    assert_eq!(
        question.name().to_lowercase().to_bytes().unwrap(),
        ours.name()
    );
}
