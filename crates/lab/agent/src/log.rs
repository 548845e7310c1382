//! The log of one run of a container: files of records, written as its output comes, and read by
//! as many as like, also while it is written.
//!
//! Long logs are cut into pieces, of which the newest two are kept: a lab that runs for weeks does
//! not fill the disk.

mod record;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstay_kubeapi::LogOptions;
use bytes::Bytes;
use chrono::Utc;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use record::{Splitter, select, show};

/// A log is kept in pieces: a piece is longer than this by one record at most, and so many are kept.
const MAX_PIECE_BYTES: u64 = 8 << 20;
const MAX_PIECES: u64 = 2;
const CHUNK_BYTES: usize = 32 << 10;

/// How far a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// The oldest piece that is kept.
    first: u64,
    /// The piece that is written.
    piece: u64,
    /// How much of it is there, in whole records.
    length: u64,
    ended: bool,
}

/// The log of one run.
#[derive(Debug)]
pub(crate) struct Log {
    folder: PathBuf,
    run: u32,
    progress: watch::Sender<Progress>,
}

impl Log {
    /// A new log, and the files of runs before the previous one removed.
    pub fn new(folder: &Path, run: u32) -> io::Result<Arc<Self>> {
        std::fs::create_dir_all(folder)?;
        for (path, of, _) in pieces(folder)? {
            if of >= run || of + 1 < run {
                std::fs::remove_file(path)?;
            }
        }
        let progress = Progress {
            first: 0,
            piece: 0,
            length: 0,
            ended: false,
        };
        Ok(Arc::new(Self::at(folder, run, progress)))
    }

    /// The log of a run that is over; `None` where none is kept.
    pub fn kept(folder: &Path, run: u32) -> Option<Arc<Self>> {
        let mut own: Vec<(PathBuf, u64)> = pieces(folder)
            .ok()?
            .into_iter()
            .filter(|(_, of, _)| *of == run)
            .map(|(path, _, piece)| (path, piece))
            .collect();
        own.sort_by_key(|(_, piece)| *piece);
        let (newest, piece) = own.last()?;
        let progress = Progress {
            first: own.first()?.1,
            piece: *piece,
            length: newest.metadata().ok()?.len(),
            ended: true,
        };
        Some(Arc::new(Self::at(folder, run, progress)))
    }

    fn at(folder: &Path, run: u32, progress: Progress) -> Self {
        Self {
            folder: folder.to_owned(),
            run,
            progress: watch::Sender::new(progress),
        }
    }

    fn path(&self, piece: u64) -> PathBuf {
        self.folder.join(format!("{}.{piece}.log", self.run))
    }

    /// Writes what comes out of a container until nothing more can come.
    pub async fn write(&self, output: pipe::Receiver) {
        // A process that finds its output full stops, so it is read even where it cannot be kept.
        if let Err(error) = self.write_all(output).await {
            let folder = self.folder.display();
            tracing::warn!(%error, %folder, "a log is not kept");
        }
        self.progress.send_modify(|progress| progress.ended = true);
    }

    async fn write_all(&self, mut output: pipe::Receiver) -> io::Result<()> {
        let mut splitter = Splitter::default();
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut file = Some(self.open(0)?);
        let mut failed = None;
        loop {
            let count = output.read(&mut buffer).await.unwrap_or(0);
            let read = buffer.get(..count).unwrap_or_default();
            let records = if read.is_empty() {
                splitter.rest(Utc::now())
            } else {
                splitter.take(read, Utc::now())
            };
            if let Some(to) = &mut file
                && let Err(error) = self.append(to, &records)
            {
                (file, failed) = (None, Some(error));
            }
            if read.is_empty() {
                return failed.map_or(Ok(()), Err);
            }
        }
    }

    fn append(&self, file: &mut File, records: &[u8]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let before = *self.progress.borrow();
        let length = records.len() as u64;
        if before.length > 0 && before.length + length > MAX_PIECE_BYTES {
            let piece = before.piece + 1;
            *file = self.open(piece)?;
            file.write_all(records)?;
            let first = (piece + 1).saturating_sub(MAX_PIECES);
            self.progress.send_modify(|progress| {
                (progress.first, progress.piece, progress.length) = (first, piece, length);
            });
            if let Some(old) = first.checked_sub(1) {
                std::fs::remove_file(self.path(old))?;
            }
        } else {
            file.write_all(records)?;
            self.progress
                .send_modify(|progress| progress.length += length);
        }
        Ok(())
    }

