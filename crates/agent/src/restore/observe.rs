//! Examines what the target has under the names of remote files. It changes nothing.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use s3up_core::{Sha256, Sha256Digest};

use super::plan::{LocalContent, LocalEntry, OtherKind};
use super::target_dir::TargetDir;
use crate::files::confined_fs::{file_type, is_gone, is_refused_type};
use crate::files::identity::Identity;

/// Size of the read buffer for hashing.
const HASH_BYTES: usize = 256 << 10;

/// A remote file that may exist at the target already.
#[derive(Clone, Debug)]
pub struct ExpectedFile {
    pub path: PathBuf,
    pub size: u64,
    pub sha256: Option<Sha256Digest>,
}

/// Returns the entry at the place of a file. A file of the expected size is hashed if the gateway
/// knows the SHA-256. Blocking.
pub fn observe(target: &TargetDir, expected: &ExpectedFile) -> LocalEntry {
    let unknown = |err: io::Error| LocalEntry::Unknown(explain(&err));
    let stat = match target.stat(&expected.path) {
        Ok(stat) => stat,
        // A file in the place of a directory is found when the directory is created.
        Err(err) if is_gone(&err) => return LocalEntry::Nothing,
        Err(err) => return unknown(err),
    };
    let kind = match file_type(&stat) {
        FileType::RegularFile => None,
        FileType::Directory => Some(OtherKind::Directory),
        FileType::Symlink => Some(OtherKind::Symlink),
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Some(OtherKind::Special),
    };
    if let Some(kind) = kind {
        return LocalEntry::Other(kind);
    }
    let identity = Identity::of(&stat);
    let content = match expected.sha256 {
        Some(_) if identity.size == expected.size => match hash(target, &expected.path) {
            Ok(sha256) => LocalContent::Hashed(sha256),
            Err(err) => return unknown(err),
        },
        Some(_) | None => LocalContent::NotHashed,
    };
    let (size, mtime_ns, mode) = (identity.size, identity.mtime_ns, stat.st_mode & 0o7777);
    LocalEntry::File { size, mtime_ns, mode, content }
}

/// Returns the SHA-256 of a file. Blocking.
pub fn hash(target: &TargetDir, path: &Path) -> io::Result<Sha256Digest> {
    let mut file = target.open_file(path)?;
    let (mut hasher, mut buffer) = (Sha256::default(), vec![0; HASH_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            len => hasher.update(&buffer[..len]),
        }
    }
}

/// Returns the text of an error about a path below the target.
pub fn explain(err: &io::Error) -> String {
    if is_refused_type(err) {
        return "its directory leads through a symlink, which a restore never follows".to_owned();
    }
    if err.kind() == io::ErrorKind::NotADirectory {
        return "one of its directories is a file here".to_owned();
    }
    err.to_string()
}
