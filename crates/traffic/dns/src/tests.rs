#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use hickory_proto::op::{
    Edns as HickoryEdns, Message, MessageType, OpCode, Query as Question, ResponseCode,
};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use hickory_proto::serialize::binary::BinEncodable;
use proptest::prelude::*;

use super::oracle::{agrees, zone};
use super::query::{Parsed, Rcode, parse};
use super::rate::{Rate, Verdict};
use super::respond::respond_truncated;
use super::*;

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii(name).unwrap();
    message.add_query(Question::query(name, kind));
    message
}

fn ask(message: &Message, transport: Transport) -> Message {
    let mut out = Vec::new();
    respond(&zone(), &message.to_bytes().unwrap(), transport, &mut out).unwrap();
    Message::from_vec(&out).unwrap()
}

fn answers(response: &Message) -> Vec<String> {
    response
        .answers
        .iter()
        .map(|it| it.data.to_string())
        .collect()
}

/// Azure's table of record types asked for and of endpoints, and what is in a zone besides.
#[test]
fn names_and_types() {
    use RecordType::{A, AAAA, ANY, AXFR, CNAME, MX, NS, SOA, TXT};
    use ResponseCode::{NXDomain, NoError, Refused};
    let west = ["west.example.net."].as_slice();
    let v4 = ["192.0.2.1"].as_slice();
    let v6 = ["2001:db8::1"].as_slice();
    let none = [].as_slice();
    let table = [
        ("v4.tm.example.", A, NoError, v4),
        ("v4.tm.example.", ANY, NoError, v4),
        ("v4.tm.example.", AAAA, NoError, none),
        ("v4.tm.example.", CNAME, NoError, none),
        ("v4.tm.example.", TXT, NoError, none),
        ("v6.tm.example.", AAAA, NoError, v6),
        ("v6.tm.example.", ANY, NoError, v6),
        ("v6.tm.example.", A, NoError, none),
        ("name.tm.example.", A, NoError, west),
        ("name.tm.example.", AAAA, NoError, west),
        ("name.tm.example.", CNAME, NoError, west),
        ("name.tm.example.", ANY, NoError, west),
        ("name.tm.example.", MX, NoError, west),
        ("empty.tm.example.", A, NoError, none),
        ("empty.tm.example.", ANY, NoError, none),
        ("gone.tm.example.", A, NXDomain, none),
        ("nowhere.tm.example.", A, NXDomain, none),
        ("a.v4.tm.example.", A, NXDomain, none),
        ("ns1.tm.example.", A, NoError, ["192.0.2.53"].as_slice()),
        ("tm.example.", A, NoError, none),
        (
            "tm.example.",
            NS,
            NoError,
            ["ns1.tm.example.", "ns2.elsewhere.example."].as_slice(),
        ),
        ("tm.example.", AXFR, Refused, none),
        ("example.", SOA, Refused, none),
        (".", NS, Refused, none),
        ("tmxexample.", A, Refused, none),
        ("xtm.example.", A, Refused, none),
        ("ns2.elsewhere.example.", A, Refused, none),
        ("www.example.org.", A, Refused, none),
    ];
    for (name, kind, code, expected) in table {
        for transport in [Transport::Udp, Transport::Tcp] {
            let mut message = query(name, kind);
            message.metadata.recursion_desired = true;
            let response = ask(&message, transport);
            let head = &response.metadata;
            assert_eq!(head.response_code, code, "{name} {kind}");
            assert_eq!(answers(&response), expected, "{name} {kind}");
            assert_eq!(head.authoritative, code != Refused, "{name} {kind}");
            assert!(head.recursion_desired && !head.recursion_available);
            assert!(!head.truncation);
            assert_eq!((head.id, &response.queries), (4711, &message.queries));
            // RFC 2308: a negative answer has the zone's SOA, anything else has not.
            let negative = code != Refused && expected.is_empty();
            assert_eq!(
                response.authorities.len(),
                usize::from(negative),
                "{name} {kind}"
            );
            for soa in &response.authorities {
                assert_eq!(soa.name, Name::from_ascii("tm.example.").unwrap(), "{name}");
                let RData::SOA(data) = &soa.data else {
                    panic!("{soa}")
                };
                assert_eq!((soa.ttl, data.minimum), (30, 30));
                assert_eq!(data.mname.to_string(), "ns1.tm.example.");
            }
            assert!(response.additionals.is_empty() && response.edns.is_none());
        }
    }
}

