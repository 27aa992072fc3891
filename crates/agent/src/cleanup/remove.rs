//! Examines files on the disk, and removes them. Blocking: the caller provides a thread.
//!
//! A file is hashed under a lease against writers, so that it cannot change meanwhile. To remove it, a
//! lease against every other process is taken, and its identity is compared again. Some files get their
//! temporary names together, before the first of them is removed: a process that had found a name before
//! it changed is then seen as one that waits for the lease.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crc_fast::{CrcAlgorithm, Digest};
use rustix::fs::Stat;
use s3up_core::{Crc64Nvme, Sha256, Sha256Digest};
use s3up_lease::{Exclude, LeasedFile};

use super::judge::{NotDeleted, OpenedFile, judge_content, judge_file};
use crate::files::confined_fs::{Dir, Root, is_gone, is_refused_type};
use crate::files::identity::Identity;

/// Size of the read buffer for hashing.
const HASH_BYTES: usize = 1 << 20;

/// A file that S3 was proven to have.
#[derive(Clone, Debug)]
pub struct ProvenFile {
    pub local_path: String,
    pub remote_path: String,
    /// Relative to the root of the watch.
    pub path: PathBuf,
    pub identity: Identity,
    pub sha256: Sha256Digest,
    pub version_id: String,
    pub stored_crc: Option<String>,
}

impl ProvenFile {
    /// Returns the name that the file has while it is removed: one for each path.
    pub fn removed_name(&self) -> String {
        let digest = Sha256Digest::of(self.local_path.as_bytes()).to_string();
        format!(".s3up-cleanup-{}", &digest[..16])
    }

    fn name(&self) -> &Path {
        Path::new(self.path.file_name().unwrap_or_default())
    }
}

/// The limits that a file on the disk has to meet.
#[derive(Clone, Copy, Debug)]
pub struct DiskLimits {
    pub min_age: Duration,
    /// Time of the wall clock.
    pub now_ns: i64,
}

/// Hashes the file and decides whether it may be deleted.
pub fn examine(root: &Root, file: &ProvenFile, limits: DiskLimits) -> Result<(), NotDeleted> {
    let directory = Dir::of(root, &file.path).map_err(|err| not_opened(&err))?;
    let lease = open(&directory, file, limits, Exclude::Writers)?;
    let found = hash(&lease)?;
    judge_content(file.sha256, file.stored_crc.as_deref(), found)
}

/// Removes files that were examined. Returns for each of them whether it is gone.
pub fn remove(
    root: &Root,
    files: &[ProvenFile],
    limits: DiskLimits,
) -> Vec<Result<(), NotDeleted>> {
    let renamed: Vec<_> = files.iter().map(|file| Renamed::new(root, file, limits)).collect();
    let mut directories: Vec<Arc<Dir>> = Vec::new();
    let mut ends = Vec::new();
    for renamed in renamed {
        ends.push(renamed.and_then(|renamed| {
            directories.push(renamed.directory.clone());
            renamed.remove()
        }));
    }
    // The records that follow say that the names are gone, so they have to be gone for good.
    for directory in directories {
        if let Err(err) = directory.sync() {
            let failed = || Err(NotDeleted::Unsynced(err.to_string()));
            ends.iter_mut().filter(|end| end.is_ok()).for_each(|end| *end = failed());
            break;
        }
    }
    ends
}

/// A file under its temporary name.
struct Renamed {
    directory: Arc<Dir>,
    lease: LeasedFile,
    name: OsString,
    removed_name: String,
}

impl Renamed {
    fn new(root: &Root, file: &ProvenFile, limits: DiskLimits) -> Result<Renamed, NotDeleted> {
        let directory = Dir::of(root, &file.path).map_err(|err| not_opened(&err))?;
        let lease = open(&directory, file, limits, Exclude::All)?;
        let (name, removed_name) = (file.name().as_os_str().to_owned(), file.removed_name());
        let renamed = Renamed { directory: Arc::new(directory), lease, name, removed_name };
        let (from, to) = (Path::new(&renamed.name), Path::new(&renamed.removed_name));
        renamed
            .directory
            .rename_new(from, to)
            .map_err(|err| NotDeleted::NotRemoved(err.to_string()))?;
        // What was renamed may be another file than the one that is open.
        match renamed.is_the_open_file() {
            Ok(true) => Ok(renamed),
            Ok(false) => Err(renamed.rename_back(NotDeleted::Changed)),
            Err(err) => Err(renamed.rename_back(NotDeleted::Unreadable(err.to_string()))),
        }
    }

