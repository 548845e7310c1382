//! From a query and the zone to an answer. Pure; what it writes into is the caller's.

use super::query::{Edns, Parsed, Query, Rcode, parse};
use super::zone::{Records, Zone, rtype};
use super::{UDP_SIZE, UDP_SIZE_WITHOUT_EDNS};

const IN: u16 = 1;
const ANY_CLASS: u16 = 255;
const HEADER_BYTES: usize = 12;
const AUTHORITATIVE: u8 = 0x04;
const TRUNCATED: u8 = 0x02;

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram: the answer may have to be cut.
    Udp,
    /// A stream: it may not.
    Tcp,
}

/// Writes the answer to a message into `out`, which is cleared first, and returns its response
/// code; none if the message gets no answer.
pub fn respond(
    zone: &Zone,
    message: &[u8],
    transport: Transport,
    out: &mut Vec<u8>,
) -> Option<Rcode> {
    out.clear();
    match parse(message) {
        Parsed::Nothing => None,
        Parsed::Refused(refusal) => {
            let flags = 0x80 | (refusal.opcode << 3) | u8::from(refusal.recursion_desired);
            out.extend(refusal.id.to_be_bytes());
            out.extend([flags, refusal.rcode as u8]);
            out.extend([0; 8]);
            Some(refusal.rcode)
        }
        Parsed::Query(query) => {
            let answer = find(zone, &query);
            write(zone, &query, &answer, transport, out);
            Some(answer.rcode)
        }
    }
}

/// Writes the answer that says nothing but "ask again over TCP".
pub fn respond_truncated(message: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let Parsed::Query(query) = parse(message) else {
        return false;
    };
    head(&query, Rcode::NoError, TRUNCATED, [0, 0], out);
    options(&query, Rcode::NoError, out);
    true
}

struct Answer<'a> {
    rcode: Rcode,
    authoritative: bool,
    records: Option<&'a Records>,
    /// Where in the name the owner of the SOA begins.
    soa_owner: Option<usize>,
}

fn find<'a>(zone: &'a Zone, query: &Query<'_>) -> Answer<'a> {
    let refused = |rcode| Answer {
        rcode,
        authoritative: false,
        records: None,
        soa_owner: None,
    };
    if query.edns.is_some_and(|it| it.version != 0) {
        return refused(Rcode::BadVers);
    }
    if ![IN, ANY_CLASS].contains(&query.qclass) {
        return refused(Rcode::Refused);
    }
    match query.qtype {
        rtype::AXFR | rtype::IXFR => return refused(Rcode::Refused),
        rtype::MAILA | rtype::MAILB => return refused(Rcode::NotImp),
        _ => {}
    }
    // Not ours: it would take recursion.
    let Some(suffix) = zone.suffix(query.name()) else {
        return refused(Rcode::Refused);
    };
    let node = zone.node(query.name());
    let records = node.and_then(|it| it.find(query.qtype));
    Answer {
        rcode: if node.is_some() {
            Rcode::NoError
        } else {
            Rcode::NxDomain
        },
        authoritative: true,
        records,
        soa_owner: records.is_none().then_some(suffix),
    }
}

fn write(
    zone: &Zone,
    query: &Query<'_>,
    answer: &Answer<'_>,
    transport: Transport,
    out: &mut Vec<u8>,
) {
    let flags = if answer.authoritative {
        AUTHORITATIVE
    } else {
        0
    };
    let count = answer.records.map_or(0, |it| it.count);
    let negative = u16::from(answer.soa_owner.is_some());
    head(query, answer.rcode, flags, [count, negative], out);
    if let Some(records) = answer.records {
        out.extend_from_slice(&records.bytes);
    }
    if let Some(owner) = answer.soa_owner {
        // Offsets of names are below 12 + 255, so 14 bits hold them.
        let [high, low] = u16::try_from(HEADER_BYTES + owner)
            .unwrap_or(0)
            .to_be_bytes();
        out.extend([0xc0 | high, low]);
        out.extend_from_slice(zone.soa());
    }
    let limit = match (transport, query.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => UDP_SIZE_WITHOUT_EDNS,
        (Transport::Udp, Some(Edns { size, .. })) => {
            usize::from(size).clamp(UDP_SIZE_WITHOUT_EDNS, UDP_SIZE)
        }
    };
    let options_length = if query.edns.is_some() { 11 } else { 0 };
    if out.len() + options_length > limit {
        out.clear();
        head(query, answer.rcode, flags | TRUNCATED, [0, 0], out);
    }
    options(query, answer.rcode, out);
}

fn head(query: &Query<'_>, rcode: Rcode, flags: u8, counts: [u16; 2], out: &mut Vec<u8>) {
    let [answers, authorities] = counts.map(u16::to_be_bytes);
    let [i0, i1] = query.id.to_be_bytes();
    let additionals = u8::from(query.edns.is_some());
    let flags = 0x80 | flags | u8::from(query.recursion_desired);
    out.extend([i0, i1, flags, rcode as u8 & 0x0f, 0, 1]);
    out.extend(answers);
    out.extend(authorities);
    out.extend([0, additionals]);
    out.extend_from_slice(query.question);
}

/// EDNS is answered to those who speak it (RFC 6891, 6.1.1).
fn options(query: &Query<'_>, rcode: Rcode, out: &mut Vec<u8>) {
    let Some(edns) = query.edns else { return };
    // UDP_SIZE is a constant below 65536.
    let [s0, s1] = u16::try_from(UDP_SIZE).unwrap_or(512).to_be_bytes();
    let flags = if edns.dnssec_ok { 0x80 } else { 0 };
    out.extend([0, 0, 41, s0, s1, rcode as u8 >> 4, 0, flags, 0, 0, 0]);
}