#[test]
fn the_soa_counts_up_and_ttls_are_the_profiles() {
    let servers = [];
    let mut builder = ZoneBuilder::new("tm.example", &servers, 7).unwrap();
    let mut serials = Vec::new();
    for _ in 0..3 {
        let zone = builder.build().unwrap();
        let mut out = Vec::new();
        let soa = query("tm.example.", RecordType::SOA).to_bytes().unwrap();
        respond(&zone, &soa, Transport::Udp, &mut out).unwrap();
        let response = Message::from_vec(&out).unwrap();
        let RData::SOA(data) = &response.answers[0].data else {
            panic!("{response}")
        };
        serials.push(data.serial);
    }
    assert_eq!(serials, [7, 8, 9]);
    let ttl = |name| ask(&query(name, RecordType::ANY), Transport::Udp).answers[0].ttl;
    assert_eq!((ttl("v4.tm.example."), ttl("v6.tm.example.")), (60, 0));
}

/// The question comes back in its own case (resolvers check that), and means the same.
#[test]
fn case_does_not_matter_and_is_kept() {
    let response = ask(&query("v4.Tm.eXAMPLE.", RecordType::A), Transport::Udp);
    assert_eq!(answers(&response), ["192.0.2.1"]);
    let asked = response.queries[0].name().to_ascii();
    assert_eq!(asked, "v4.Tm.eXAMPLE.");
}

#[test]
fn edns_is_answered_to_those_who_speak_it() {
    let mut message = query("v4.tm.example.", RecordType::A);
    let mut edns = HickoryEdns::new();
    edns.set_max_payload(4096);
    edns.set_dnssec_ok(true);
    message.edns = Some(edns);
    let response = ask(&message, Transport::Udp);
    let edns = response.edns.as_ref().unwrap();
    assert_eq!(usize::from(edns.max_payload()), UDP_SIZE);
    assert_eq!(edns.version(), 0);
    assert!(edns.flags().dnssec_ok);

    let mut newer = HickoryEdns::new();
    newer.set_version(1);
    message.edns = Some(newer);
    let response = ask(&message, Transport::Udp);
    // 16 has two names: BADVERS, and BADSIG in TSIG.
    assert_eq!(u16::from(response.metadata.response_code), 16);
    assert!(response.answers.is_empty());
}

#[test]
fn what_does_not_fit_is_cut_and_whole_over_tcp() {
    let message = query("v4.tm.example.", RecordType::A);
    let mut out = Vec::new();
    assert!(respond_truncated(&message.to_bytes().unwrap(), &mut out));
    let cut = Message::from_vec(&out).unwrap();
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    assert_eq!(cut.queries, message.queries);
    assert!(!respond_truncated(b"noise", &mut out));

    // Many name servers with long names: over 512 and over 1232 bytes.
    for (count, udp, edns) in [(2, false, false), (4, true, false), (12, true, true)] {
        let servers: Vec<_> = (0..count)
            .map(|it| {
                (
                    format!("{it}.{}.{}.example", "x".repeat(60), "y".repeat(50)),
                    None,
                )
            })
            .collect();
        let zone = ZoneBuilder::new("tm.example", &servers, 1)
            .unwrap()
            .build()
            .unwrap();
        let mut message = query("tm.example.", RecordType::NS);
        let ask = |message: &Message, transport| {
            let mut out = Vec::new();
            respond(&zone, &message.to_bytes().unwrap(), transport, &mut out).unwrap();
            let limit = match (transport, &message.edns) {
                (Transport::Tcp, _) => usize::MAX,
                (_, None) => 512,
                (_, Some(edns)) => usize::from(edns.max_payload()).clamp(512, UDP_SIZE),
            };
            assert!(out.len() <= limit, "{}", out.len());
            Message::from_vec(&out).unwrap()
        };
        let response = ask(&message, Transport::Udp);
        assert_eq!(response.metadata.truncation, udp, "{count}");
        assert_eq!(response.answers.is_empty(), udp);
        for size in [100, 512, 1232, 4096, 65_535] {
            let mut with = HickoryEdns::new();
            with.set_max_payload(size);
            message.edns = Some(with);
            let cut = ask(&message, Transport::Udp).metadata.truncation;
            assert_eq!(cut, if size < 1232 { udp } else { edns }, "{count} {size}");
        }
        let whole = ask(&message, Transport::Tcp);
        assert_eq!(
            (whole.answers.len(), whole.metadata.truncation),
            (count, false)
        );
    }
}

