//! The folder of a [`super::DiskCache`] and what is known of its files.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

/// End of the name of a whole file; others are left over from a crash.
const SUFFIX: &str = ".segment";
/// Segments whose storing failed that are remembered; then all are tried again.
const MAX_GIVEN_UP: usize = 1024;

pub(super) struct Store {
    dir: PathBuf,
    max_bytes: u64,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    entries: HashMap<String, Entry>,
    bytes: u64,
    /// Counts uses, to tell which was longest ago.
    clock: u64,
    /// Who is bringing which segment.
    turns: HashMap<String, Weak<tokio::sync::Mutex<()>>>,
    given_up: HashSet<String>,
    /// Makes names of unfinished files.
    temporary: u64,
}

#[derive(Clone)]
struct Entry {
    path: PathBuf,
    size: u64,
    used: u64,
    crc32: u32,
    /// Its bytes are what the name says.
    checked: bool,
}

impl Store {
    pub(super) fn open(dir: PathBuf, max_bytes: u64) -> io::Result<Self> {
        private_folder(&dir)?;
        let mut found = Vec::new();
        for file in fs::read_dir(&dir)? {
            let file = file?;
            let metadata = file.metadata()?;
            let name = file.file_name();
            let parsed = name.to_str().and_then(parse_name);
            if let (Some((id, crc32)), true) = (parsed, metadata.is_file()) {
                // An earlier version let everybody read it.
                fs::set_permissions(file.path(), Permissions::from_mode(0o600))?;
                found.push((metadata.modified()?, id, crc32, file.path(), metadata.len()));
            } else if metadata.is_file() && name.to_string_lossy().ends_with(".part") {
                fs::remove_file(file.path())?;
            }
        }
        found.sort();
        let mut known = Known::default();
        for (_, id, crc32, path, size) in found {
            known.add(
                id,
                Entry {
                    path,
                    size,
                    used: 0,
                    crc32,
                    checked: false,
                },
            );
        }
        let store = Self {
            dir,
            max_bytes,
            known: Mutex::new(known),
        };
        store.make_room(0);
        Ok(store)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    pub(super) fn bytes(&self) -> u64 {
        self.known.lock().bytes
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.known.lock().entries.contains_key(id)
    }

    pub(super) fn size(&self, id: &str) -> Option<u64> {
        // The length of a file that nobody has checked says nothing.
        let known = self.known.lock();
        known
            .entries
            .get(id)
            .filter(|entry| entry.checked)
            .map(|entry| entry.size)
    }

    /// Whether storing it failed before.
    pub(super) fn gave_up(&self, id: &str) -> bool {
        self.known.lock().given_up.contains(id)
    }

    /// What who brings a segment holds.
    pub(super) fn turn(&self, id: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut known = self.known.lock();
        if let Some(turn) = known.turns.get(id).and_then(Weak::upgrade) {
            return turn;
        }
        known.turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        known.turns.insert(id.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// Bytes of a segment; `None` when it is not there, or no longer as it was stored.
    pub(super) fn read(&self, id: &str, range: Range<u64>) -> Option<Bytes> {
        let entry = {
            let mut known = self.known.lock();
            known.clock += 1;
            let now = known.clock;
            let entry = known.entries.get_mut(id)?;
            entry.used = now;
            entry.clone()
        };
        let read = if entry.checked {
            read_file(&entry.path, range)
        } else {
            check(&entry).and_then(|()| {
                if let Some(entry) = self.known.lock().entries.get_mut(id) {
                    entry.checked = true;
                }
                read_file(&entry.path, range)
            })
        };
        match read {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::warn!(
                    file = %entry.path.display(),
                    %error,
                    "a cached segment cannot be used; it is read from the bucket again"
                );
                self.forget(id, &entry.path);
                None
            }
        }
    }

    /// Stores a segment.
    pub(super) fn put(&self, id: &str, bytes: &[u8]) -> io::Result<()> {
        let stored = self.write(id, bytes);
        if stored.is_err() {
            let mut known = self.known.lock();
            if known.given_up.len() >= MAX_GIVEN_UP {
                known.given_up.clear();
            }
            known.given_up.insert(id.to_owned());
        }
        stored
    }

    fn write(&self, id: &str, bytes: &[u8]) -> io::Result<()> {
        let size = bytes.len() as u64;
        self.make_room(size);
        let temporary = {
            let mut known = self.known.lock();
            known.temporary += 1;
            self.dir.join(format!("{}.part", known.temporary))
        };
        let crc32 = crc32fast::hash(bytes);
        let path = self.dir.join(file_name(id, crc32)?);
        let written = private_file(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            // The first error is the one to tell.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        let mut known = self.known.lock();
        known.clock += 1;
        let used = known.clock;
        known.add(
            id.to_owned(),
            Entry {
                path,
                size,
                used,
                crc32,
                checked: true,
            },
        );
        Ok(())
    }

    /// Removes files until this many bytes more fit.
    fn make_room(&self, bytes: u64) {
        loop {
            let victim = {
                let known = self.known.lock();
                if known.bytes.saturating_add(bytes) <= self.max_bytes {
                    return;
                }
                let oldest = known.entries.iter().min_by_key(|(_, entry)| entry.used);
                oldest.map(|(id, entry)| (id.clone(), entry.path.clone()))
            };
            let Some((id, path)) = victim else { return };
            self.forget(&id, &path);
        }
    }

    fn forget(&self, id: &str, path: &Path) {
        let mut known = self.known.lock();
        if known
            .entries
            .get(id)
            .is_some_and(|entry| entry.path == path)
            && let Some(entry) = known.entries.remove(id)
        {
            known.bytes = known.bytes.saturating_sub(entry.size);
        }
        drop(known);
        // A search that is reading it has it open; one that comes too late reads the bucket.
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %path.display(), %error, "a cached segment cannot be removed");
        }
    }
}

impl Known {
    fn add(&mut self, id: String, entry: Entry) {
        self.bytes += entry.size;
        if let Some(old) = self.entries.insert(id, entry) {
            self.bytes = self.bytes.saturating_sub(old.size);
        }
    }
}

/// Makes a folder that only this user can look into: the events in it are not encrypted.
fn private_folder(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(0o700))
}

