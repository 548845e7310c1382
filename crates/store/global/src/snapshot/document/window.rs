//! A part of a text that is read as a stream.

use std::io::{self, Read};

/// How much is read at once, at least.
const READ_STEP_BYTES: usize = 256 << 10;

/// What of the text is in memory: from the position to somewhere.
pub(super) struct Window<R> {
    source: R,
    buffer: Vec<u8>,
    /// The position, within the buffer.
    start: usize,
    /// Bytes of the buffer that are text.
    filled: usize,
    /// Bytes of the text before the buffer.
    before: u64,
    ended: bool,
}

impl<R: Read> Window<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            before: 0,
            ended: false,
        }
    }

    /// The text from the position on, as far as it is in memory.
    pub(super) fn text(&self) -> &[u8] {
        self.buffer.get(self.start..self.filled).unwrap_or_default()
    }

    /// The byte at the position.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text().first().copied()
    }

    /// Whether all of the text has been read.
    pub(super) fn at_end(&self) -> bool {
        self.ended
    }

    /// Bytes of the text before the position.
    pub(super) fn position(&self) -> u64 {
        self.before + self.start as u64
    }

    /// Moves the position behind so many bytes, which are not needed any more.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = self.filled.min(self.start + bytes);
    }

    /// Moves the position to the next byte that is not white space, or to the end.
    pub(super) fn skip_space(&mut self) -> io::Result<()> {
        loop {
            let text = self.text();
            let space = text.iter().take_while(|b| b.is_ascii_whitespace()).count();
            let found = space < text.len();
            self.consume(space);
            if found || self.ended {
                return Ok(());
            }
            self.grow()?;
        }
    }

    /// Reads more, doubling what is there, so that a long value is not parsed too often. What
    /// lies before the position is given up.
    pub(super) fn grow(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.before += self.start as u64;
        self.filled -= self.start;
        self.start = 0;
        let wanted = (self.filled * 2).max(READ_STEP_BYTES);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.filled < wanted && !self.ended {
            let free = self.buffer.get_mut(self.filled..wanted).unwrap_or_default();
            match self.source.read(free) {
                Ok(0) => self.ended = true,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