#[test]
fn what_is_no_query_is_told_so_or_left_alone() {
    let good = query("v4.tm.example.", RecordType::A).to_bytes().unwrap();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        let mut out = Vec::new();
        let code = respond(&zone(), &bytes, Transport::Udp, &mut out);
        if code.is_some() {
            let response = Message::from_vec(&out).unwrap();
            assert_eq!(response.metadata.message_type, MessageType::Response);
        } else {
            assert!(out.is_empty());
        }
        code
    };
    assert_eq!(with(&|_| {}), Some(Rcode::NoError));
    // An answer, and less than a header: silence.
    assert_eq!(with(&|it| it[2] |= 0x80), None);
    assert_eq!(with(&|it| it.truncate(11)), None);
    assert_eq!(with(&|it| it.clear()), None);
    // Updates, notifications, opcodes that nobody has.
    for opcode in 1..16 {
        assert_eq!(with(&|it| it[2] |= opcode << 3), Some(Rcode::NotImp));
    }
    // No question, two of them, records where none belong, a cut, a tail.
    assert_eq!(with(&|it| it[5] = 0), Some(Rcode::FormErr));
    assert_eq!(with(&|it| it[5] = 2), Some(Rcode::FormErr));
    assert_eq!(with(&|it| it[7] = 1), Some(Rcode::FormErr));
    assert_eq!(with(&|it| it[9] = 1), Some(Rcode::FormErr));
    assert_eq!(with(&|it| it[11] = 1), Some(Rcode::FormErr));
    assert_eq!(with(&|it| it.truncate(20)), Some(Rcode::FormErr));
    assert_eq!(with(&|it| it.push(0)), Some(Rcode::FormErr));
    // A pointer in the question, to itself.
    assert_eq!(
        with(&|it| it.splice(12.., [0xc0, 12, 0, 1, 0, 1]).for_each(drop)),
        Some(Rcode::FormErr)
    );
    // Other classes.
    assert_eq!(
        with(&|it| *it.last_mut().unwrap() = 3),
        Some(Rcode::Refused)
    );
    assert_eq!(
        with(&|it| *it.last_mut().unwrap() = 255),
        Some(Rcode::NoError)
    );
    // Two EDNS records.
    let opt = [0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        with(&|it| {
            it[11] = 1;
            it.extend(opt);
        }),
        Some(Rcode::NoError)
    );
    assert_eq!(
        with(&|it| {
            it[11] = 2;
            it.extend(opt);
            it.extend(opt);
        }),
        Some(Rcode::FormErr)
    );
}

#[test]
fn one_source_has_its_limit_and_others_have_theirs() {
    let mut rate = Rate::new(100);
    let flood: IpAddr = "198.51.100.1".parse().unwrap();
    let (mut answered, mut truncated) = (0, 0);
    for tenth_ms in 0..50_000_u64 {
        let now = tenth_ms / 10;
        match rate.ask(flood, now) {
            Verdict::Answer => answered += 1,
            Verdict::Truncate => truncated += 1,
            Verdict::Drop => {}
        }
        if tenth_ms % 500 == 0 {
            let other = IpAddr::from([10, 0, (tenth_ms / 500) as u8, 1]);
            assert_eq!(rate.ask(other, now), Verdict::Answer);
        }
    }
    // Five seconds at 100, and one second's worth at once.
    assert!((590..=610).contains(&answered), "{answered}");
    assert!((2_500..3_500).contains(&truncated), "{truncated}");
    let mut any = Rate::new(0);
    assert!((0..10_000).all(|_| any.ask(flood, 0) == Verdict::Answer));
}