/// A new file that only this user can read.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)
}

/// The name of a file. The identity is in it in hexadecimal, so that it may have any characters.
fn file_name(id: &str, crc32: u32) -> io::Result<String> {
    let hex: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
    if hex.len() > 200 {
        return Err(io::Error::other(format!(
            "the identity {id} is too long for a file name"
        )));
    }
    Ok(format!("{hex}-{crc32:08x}{SUFFIX}"))
}

fn parse_name(name: &str) -> Option<(String, u32)> {
    let (hex, crc32) = name.strip_suffix(SUFFIX)?.rsplit_once('-')?;
    let bytes = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<Vec<u8>>>()?;
    Some((
        String::from_utf8(bytes).ok()?,
        u32::from_str_radix(crc32, 16).ok()?,
    ))
}

fn check(entry: &Entry) -> io::Result<()> {
    let mut file = File::open(&entry.path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        hasher.update(buffer.get(..length).unwrap_or(&[]));
    }
    if hasher.finalize() == entry.crc32 {
        Ok(())
    } else {
        Err(io::Error::other("its checksum is not the one in its name"))
    }
}

fn read_file(path: &Path, range: Range<u64>) -> io::Result<Bytes> {
    let mut file = File::open(path)?;
    let length = range.end.saturating_sub(range.start);
    if range.end > file.metadata()?.len() {
        return Err(io::Error::other("it is shorter than it was"));
    }
    file.seek(SeekFrom::Start(range.start))?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(io::Error::other("it is shorter than it was"));
    }
    Ok(bytes.into())
}
