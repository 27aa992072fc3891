//! All buckets: what is in memory, the lock around it, and buckets themselves.
//!
//! Every change holds the one lock while it writes its record and updates the
//! memory, so readers see a change whole, in the order of the disk. The lock is
//! never held while a body moves: a change under it is a rename and a few
//! hundred bytes of JSON. Everything here blocks, and is called from the
//! blocking pool.
//!
//! Objects are in `objects`, multipart uploads in `uploads`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use s3s::dto::BucketLifecycleConfiguration;
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::blob::Blobs;
use crate::clock::Clock;
use crate::disk::{Disk, OpenError};
use crate::load;
use crate::options::Conditions;
use crate::record::{BucketRecord, Part, UploadRecord, Version, Versioning};

/// Why a bucket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error("create bucket {0:?}: not a bucket name as S3 has them")]
    Name(String),
    #[error("create bucket {name:?}: the store is stopped")]
    Stopped { name: String },
    #[error("create bucket {name:?}")]
    Write { name: String, source: io::Error },
}

/// What a store is told beside its folder.
pub(crate) struct Limits {
    pub(crate) part_bytes_min: u64,
    pub(crate) restore_delay: Duration,
    pub(crate) conditions: Conditions,
    pub(crate) clock_behind: Duration,
}

pub(crate) struct Store {
    pub(crate) disk: Arc<Disk>,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) part_bytes_min: u64,
    pub(crate) clock: Clock,
    pub(crate) restore_delay: Mutex<Duration>,
    pub(crate) conditions: Conditions,
    state: Mutex<Option<State>>,
}

/// Gone once the store is closed, and with it the lock on the folder.
pub(crate) struct State {
    pub(crate) buckets: BTreeMap<String, Bucket>,
    /// The highest order that was given out.
    pub(crate) order: u64,
    _lock: File,
}

pub(crate) struct Bucket {
    pub(crate) record: BucketRecord,
    /// By key; of each key the newest first, and never none.
    pub(crate) versions: BTreeMap<String, Vec<Arc<Version>>>,
    /// By key, then by id.
    pub(crate) uploads: BTreeMap<String, BTreeMap<String, Upload>>,
}

#[derive(Clone)]
pub(crate) struct Upload {
    pub(crate) record: UploadRecord,
    pub(crate) parts: BTreeMap<i32, Part>,
}

/// Holds the lock on a store that is open.
pub(crate) struct Open<'a>(MutexGuard<'a, Option<State>>);

impl Store {
    pub(crate) fn open(root: PathBuf, limits: Limits) -> Result<Store, OpenError> {
        let (disk, lock) = Disk::open(root)?;
        let loaded = load::load(&disk)?;
        let disk = Arc::new(disk);
        let state = State { buckets: loaded.buckets, order: loaded.order, _lock: lock };
        Ok(Store {
            blobs: Blobs::new(Arc::clone(&disk)),
            disk,
            part_bytes_min: limits.part_bytes_min,
            clock: Clock::new(limits.clock_behind, loaded.ahead),
            restore_delay: Mutex::new(limits.restore_delay),
            conditions: limits.conditions,
            state: Mutex::new(Some(state)),
        })
    }

    /// Moves the clock of the store ahead.
    pub(crate) fn advance(&self, by: Duration) -> io::Result<()> {
        self.clock.advance(by, |ahead| self.disk.write(&self.disk.clock(), &ahead))
    }

    /// Nothing is written after this; the folder may be opened again.
    pub(crate) fn close(&self) {
        self.guard().take();
    }