    fn open(&self, piece: u64) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(self.path(piece))
    }

    /// The part that is asked for, as text.
    pub fn read(self: Arc<Self>, options: &LogOptions) -> io::Result<Lines> {
        let mut follow = self.progress.subscribe();
        let seen = *follow.borrow_and_update();
        let mut records = Vec::new();
        for piece in seen.first..=seen.piece {
            let most = if piece == seen.piece {
                seen.length
            } else {
                u64::MAX
            };
            records.extend(self.piece(piece, 0, most)?);
        }
        let text = select(&records, options, Utc::now());
        let first = stream::once(async move { Ok(Bytes::from(text)) });
        if !options.follow {
            return Ok(limited(first.boxed(), options.limit_bytes));
        }
        let timestamps = options.timestamps;
        let from = (self, follow, seen.piece, seen.length);
        let rest = stream::unfold(from, move |(log, mut follow, piece, offset)| async move {
            loop {
                let seen = *follow.borrow_and_update();
                // Pieces in between, which a reader this slow has missed, are gone.
                let (from, offset) = match piece.max(seen.first) {
                    same if same == piece => (piece, offset),
                    oldest => (oldest, 0),
                };
                let most = if from == seen.piece {
                    seen.length
                } else {
                    u64::MAX
                };
                let records = match log.piece(from, offset, most) {
                    Ok(records) => records,
                    Err(error) => {
                        let ended = (log, follow, u64::MAX, 0);
                        return Some((Err(error), ended));
                    }
                };
                if from < seen.piece {
                    let next = (log, follow, from + 1, 0);
                    return Some((Ok(Bytes::from(show(&records, timestamps))), next));
                }
                if !records.is_empty() {
                    let next = (log, follow, from, seen.length);
                    return Some((Ok(Bytes::from(show(&records, timestamps))), next));
                }
                if seen.ended || piece == u64::MAX || follow.changed().await.is_err() {
                    return None;
                }
            }
        });
        Ok(limited(first.chain(rest).boxed(), options.limit_bytes))
    }

    /// The records of a piece from `offset` to `end`.
    fn piece(&self, piece: u64, offset: u64, end: u64) -> io::Result<Vec<u8>> {
        let mut records = Vec::new();
        if offset >= end {
            return Ok(records);
        }
        let mut file = match File::open(self.path(piece)) {
            // Nothing has been written, or it has been removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(records),
            opened => opened?,
        };
        file.seek(SeekFrom::Start(offset))?;
        file.take(end - offset).read_to_end(&mut records)?;
        Ok(records)
    }
}

/// A log as text.
pub(crate) type Lines = BoxStream<'static, io::Result<Bytes>>;

/// No more than so many bytes of it.
fn limited(lines: Lines, most: Option<u64>) -> Lines {
    let Some(most) = most else {
        return lines;
    };
    let mut left = usize::try_from(most).unwrap_or(usize::MAX);
    let cut = lines.map(move |chunk| {
        let chunk = chunk?;
        let cut = chunk.slice(..chunk.len().min(left));
        left -= cut.len();
        Ok((cut, left == 0))
    });
    // Ends with the chunk that reaches the limit, not with the one after it.
    let mut full = false;
    cut.take_while(move |chunk| {
        let go_on = !full;
        full = matches!(chunk, Ok((_, true)));
        futures::future::ready(go_on)
    })
    .map(|chunk: io::Result<(Bytes, bool)>| chunk.map(|(bytes, _)| bytes))
    .boxed()
}

/// The files of a folder of logs: path, run, piece.
fn pieces(folder: &Path) -> io::Result<Vec<(PathBuf, u32, u64)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let numbers = name
            .and_then(|name| name.strip_suffix(".log"))
            .and_then(|name| name.split_once('.'))
            .and_then(|(run, piece)| Some((run.parse().ok()?, piece.parse().ok()?)));
        if let Some((run, piece)) = numbers {
            all.push((path, run, piece));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
