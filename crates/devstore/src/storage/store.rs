//! All buckets in memory, and the lock around them.
//!
//! Every change holds the one lock while it writes its record and updates the
//! memory. So readers see complete changes, in the same order as on disk. The
//! lock is never held while a body is transferred; a change under it is a rename
//! and a few hundred bytes of JSON. All functions block, so they are called on
//! the blocking pool.
//!
//! Not here: objects (`objects`), multipart uploads (`uploads`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use s3s::dto::BucketLifecycleConfiguration;
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::behaviours::Behaviours;
use crate::clock::Clock;
use crate::model::record::{BucketRecord, Versioning};
use crate::storage::blob::Blobs;
use crate::storage::bucket::Bucket;
use crate::storage::disk::{Disk, OpenError};
use crate::storage::load;

/// Reason why a bucket cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error("create bucket {0:?}: not a valid S3 bucket name")]
    Name(String),
    #[error("create bucket {0:?} with versions: the server that this one is like keeps none")]
    NoVersions(String),
    #[error("create bucket {name:?}: the server is stopped")]
    Stopped { name: String },
    #[error("create bucket {name:?}")]
    Write { name: String, source: io::Error },
}

/// The options of a store, apart from its directory.
pub(crate) struct Limits {
    pub(crate) part_bytes_min: u64,
    pub(crate) restore_delay: Duration,
    pub(crate) behaviours: Behaviours,
    pub(crate) clock_behind: Duration,
}

pub(crate) struct Store {
    pub(crate) disk: Arc<Disk>,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) part_bytes_min: u64,
    pub(crate) clock: Clock,
    pub(crate) restore_delay: Mutex<Duration>,
    pub(crate) behaviours: Behaviours,
    state: Mutex<Option<State>>,
}

/// The state of an open store. Closing the store drops it, and with it the lock on
/// the directory.
pub(crate) struct State {
    pub(crate) buckets: BTreeMap<String, Bucket>,
    /// Highest order assigned so far.
    pub(crate) order: u64,
    _lock: File,
}

/// Holds the lock of an open store.
pub(crate) struct StateGuard<'a>(MutexGuard<'a, Option<State>>);

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
            behaviours: limits.behaviours,
            state: Mutex::new(Some(state)),
        })
    }

    /// Advances the clock of the store.
    pub(crate) fn advance(&self, by: Duration) -> io::Result<()> {
        self.clock.advance(by, |ahead| self.disk.write(&self.disk.clock(), &ahead))
    }

    /// Closes the store. It writes nothing after this, and the directory can be opened
    /// again.
    pub(crate) fn close(&self) {
        self.guard().take();
    }

    pub(crate) fn state(&self) -> S3Result<StateGuard<'_>> {
        let guard = self.guard();
        match guard.is_some() {
            true => Ok(StateGuard(guard)),
            false => Err(S3Error::new(S3ErrorCode::ServiceUnavailable)),
        }
    }

    fn guard(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Creates the bucket unless it exists. As in S3, a bucket that ever kept
    /// versions is never `Off` again.
    pub(crate) fn ensure_bucket(
        &self,
        name: &str,
        versioning: Versioning,
    ) -> Result<(), BucketError> {
        if !s3s::path::check_bucket_name(name) {
            return Err(BucketError::Name(name.to_owned()));
        }
        if versioning != Versioning::Off && !self.behaviours.keeps_versions {
            return Err(BucketError::NoVersions(name.to_owned()));
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
        if !self.behaviours.keeps_versions {
            return Err(S3Error::new(S3ErrorCode::NotImplemented));
        }
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
        self.disk.remove_directory(&self.disk.bucket(name)).map_err(S3Error::internal_error)?;
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

    /// Sets the lifecycle configuration; `None` removes it.
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

impl std::ops::Deref for StateGuard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.0.as_ref().expect("checked when the lock was taken")
    }
}

impl std::ops::DerefMut for StateGuard<'_> {
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

fn no_such_bucket(name: &str) -> S3Error {
    let message = format!("The specified bucket does not exist: {name}");
    S3Error::with_message(S3ErrorCode::NoSuchBucket, message)
}
