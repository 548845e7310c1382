//! Reading a query: a header, one question, perhaps EDNS. Anything else is refused by rule.

/// The longest name, with its lengths and its end (RFC 1035, 2.3.4).
pub const MAX_NAME_BYTES: usize = 255;
const HEADER_BYTES: usize = 12;
const OPT: u16 = 41;

/// Response codes (RFC 1035, 4.1.1; RFC 6891, 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rcode {
    /// `NOERROR`.
    NoError = 0,
    /// `FORMERR`: the query is malformed.
    FormErr = 1,
    /// `NXDOMAIN`: there is no such name.
    NxDomain = 3,
    /// `NOTIMP`: that kind of query is not answered.
    NotImp = 4,
    /// `REFUSED`: not our zone, or not for you.
    Refused = 5,
    /// `BADVERS`: an EDNS version that we do not speak.
    BadVers = 16,
}

/// What EDNS says (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The largest UDP message the client takes.
    pub size: u16,
    /// Its version.
    pub version: u8,
    /// The DO bit, which goes back as it came (RFC 3225, 3).
    pub dnssec_ok: bool,
}

/// A question, and what of the header matters for its answer.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// The query's id.
    pub id: u16,
    /// The RD bit, which goes back as it came.
    pub recursion_desired: bool,
    /// The question as it came, in the client's own upper and lower case.
    pub question: &'a [u8],
    name: [u8; MAX_NAME_BYTES],
    name_length: usize,
    /// QTYPE.
    pub qtype: u16,
    /// QCLASS.
    pub qclass: u16,
    /// EDNS, if the client speaks it.
    pub edns: Option<Edns>,
}

impl Query<'_> {
    /// The name asked for, in wire form and lower case.
    pub fn name(&self) -> &[u8] {
        self.name.get(..self.name_length).unwrap_or_default()
    }
}

/// A message that is no question we can answer, but may be told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The query's id.
    pub id: u16,
    /// Its opcode.
    pub opcode: u8,
    /// The RD bit.
    pub recursion_desired: bool,
    /// The response code that tells the client why.
    pub rcode: Rcode,
}

/// What a message is.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack while one answer is written; a box would be an allocation each"
)]
pub enum Parsed<'a> {
    /// Nothing that may be answered: no header, or an answer itself (to answer an answer could go
    /// on for ever).
    Nothing,
    /// A message that is answered with an error code alone.
    Refused(Refusal),
    /// A question that can be answered.
    Query(Query<'a>),
}

/// Reads a message as a query for one question.
pub fn parse(message: &[u8]) -> Parsed<'_> {
    let Some(header) = message.first_chunk::<HEADER_BYTES>() else {
        return Parsed::Nothing;
    };
    let [i0, i1, f0, _, q0, q1, a0, a1, n0, n1, r0, r1] = *header;
    if f0 & 0x80 != 0 {
        return Parsed::Nothing;
    }
    let id = u16::from_be_bytes([i0, i1]);
    let opcode = (f0 >> 3) & 0x0f;
    let recursion_desired = f0 & 1 != 0;
    let refuse = |rcode| {
        Parsed::Refused(Refusal {
            id,
            opcode,
            recursion_desired,
            rcode,
        })
    };
    if opcode != 0 {
        return refuse(Rcode::NotImp);
    }
    let counts = [[q0, q1], [a0, a1], [n0, n1]].map(u16::from_be_bytes);
    if counts != [1, 0, 0] {
        return refuse(Rcode::FormErr);
    }
    let mut reader = Reader {
        message,
        at: HEADER_BYTES,
    };
    let mut query = Query {
        id,
        recursion_desired,
        question: &[],
        name: [0; MAX_NAME_BYTES],
        name_length: 0,
        qtype: 0,
        qclass: 0,
        edns: None,
    };
    let read = reader
        .question(&mut query)
        .and_then(|()| reader.additionals(u16::from_be_bytes([r0, r1])));
    match read {
        Some(edns) if reader.at == message.len() => {
            query.edns = edns;
            Parsed::Query(query)
        }
        _ => refuse(Rcode::FormErr),
    }
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let bytes = self.message.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?.first_chunk()?;
        Some(u16::from_be_bytes(*bytes))
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn question(&mut self, query: &mut Query<'a>) -> Option<()> {
        let begin = self.at;
        loop {
            let length = self.u8()?;
            // Two high bits: a pointer, which has nothing to point to in a question, or a kind of
            // label that nobody uses.
            if length > 63 {
                return None;
            }
            let end = query.name_length + 1 + usize::from(length);
            let to = query.name.get_mut(query.name_length..end)?;
            let (first, rest) = to.split_first_mut()?;
            *first = length;
            rest.copy_from_slice(self.take(usize::from(length))?);
            rest.make_ascii_lowercase();
            query.name_length = end;
            if length == 0 {
                break;
            }
        }
        query.qtype = self.u16()?;
        query.qclass = self.u16()?;
        query.question = self.message.get(begin..self.at)?;
        Some(())
    }

    /// The additional records, of which only one EDNS record matters.
    fn additionals(&mut self, count: u16) -> Option<Option<Edns>> {
        let mut edns = None;
        for _ in 0..count {
            let root = self.skip_name()?;
            let kind = self.u16()?;
            let size = self.u16()?;
            let [_, version, flags, _] = *self.take(4)?.first_chunk()?;
            let length = self.u16()?;
            self.take(usize::from(length))?;
            if kind == OPT {
                if !root || edns.is_some() {
                    return None;
                }
                edns = Some(Edns {
                    size,
                    version,
                    dnssec_ok: flags & 0x80 != 0,
                });
            }
        }
        Some(edns)
    }

    /// Whether the name that is skipped is the root.
    fn skip_name(&mut self) -> Option<bool> {
        let begin = self.at;
        loop {
            match self.u8()? {
                0 => return Some(self.at == begin + 1),
                length @ 1..=63 => {
                    self.take(usize::from(length))?;
                }
                0xc0.. => {
                    self.take(1)?;
                    return Some(false);
                }
                _ => return None,
            }
            if self.at - begin > MAX_NAME_BYTES {
                return None;
            }
        }
    }
}