    pub(crate) fn state(&self) -> S3Result<Open<'_>> {
        let guard = self.guard();
        match guard.is_some() {
            true => Ok(Open(guard)),
            false => Err(S3Error::new(S3ErrorCode::ServiceUnavailable)),
        }
    }

    fn guard(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Makes sure that the bucket exists. As in S3, one that has ever kept
    /// versions is never `Off` again.
    pub(crate) fn ensure_bucket(
        &self,
        name: &str,
        versioning: Versioning,
    ) -> Result<(), BucketError> {
        if !s3s::path::check_bucket_name(name) {
            return Err(BucketError::Name(name.to_owned()));
        }
        let mut state = self.state().map_err(|_| BucketError::Stopped { name: name.to_owned() })?;
        let record = match state.buckets.get(name) {
            Some(_) if versioning == Versioning::Off => return Ok(()),
            Some(bucket) => BucketRecord { versioning, ..bucket.record.clone() },
            None => self.new_bucket(versioning),
        };
        self.write_bucket(&mut state, name, record)
            .map_err(|source| BucketError::Write { name: name.to_owned(), source })
    }

    pub(crate) fn create_bucket(&self, name: &str) -> S3Result<()> {
        let mut state = self.state()?;
        if state.buckets.contains_key(name) {
            return Err(S3Error::new(S3ErrorCode::BucketAlreadyOwnedByYou));
        }
        let record = self.new_bucket(Versioning::Off);
        self.write_bucket(&mut state, name, record).map_err(S3Error::internal_error)
    }

    pub(crate) fn set_versioning(&self, name: &str, versioning: Versioning) -> S3Result<()> {
        let mut state = self.state()?;
        let record = BucketRecord { versioning, ..state.bucket(name)?.record.clone() };
        self.write_bucket(&mut state, name, record).map_err(S3Error::internal_error)
    }

    pub(crate) fn delete_bucket(&self, name: &str) -> S3Result<()> {
        let mut state = self.state()?;
        let bucket = state.bucket(name)?;
        if !bucket.versions.is_empty() || !bucket.uploads.is_empty() {
            return Err(S3Error::new(S3ErrorCode::BucketNotEmpty));
        }
        self.disk.remove_folder(&self.disk.bucket(name)).map_err(S3Error::internal_error)?;
        state.buckets.remove(name);
        Ok(())
    }

    pub(crate) fn lifecycle(&self, name: &str) -> S3Result<BucketLifecycleConfiguration> {
        let found = self.state()?.bucket(name)?.record.lifecycle.clone();
        found.ok_or_else(|| {
            let message = "The lifecycle configuration does not exist";
            S3Error::with_message(S3ErrorCode::NoSuchLifecycleConfiguration, message)
        })
    }

    /// `None` takes it away.
    pub(crate) fn set_lifecycle(
        &self,
        name: &str,
        lifecycle: Option<BucketLifecycleConfiguration>,
    ) -> S3Result<()> {
        let mut state = self.state()?;
        let record = BucketRecord { lifecycle, ..state.bucket(name)?.record.clone() };
        self.write_bucket(&mut state, name, record).map_err(S3Error::internal_error)
    }

    fn new_bucket(&self, versioning: Versioning) -> BucketRecord {
        BucketRecord { created_at: self.clock.now(), versioning, lifecycle: None }
    }

    fn write_bucket(&self, state: &mut State, name: &str, record: BucketRecord) -> io::Result<()> {
        self.disk.write(&self.disk.bucket_record(name), &record)?;
        match state.buckets.get_mut(name) {
            Some(bucket) => bucket.record = record,
            None => {
                state.buckets.insert(name.to_owned(), Bucket::new(record));
            }
        }
        Ok(())
    }
}

impl std::ops::Deref for Open<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.0.as_ref().expect("checked when the lock was taken")
    }
}

impl std::ops::DerefMut for Open<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.0.as_mut().expect("checked when the lock was taken")
    }
}

impl State {
    pub(crate) fn bucket(&self, name: &str) -> S3Result<&Bucket> {
        self.buckets.get(name).ok_or_else(|| no_such_bucket(name))
    }

    pub(crate) fn bucket_mut(&mut self, name: &str) -> S3Result<&mut Bucket> {
        self.buckets.get_mut(name).ok_or_else(|| no_such_bucket(name))
    }

    pub(crate) fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }
}

impl Bucket {
    pub(crate) fn new(record: BucketRecord) -> Bucket {
        Bucket { record, versions: BTreeMap::new(), uploads: BTreeMap::new() }
    }

    pub(crate) fn newest(&self, key: &str) -> Option<&Arc<Version>> {
        self.versions.get(key)?.first()
    }

    /// The version id as S3 shows it: not at all while a bucket keeps none.
    pub(crate) fn shown_id(&self, version: &Version) -> Option<String> {
        match self.record.versioning {
            Versioning::Off => None,
            Versioning::Enabled | Versioning::Suspended => Some(version.id.clone()),
        }
    }
}

fn no_such_bucket(name: &str) -> S3Error {
    let message = format!("The specified bucket does not exist: {name}");
    S3Error::with_message(S3ErrorCode::NoSuchBucket, message)
}
