//! The directory on disk: its layout, its lock, and how records are written.
//!
//! ```text
//! root/
//!   lock                               locked while the store is open
//!   clock.json                         how far the clock was advanced
//!   tmp/                               emptied at start
//!   blobs/{2 digits}/{id}              bytes of a part or of a whole object
//!   buckets/{name}/bucket.json
//!   buckets/{name}/objects/{2 digits}/{SHA-256 of the key}.{version}.json
//!   buckets/{name}/uploads/{id}/upload.json, {part number}.json
//! ```
//!
//! Names on disk are never keys, so any key can be stored, and `a` can exist
//! beside `a/b`. A file gets its final name by a rename, so after a crash of this
//! process it is complete or absent. Nothing is fsynced: after a crash of the
//! machine the last writes may be missing.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use s3up_core::digest::Sha256Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

/// Reason why a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open {}: another process is using it; stop that process first", path.display())]
    InUse { path: PathBuf },
    #[error("open {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("read {}: expected a record of s3up-devstore", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
}

pub(crate) struct Disk {
    root: PathBuf,
}

impl Disk {
    /// Creates the directories, takes the lock and empties `tmp`. The lock is held
    /// until the returned file is closed.
    pub(crate) fn open(root: PathBuf) -> Result<(Disk, File), OpenError> {
        let disk = Disk { root };
        create_dir(&disk.root)?;
        let lock = disk.lock()?;
        remove_dir(&disk.tmp())?;
        for dir in [disk.tmp(), disk.blobs(), disk.buckets()] {
            create_dir(&dir)?;
        }
        Ok((disk, lock))
    }

    fn lock(&self) -> Result<File, OpenError> {
        let path = self.root.join("lock");
        let file = File::create(&path).map_err(|e| io_error(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: self.root.clone() }),
            Err(TryLockError::Error(source)) => Err(io_error(&path, source)),
        }
    }

    pub(crate) fn clock(&self) -> PathBuf {
        self.root.join("clock.json")
    }

    fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn blob(&self, id: &str) -> PathBuf {
        self.blobs().join(&id[..2]).join(id)
    }

    pub(crate) fn buckets(&self) -> PathBuf {
        self.root.join("buckets")
    }

    pub(crate) fn bucket(&self, bucket: &str) -> PathBuf {
        self.buckets().join(bucket)
    }

    pub(crate) fn bucket_record(&self, bucket: &str) -> PathBuf {
        self.bucket(bucket).join("bucket.json")
    }

    pub(crate) fn objects(&self, bucket: &str) -> PathBuf {
        self.bucket(bucket).join("objects")
    }

    pub(crate) fn version_record(&self, bucket: &str, key: &str, version: &str) -> PathBuf {
        let name = Sha256Digest::of(key.as_bytes()).to_string();
        self.objects(bucket).join(&name[..2]).join(format!("{name}.{version}.json"))
    }

    pub(crate) fn uploads(&self, bucket: &str) -> PathBuf {
        self.bucket(bucket).join("uploads")
    }

    pub(crate) fn upload(&self, bucket: &str, id: &str) -> PathBuf {
        self.uploads(bucket).join(id)
    }

    pub(crate) fn upload_record(&self, bucket: &str, id: &str) -> PathBuf {
        self.upload(bucket, id).join("upload.json")
    }

    pub(crate) fn part_record(&self, bucket: &str, id: &str, number: i32) -> PathBuf {
        self.upload(bucket, id).join(format!("{number}.json"))
    }

    /// Creates a file that is removed when dropped, unless it was persisted.
    pub(crate) fn temporary(&self) -> io::Result<NamedTempFile> {
        NamedTempFile::new_in(self.tmp())
    }

    pub(crate) fn write(&self, path: &Path, record: &impl Serialize) -> io::Result<()> {
        let mut file = BufWriter::new(self.temporary()?);
        serde_json::to_writer(&mut file, record)?;
        file.flush()?;
        persist(file.into_inner()?, path)
    }

    /// Removes a directory at once: after a crash it has all its files, or is gone.
    pub(crate) fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let trash = tempfile::tempdir_in(self.tmp())?;
        fs::rename(path, trash.path().join("removed"))?;
        trash.close()
    }
}

/// Renames a temporary file to its final name, replacing any existing file.
pub(crate) fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    file.persist(path)?;
    Ok(())
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, OpenError> {
    let file = File::open(path).map_err(|e| io_error(path, e))?;
    serde_json::from_reader(BufReader::new(file))
        .map_err(|source| OpenError::Damaged { path: path.to_owned(), source })
}

/// Returns the sorted entries of a directory, and none if it does not exist.
pub(crate) fn entries(dir: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io_error(dir, e)),
    };
    let mut paths = Vec::new();
    for entry in listed {
        paths.push(entry.map_err(|e| io_error(dir, e))?.path());
    }
    paths.sort();
    Ok(paths)
}

pub(crate) fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), source }
}

fn create_dir(path: &Path) -> Result<(), OpenError> {
    fs::create_dir_all(path).map_err(|e| io_error(path, e))
}

fn remove_dir(path: &Path) -> Result<(), OpenError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error(path, e)),
        Ok(()) | Err(_) => Ok(()),
    }
}