/// However many sources there are, the table is as large as before, and a clock that goes
/// backwards does no harm.
#[test]
fn a_million_sources_need_no_more_memory() {
    let mut rate = Rate::new(10);
    for number in 0..1_000_000_u32 {
        let v4 = IpAddr::from(number.to_be_bytes());
        let v6 = IpAddr::from((u128::from(number) << 64).to_be_bytes());
        rate.ask(v4, u64::from(number / 1000));
        rate.ask(v6, u64::from(number % 1000));
    }
    assert_eq!(rate.ask("203.0.113.9".parse().unwrap(), 0), Verdict::Answer);
}

/// A fuzz loop over mutated queries and over noise. A second here; as long as
/// `BACKSTAY_FUZZ_SECONDS` says where there is time.
#[test]
fn no_datagram_makes_it_panic() {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    let seconds = std::env::var("BACKSTAY_FUZZ_SECONDS");
    let seconds: u64 = seconds.ok().map_or(1, |it| it.parse().unwrap());
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let zone = zone();
    let mut seeds = Vec::new();
    for name in [
        "v4.tm.example.",
        "name.tm.example.",
        "tm.example.",
        ".",
        "a.b.c.tm.example.",
    ] {
        for kind in [
            RecordType::A,
            RecordType::ANY,
            RecordType::SOA,
            RecordType::AXFR,
        ] {
            let mut message = query(name, kind);
            seeds.push(message.to_bytes().unwrap());
            message.edns = Some(HickoryEdns::new());
            seeds.push(message.to_bytes().unwrap());
        }
    }
    let begun = Instant::now();
    let mut out = Vec::new();
    let mut count = 0_u64;
    while begun.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..1_000 {
            let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
            for _ in 0..random.random_range(0..6) {
                let at = random.random_range(0..=bytes.len());
                match random.random_range(0..4) {
                    0 => bytes.insert(at, random.random()),
                    1 if at < bytes.len() => bytes[at] = random.random(),
                    2 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
                    3 => bytes.truncate(at),
                    _ => {
                        let other = seeds[random.random_range(0..seeds.len())].clone();
                        bytes.extend(other);
                    }
                }
            }
            agrees(&zone, &bytes, &mut out);
            count += 1;
        }
    }
    println!("{count} datagrams");
}

proptest! {
    #[test]
    fn no_noise_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        agrees(&zone(), &bytes, &mut Vec::new());
    }

    #[test]
    fn queries_are_read_as_hickory_reads_them(
        labels in proptest::collection::vec("[A-Za-z0-9_][A-Za-z0-9_-]{0,19}", 0..6),
        kind in any::<u16>(),
        in_zone in any::<bool>(),
        edns in proptest::option::of(any::<u16>()),
    ) {
        let mut name = labels.join(".");
        if in_zone {
            name.push_str(".tm.example");
        }
        name.push('.');
        prop_assume!(!name.starts_with('.') || name == ".");
        let name = Name::from_ascii(&name).unwrap();
        let mut message = Message::new(1, MessageType::Query, OpCode::Query);
        let mut question = Question::query(name, RecordType::from(kind));
        question.set_query_class(DNSClass::IN);
        message.add_query(question);
        message.edns = edns.map(|size| {
            let mut edns = HickoryEdns::new();
            edns.set_max_payload(size);
            edns
        });
        let bytes = message.to_bytes().unwrap();
        let Parsed::Query(ours) = parse(&bytes) else {
            return Err(TestCaseError::fail("not read"));
        };
        prop_assert_eq!(ours.edns.map(|it| it.size), message.edns.as_ref().map(HickoryEdns::max_payload));
        agrees(&zone(), &bytes, &mut Vec::new());
    }
}