    fn is_the_open_file(&self) -> io::Result<bool> {
        let id = |stat: &Stat| (stat.st_dev, stat.st_ino, stat.st_size, stat.st_nlink);
        let open = rustix::fs::fstat(self.lease.file())?;
        let named = self.directory.stat_of(Path::new(&self.removed_name))?;
        Ok(id(&open) == id(&named))
    }

    fn remove(self) -> Result<(), NotDeleted> {
        match self.lease.is_undisturbed() {
            Ok(true) => {}
            Ok(false) => return Err(self.rename_back(NotDeleted::InUse)),
            Err(err) => return Err(self.rename_back(NotDeleted::NoLease(err.to_string()))),
        }
        match self.directory.unlink(Path::new(&self.removed_name)) {
            Ok(()) => Ok(()),
            Err(err) => Err(self.rename_back(NotDeleted::NotRemoved(err.to_string()))),
        }
    }

    /// Gives the file its name back. Returns the reason, or why that is not possible.
    fn rename_back(self, reason: NotDeleted) -> NotDeleted {
        let (from, to) = (Path::new(&self.removed_name), Path::new(&self.name));
        match self.directory.rename_new(from, to) {
            Ok(()) => reason,
            Err(err) => NotDeleted::Stranded(format!(
                "{reason}; it is in the same directory as {:?} and cannot be renamed back: {err}; \
                 the next run tries again",
                self.removed_name
            )),
        }
    }
}

/// Opens the file with a lease, and decides whether it is the one of the row.
fn open(
    directory: &Dir,
    file: &ProvenFile,
    limits: DiskLimits,
    exclude: Exclude,
) -> Result<LeasedFile, NotDeleted> {
    let (opened, _) = directory.file(file.name()).map_err(|err| not_opened(&err))?;
    let lease = LeasedFile::take(opened, exclude);
    let lease =
        lease.map_err(|err| NotDeleted::NoLease(err.to_string()))?.ok_or(NotDeleted::InUse)?;
    // Nothing can write it from now on.
    let stat = rustix::fs::fstat(lease.file());
    let stat = stat.map_err(|err| NotDeleted::Unreadable(err.to_string()))?;
    let stamps = directory.filesystem().stamps;
    let opened = OpenedFile { identity: Identity::of(&stat), links: stat.st_nlink, stamps };
    judge_file(&file.identity, &opened, limits.min_age, limits.now_ns)?;
    Ok(lease)
}

fn hash(lease: &LeasedFile) -> Result<(Sha256Digest, Crc64Nvme), NotDeleted> {
    let unreadable = |err: io::Error| NotDeleted::Unreadable(err.to_string());
    let (mut sha256, mut crc) = (Sha256::default(), Digest::new(CrcAlgorithm::Crc64Nvme));
    let mut buffer = vec![0; HASH_BYTES];
    let mut file = lease.file();
    loop {
        // A process that waits to write the file must not wait for the whole of it.
        if !lease.is_undisturbed().map_err(unreadable)? {
            return Err(NotDeleted::InUse);
        }
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => break,
            len => {
                sha256.update(&buffer[..len]);
                crc.update(&buffer[..len]);
            }
        }
    }
    Ok((sha256.finish(), Crc64Nvme(crc.finalize())))
}

fn not_opened(err: &io::Error) -> NotDeleted {
    if is_gone(err) {
        NotDeleted::Gone
    } else if is_refused_type(err) {
        NotDeleted::NotRegular
    } else {
        NotDeleted::Unreadable(err.to_string())
    }
}
