//! Log lines out of files and folders, plain or gzip, one line in memory at a time.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::vec;

use flate2::read::MultiGzDecoder;
use walkdir::WalkDir;

use super::Line;

/// Longest line that is sent; what is longer is left out and counted.
const MAX_LINE_BYTES: usize = 256 << 10;

/// Why files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// A path cannot be read.
    #[error("--logs: cannot read {path}: {source}")]
    Read {
        /// The file or folder that could not be used.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// There is no line in any of them.
    #[error("--logs: no lines in {0}; give files, folders or .gz files with text in them")]
    Empty(String),
}

/// The files that were found under the given paths.
#[derive(Clone, Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    lines: u64,
    skipped: u64,
}

impl Files {
    /// Finds the files under `paths` and counts their lines; folders are walked in the order of
    /// their names.
    ///
    /// # Errors
    /// When one cannot be read, or there is no line in any.
    pub fn find(paths: &[PathBuf]) -> Result<Self, LinesError> {
        let mut found = Vec::new();
        for root in paths {
            for entry in WalkDir::new(root).sort_by_file_name().follow_links(true) {
                let entry = entry.map_err(|error| LinesError::Read {
                    path: error.path().unwrap_or(root).to_owned(),
                    source: error.into(),
                })?;
                if entry.file_type().is_file() {
                    found.push(entry.into_path());
                }
            }
        }
        let mut files = Self {
            paths: found,
            lines: 0,
            skipped: 0,
        };
        let mut all = files.lines();
        for line in all.by_ref() {
            line?;
            files.lines += 1;
        }
        files.skipped = all.skipped;
        if files.lines == 0 {
            let names: Vec<String> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            return Err(LinesError::Empty(names.join(", ")));
        }
        Ok(files)
    }

    /// How many lines there are, without empty ones.
    pub fn count(&self) -> u64 {
        self.lines
    }

    /// How many lines are left out because they are longer than 256 KiB.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The lines, from the beginning.
    pub fn lines(&self) -> FileLines {
        FileLines {
            waiting: self.paths.clone().into_iter(),
            open: None,
            skipped: 0,
        }
    }
}

/// Reads line after line, file after file.
pub struct FileLines {
    waiting: vec::IntoIter<PathBuf>,
    open: Option<OpenFile>,
    skipped: u64,
}

struct OpenFile {
    path: PathBuf,
    kind: String,
    reader: Box<dyn BufRead + Send>,
}

impl OpenFile {
    fn new(path: PathBuf) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(128 << 10, File::open(&path)?);
        // By content and not by name: rotated files have all sorts of names.
        let zipped = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn BufRead + Send> = if zipped {
            Box::new(BufReader::with_capacity(
                128 << 10,
                MultiGzDecoder::new(file),
            ))
        } else {
            Box::new(file)
        };
        Ok(Self {
            kind: kind_of(&path),
            path,
            reader,
        })
    }
}

/// `access.log.2.gz` is of the kind `access`.
fn kind_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name
        .split('.')
        .find(|part| !part.is_empty())
        .unwrap_or("log");
    stem.to_owned()
}

enum Read1 {
    End,
    TooLong,
    Line,
}

/// Reads one line into `line` without ever holding more than the limit.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Read1> {
    line.clear();
    let read = reader
        .take(MAX_LINE_BYTES as u64 + 1)
        .read_until(b'\n', line)?;
    if read == 0 {
        return Ok(Read1::End);
    }
    if line.last() == Some(&b'\n') || read <= MAX_LINE_BYTES {
        return Ok(Read1::Line);
    }
    loop {
        line.clear();
        let read = reader.take(MAX_LINE_BYTES as u64).read_until(b'\n', line)?;
        if read == 0 || line.last() == Some(&b'\n') {
            return Ok(Read1::TooLong);
        }
    }
}

impl Iterator for FileLines {
    type Item = Result<Line, LinesError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::new();
        loop {
            if self.open.is_none() {
                let path = self.waiting.next()?;
                match OpenFile::new(path.clone()) {
                    Ok(file) => self.open = Some(file),
                    Err(source) => return Some(Err(LinesError::Read { path, source })),
                }
            }
            let file = self.open.as_mut()?;
            match read_line(&mut *file.reader, &mut bytes) {
                Ok(Read1::End) => self.open = None,
                Ok(Read1::TooLong) => self.skipped += 1,
                Ok(Read1::Line) => {
                    let text = String::from_utf8_lossy(&bytes);
                    let text = text.trim_end_matches(['\r', '\n']);
                    if !text.trim().is_empty() {
                        return Some(Ok(Line {
                            kind: file.kind.clone(),
                            text: text.to_owned(),
                        }));
                    }
                }
                Err(source) => {
                    let path = file.path.clone();
                    self.open = None;
                    return Some(Err(LinesError::Read { path, source }));
                }
            }
        }
    }
}
