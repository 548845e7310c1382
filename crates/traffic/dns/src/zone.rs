//! The picture of the zone: every answer ready as bytes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::ProtoError;
use hickory_proto::rr::Name;
use hickory_proto::serialize::binary::BinEncodable;

/// How long "there is no such name" and "there is nothing" may be kept, in seconds (RFC 2308, 5).
/// Short, so that a profile that comes back is found soon.
pub const NEGATIVE_TTL: u32 = 30;
/// How long the zone's own records may be kept, in seconds.
const ZONE_TTL: u32 = 3_600;

/// Record types (RFC 1035, 3.2; RFC 3596).
pub mod rtype {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// A name server.
    pub const NS: u16 = 2;
    /// Another name.
    pub const CNAME: u16 = 5;
    /// The start of a zone.
    pub const SOA: u16 = 6;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
    /// A part of a zone.
    pub const IXFR: u16 = 251;
    /// A whole zone.
    pub const AXFR: u16 = 252;
    /// Mailboxes; with MAILA, long out of use.
    pub const MAILB: u16 = 253;
    /// Mail agents.
    pub const MAILA: u16 = 254;
    /// Whatever there is.
    pub const ANY: u16 = 255;
}

/// Records of one name and type, as they stand in an answer. Their owner is the question's name,
/// by a pointer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// How many.
    pub count: u16,
    /// The bytes.
    pub bytes: Box<[u8]>,
}

/// What a name points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// An address.
    Address(IpAddr),
    /// Another name.
    Name(Name),
    /// Nothing: the name is there, without records.
    Nothing,
}

/// What there is at a name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its CNAME, which answers every type (RFC 1034, 3.6.2).
    alias: Option<Records>,
    sets: Vec<(u16, Records)>,
    any: Option<Records>,
}

impl Node {
    /// The records that answer this type.
    pub fn find(&self, qtype: u16) -> Option<&Records> {
        if let Some(alias) = &self.alias {
            return Some(alias);
        }
        if qtype == rtype::ANY {
            return self.any.as_ref();
        }
        let set = self.sets.iter().find(|(kind, _)| *kind == qtype);
        set.map(|(_, records)| records)
    }

    fn of(sets: Vec<(u16, Records)>) -> Self {
        let any = (!sets.is_empty()).then(|| Records {
            count: sets.iter().map(|(_, it)| it.count).sum(),
            bytes: sets
                .iter()
                .flat_map(|(_, it)| it.bytes.iter().copied())
                .collect(),
        });
        Self {
            alias: None,
            sets,
            any,
        }
    }

    fn pointing_to(pointer: &Pointer, ttl: u32) -> Result<Self, ProtoError> {
        Ok(match pointer {
            Pointer::Nothing => Self::default(),
            Pointer::Address(address) => Self::of(vec![address_records(*address, ttl)]),
            Pointer::Name(name) => Self {
                alias: Some(Records {
                    count: 1,
                    bytes: record(rtype::CNAME, ttl, &wire(name)?).into(),
                }),
                ..Self::default()
            },
        })
    }
}

/// The zone as it is answered. It never changes; another takes its place.
#[derive(Debug)]
pub struct Zone {
    apex: Box<[u8]>,
    nodes: HashMap<Box<[u8]>, Arc<Node>>,
    /// The SOA of negative answers, without its owner.
    soa: Box<[u8]>,
}

impl Zone {
    /// The zone's own name in wire form.
    pub fn apex(&self) -> &[u8] {
        &self.apex
    }

    /// What there is at this name (wire form, lower case).
    pub fn node(&self, name: &[u8]) -> Option<&Node> {
        self.nodes.get(name).map(Arc::as_ref)
    }

    /// The SOA of negative answers, from its type on.
    pub fn soa(&self) -> &[u8] {
        &self.soa
    }

    /// Where in this name (wire form, lower case) the zone's begins; none if it is not in the zone.
    pub fn suffix(&self, name: &[u8]) -> Option<usize> {
        let begin = name.len().checked_sub(self.apex.len())?;
        if name.get(begin..)? != self.apex.as_ref() {
            return None;
        }
        // The bytes are the same, but do they begin at a label?
        let mut at = 0;
        while at < begin {
            at += 1 + usize::from(*name.get(at)?);
        }
        (at == begin).then_some(begin)
    }
}

/// What pictures of a zone are made with. It keeps what has not changed from one to the next.
#[derive(Debug)]
pub struct ZoneBuilder {
    apex: Name,
    name_servers: Vec<(Name, Option<IpAddr>)>,
    nodes: HashMap<Box<[u8]>, Arc<Node>>,
    serial: u32,
}

