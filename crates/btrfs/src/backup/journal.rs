//! The journal: what S3 has acknowledged of an unfinished backup. It is a file beside
//! the snapshot record, with one line per acknowledgement.
//!
//! Each line begins with a checksum of its rest. Reading stops at the first line whose
//! checksum is wrong, for example after a power cut, so every line that is read was
//! written. The journal is never trusted alone: S3 is asked which parts it has, and
//! every byte is hashed again.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use btrfs_host::identity::SnapshotIdentity;
use jiff::Timestamp;
use s3up_core::Sha256Digest;
use s3up_repository::location::RepositoryLocation;
use s3up_repository::names::SnapshotName;
use s3up_store::{AlreadyUploaded, ProgressEvent, UploadedPart};
use serde::{Deserialize, Serialize};

use crate::plan::observed::{JournalFacts, StreamSettings, UnusableJournal};
use crate::snapshots::record::RunId;

/// The only format of journals so far.
const VERSION: u32 = 1;
/// Number of hex digits of the SHA-256. It detects torn lines, not forged ones.
const CHECKSUM_LEN: usize = 16;
/// An upload id has some hundred bytes; a longer line is not from us.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// Identifies the backup that a journal belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    version: u32,
    #[serde(flatten)]
    location: RepositoryLocation,
    pub snapshot: String,
    pub run: RunId,
    /// Newest published manifest when the backup started.
    pub base: Option<String>,
    pub settings: StreamSettings,
}

/// Content of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    pub header: Header,
    /// Identity of the snapshot as its stream names it. `None` if nothing was read from
    /// the stream.
    pub identity: Option<SnapshotIdentity>,
    pub known: AlreadyUploaded,
    pub acknowledged_bytes: u64,
    /// Time at which the last line was written.
    pub acknowledged_at: Timestamp,
    /// Length of the valid lines.
    pub good_bytes: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
pub(super) enum JournalLine {
    Header(Header),
    Snapshot(SnapshotIdentity),
    Begun {
        chunk: u64,
        upload_id: String,
    },
    Part {
        chunk: u64,
        number: i32,
        len: u64,
        sha256: Sha256Digest,
        etag: String,
    },
    Completed {
        chunk: u64,
        etag: String,
        bytes: u64,
    },
    /// This chunk and all later ones are no longer valid.
    Forgotten {
        chunk: u64,
    },
}

impl Header {
    pub fn new(
        location: RepositoryLocation,
        settings: StreamSettings,
        snapshot: String,
        run: RunId,
        base: Option<String>,
    ) -> Header {
        Header { version: VERSION, location, snapshot, run, base, settings }
    }
}

impl Journal {
    /// Reads the journal of a snapshot and a run in this bucket.
    pub async fn read(
        path: &Path,
        location: &RepositoryLocation,
        snapshot: &SnapshotName,
        run: &RunId,
    ) -> Result<Journal, UnusableJournal> {
        let path = path.to_owned();
        let reading = tokio::task::spawn_blocking(move || open(&path));
        let journal = reading.await.map_err(|err| unreadable(&err))??;
        let Header { location: header_location, snapshot: of, run: by, .. } = &journal.header;
        match header_location == location && *of == snapshot.to_string() && by == run {
            true => Ok(journal),
            false => Err(UnusableJournal::Other),
        }
    }

    /// Returns the facts that decide whether the backup is resumed.
    pub fn facts(&self) -> JournalFacts {
        JournalFacts {
            base: self.header.base.clone(),
            settings: self.header.settings.clone(),
            identity: self.identity.clone(),
            acknowledged_bytes: self.acknowledged_bytes,
            acknowledged_at: self.acknowledged_at,
        }
    }

