//! Header blocks: names and values, compressed with zlib as one stream over a whole session, which
//! begins with a dictionary that both sides know.

use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The largest block, unpacked.
const MAX_BLOCK_BYTES: usize = 64 << 10;

/// The words of the dictionary that carry their length before them, in its order.
const WORDS: &[&str] = &[
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
];

/// The rest of it.
const TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// The dictionary of SPDY/3.
pub(super) fn dictionary() -> Vec<u8> {
    let mut dictionary = Vec::new();
    for word in WORDS {
        let length = u32::try_from(word.len()).unwrap_or_default();
        dictionary.extend_from_slice(&length.to_be_bytes());
        dictionary.extend_from_slice(word.as_bytes());
    }
    dictionary.extend_from_slice(TAIL.as_bytes());
    dictionary
}

fn wrong(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("SPDY headers: {what}"))
}

pub(super) struct Decompressor(Decompress);

impl Decompressor {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// The names and values of a block.
    pub(super) fn headers(&mut self, block: &[u8]) -> io::Result<Vec<(String, String)>> {
        parse(&self.unpack(block)?)
    }

    fn unpack(&mut self, mut block: &[u8]) -> io::Result<Vec<u8>> {
        let mut unpacked = Vec::new();
        let mut chunk = vec![0; 4096];
        loop {
            let (read, written) = (self.0.total_in(), self.0.total_out());
            let outcome = self.0.decompress(block, &mut chunk, FlushDecompress::Sync);
            let consumed = usize::try_from(self.0.total_in() - read).unwrap_or(usize::MAX);
            let made = usize::try_from(self.0.total_out() - written).unwrap_or(usize::MAX);
            block = block.get(consumed..).unwrap_or_default();
            unpacked.extend_from_slice(chunk.get(..made).unwrap_or_default());
            if unpacked.len() > MAX_BLOCK_BYTES {
                return Err(wrong("a block is too large"));
            }
            match outcome {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&dictionary()).map_err(wrong)?;
                }
                Err(error) => return Err(wrong(error)),
                Ok(Status::StreamEnd) => return Ok(unpacked),
                Ok(_) if made == chunk.len() => {}
                Ok(_) if block.is_empty() => return Ok(unpacked),
                Ok(_) if consumed == 0 && made == 0 => return Err(wrong("a block is cut short")),
                Ok(_) => {}
            }
        }
    }
}

fn parse(mut block: &[u8]) -> io::Result<Vec<(String, String)>> {
    fn number(block: &mut &[u8]) -> io::Result<usize> {
        let (four, rest) = block
            .split_first_chunk::<4>()
            .ok_or_else(|| wrong("a block is cut short"))?;
        *block = rest;
        Ok(u32::from_be_bytes(*four) as usize)
    }
    fn word(block: &mut &[u8]) -> io::Result<String> {
        let length = number(block)?;
        let (word, rest) = block
            .split_at_checked(length)
            .ok_or_else(|| wrong("a block is cut short"))?;
        *block = rest;
        String::from_utf8(word.to_vec()).map_err(wrong)
    }
    let count = number(&mut block)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = word(&mut block)?;
        headers.push((name.to_lowercase(), word(&mut block)?));
    }
    Ok(headers)
}

pub(super) struct Compressor(Compress);

impl Compressor {
    pub(super) fn new() -> io::Result<Self> {
        let mut compress = Compress::new(Compression::fast(), true);
        compress.set_dictionary(&dictionary()).map_err(wrong)?;
        Ok(Self(compress))
    }

    /// A block without headers.
    pub(super) fn no_headers(&mut self) -> io::Result<Vec<u8>> {
        self.pack(&0_u32.to_be_bytes())
    }

    /// A packed block, complete in itself.
    pub(super) fn pack(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        // A flush adds a few bytes to what deflate may add at most.
        let mut packed = Vec::with_capacity(block.len() * 2 + 64);
        self.0
            .compress_vec(block, &mut packed, FlushCompress::Sync)
            .map_err(wrong)?;
        Ok(packed)
    }
}