impl ZoneBuilder {
    /// For the zone of this name. `serial` is that of the first picture; it must be greater than
    /// all that were given out before (RFC 1982), such as the time in seconds.
    ///
    /// # Errors
    /// When a name is none.
    pub fn new(
        apex: &str,
        name_servers: &[(String, Option<IpAddr>)],
        serial: u32,
    ) -> Result<Self, ProtoError> {
        let name_servers = name_servers
            .iter()
            .map(|(name, address)| Ok((absolute(name)?, *address)))
            .collect::<Result<_, ProtoError>>()?;
        Ok(Self {
            apex: absolute(apex)?,
            name_servers,
            nodes: HashMap::new(),
            serial,
        })
    }

    /// What this label in the zone points to from the next picture on; none takes it away.
    ///
    /// # Errors
    /// When a name is none, or too long.
    pub fn set(&mut self, label: &str, pointer: Option<(&Pointer, u32)>) -> Result<(), ProtoError> {
        let name = absolute(label)?.append_domain(&self.apex)?;
        let name = wire(&name)?.into_boxed_slice();
        match pointer {
            None => {
                self.nodes.remove(&name);
            }
            Some((pointer, ttl)) => {
                let node = Node::pointing_to(pointer, ttl)?;
                self.nodes.insert(name, Arc::new(node));
            }
        }
        Ok(())
    }

    /// A picture of it all.
    ///
    /// # Errors
    /// When a name is too long.
    pub fn build(&mut self) -> Result<Zone, ProtoError> {
        let mut nodes = self.nodes.clone();
        let mut servers = Vec::new();
        let mut count = 0;
        for (name, address) in &self.name_servers {
            servers.extend(record(rtype::NS, ZONE_TTL, &wire(name)?));
            count += 1;
            if let Some(address) = address
                && self.apex.zone_of(name)
            {
                let node = Node::of(vec![address_records(*address, ZONE_TTL)]);
                nodes.insert(wire(name)?.into(), Arc::new(node));
            }
        }
        let soa = self.soa()?;
        let mut of_apex = vec![(
            rtype::SOA,
            Records {
                count: 1,
                bytes: [&[0xc0, 12], soa.as_slice()].concat().into(),
            },
        )];
        if count > 0 {
            let bytes = servers.into();
            of_apex.push((rtype::NS, Records { count, bytes }));
        }
        let apex = wire(&self.apex)?.into_boxed_slice();
        nodes.insert(apex.clone(), Arc::new(Node::of(of_apex)));
        self.serial = self.serial.wrapping_add(1);
        Ok(Zone {
            apex,
            nodes,
            soa: soa.into(),
        })
    }

    /// The SOA, from its type on. Its TTL is its last field, as RFC 2308 wants it of negative
    /// answers.
    fn soa(&self) -> Result<Vec<u8>, ProtoError> {
        let primary = match self.name_servers.first() {
            Some((name, _)) => name.clone(),
            None => self.apex.clone(),
        };
        let mut data = wire(&primary)?;
        data.extend(wire(&absolute("hostmaster")?.append_domain(&self.apex)?)?);
        let (refresh, retry, expire) = (900, 300, 604_800_u32);
        for field in [self.serial, refresh, retry, expire, NEGATIVE_TTL] {
            data.extend(field.to_be_bytes());
        }
        let mut record = record(rtype::SOA, NEGATIVE_TTL, &data);
        record.drain(..2);
        Ok(record)
    }
}

/// A name from its text, with or without its last dot.
///
/// # Errors
/// When it is none.
pub fn absolute(text: &str) -> Result<Name, ProtoError> {
    let mut name = Name::from_ascii(text)?.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

fn wire(name: &Name) -> Result<Vec<u8>, ProtoError> {
    name.to_bytes()
}

fn address_records(address: IpAddr, ttl: u32) -> (u16, Records) {
    let (kind, bytes) = match address {
        IpAddr::V4(it) => (rtype::A, record(rtype::A, ttl, &it.octets())),
        IpAddr::V6(it) => (rtype::AAAA, record(rtype::AAAA, ttl, &it.octets())),
    };
    let records = Records {
        count: 1,
        bytes: bytes.into(),
    };
    (kind, records)
}

/// A record of class IN whose owner is the question's name: a pointer to behind the header.
fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    // Data is an address, a name, or two names and five numbers: far below 65536 bytes.
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![0xc0, 12];
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(ttl.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(data);
    bytes
}