    fn take(&mut self, line: JournalLine) {
        match line {
            // A header is valid only on the first line.
            JournalLine::Header(_) => {}
            JournalLine::Snapshot(identity) => self.identity = Some(identity),
            JournalLine::Begun { chunk, upload_id } => {
                self.acknowledged_bytes -= self.bytes_of(chunk);
                ProgressEvent::UploadStarted { chunk, upload_id }.apply_to(&mut self.known);
            }
            JournalLine::Part { chunk, number, len, sha256, etag } => {
                self.acknowledged_bytes += len;
                let known = self.known.get(&chunk).and_then(|chunk| chunk.parts.get(&number));
                self.acknowledged_bytes -= known.map_or(0, |part| part.len);
                let part = UploadedPart { len, sha256, etag };
                ProgressEvent::PartUploaded { chunk, number, part }.apply_to(&mut self.known);
            }
            JournalLine::Completed { chunk, etag, bytes } => {
                // A chunk that fits into one part was not a multipart upload and has no
                // parts.
                if self.bytes_of(chunk) == 0 {
                    self.acknowledged_bytes += bytes;
                }
                ProgressEvent::ChunkCompleted { chunk, etag, bytes }.apply_to(&mut self.known);
            }
            JournalLine::Forgotten { chunk } => {
                let forgotten = self.known.split_off(&chunk);
                let bytes = forgotten.values().flat_map(|chunk| chunk.parts.values());
                let bytes: u64 = bytes.map(|part| part.len).sum();
                self.acknowledged_bytes = self.acknowledged_bytes.saturating_sub(bytes);
            }
        }
    }

    fn bytes_of(&self, chunk: u64) -> u64 {
        let parts = self.known.get(&chunk).into_iter().flat_map(|chunk| chunk.parts.values());
        parts.map(|part| part.len).sum()
    }
}

fn open(path: &Path) -> Result<Journal, UnusableJournal> {
    let file = match File::open(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Err(UnusableJournal::Missing),
        file => file.map_err(|err| unreadable(&err))?,
    };
    let modified = file.metadata().and_then(|file| file.modified());
    let modified = modified.map_err(|err| unreadable(&err))?;
    let at = Timestamp::try_from(modified).map_err(|err| unreadable(&err))?;
    parse(BufReader::new(file), at)
}

fn unreadable(err: &dyn fmt::Display) -> UnusableJournal {
    UnusableJournal::Unreadable { reason: err.to_string() }
}

/// Reads lines until one is invalid.
fn parse(mut lines: impl BufRead, at: Timestamp) -> Result<Journal, UnusableJournal> {
    let mut journal: Option<Journal> = None;
    let mut good_bytes = 0;
    loop {
        let mut line = Vec::new();
        let mut bounded = io::Read::take(&mut lines, LINE_BYTES_MAX);
        let read = bounded.read_until(b'\n', &mut line);
        read.map_err(|err| unreadable(&err))?;
        let decoded = decode(&line);
        let no_header = |what: &str| Err(UnusableJournal::NoHeader { what: what.to_owned() });
        match (&mut journal, decoded) {
            (None, Some(JournalLine::Header(header))) if header.version == VERSION => {
                journal = Some(Journal {
                    header,
                    identity: None,
                    known: AlreadyUploaded::new(),
                    acknowledged_bytes: 0,
                    acknowledged_at: at,
                    good_bytes: 0,
                });
            }
            (None, Some(JournalLine::Header(_))) => return no_header("it has another version"),
            (None, _) => return no_header("its first line is damaged"),
            (Some(journal), Some(line)) => journal.take(line),
            (Some(_), None) => break,
        }
        good_bytes += line.len() as u64;
    }
    let journal = journal.map(|journal| Journal { good_bytes, ..journal });
    journal.ok_or_else(|| UnusableJournal::NoHeader { what: "it is empty".to_owned() })
}

pub(super) fn encode(line: &JournalLine, into: &mut Vec<u8>) {
    let json = serde_json::to_string(line).expect("plain data is always JSON");
    let checksum = Sha256Digest::of(json.as_bytes()).to_string();
    writeln!(into, "{} {json}", &checksum[..CHECKSUM_LEN]).expect("memory takes what is written");
}

/// `None` if the line is torn or not from us.
fn decode(line: &[u8]) -> Option<JournalLine> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (checksum, json) = text.split_once(' ')?;
    let is_right = Sha256Digest::of(json.as_bytes()).to_string().get(..CHECKSUM_LEN)? == checksum;
    serde_json::from_str(json).ok().filter(|_| is_right)
}

#[cfg(test)]
pub(super) mod tests;
