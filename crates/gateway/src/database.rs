//! The database of the gateway: its clients, the catalogue of their files, their uploads, activity,
//! heartbeats and reports.
//!
//! [`Database::record`] takes a [`Record`] from a request and never waits: one task (`writer`)
//! writes them in batches. No error of the database reaches an upload. S3 is the truth about
//! files, and the catalogue only adds facts, which count for the very version that they were
//! recorded for.
//!
//! SQLite and PostgreSQL have the same tables (`migrations/`) and queries.

mod batch;
mod connect;
mod error;
mod outage;
mod prune;
mod read;
pub(crate) mod record;
#[cfg(test)]
mod tests;
mod write;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3up_core::{ClientName, Clock, Code, RemotePath, Sha256Digest, Stopwatch, error_chain};
use sqlx::AnyPool;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::connect::Location;
pub use self::error::DatabaseError;
use self::outage::Outage;
use self::record::{CatalogueEntry, Millis, Record, ReportRecord};
use self::writer::{Queued, Status, Writer};
use crate::refusal::Refusal;

/// Maximum number of records that wait for the next batch: some minutes of a busy gateway.
const QUEUE_MAX: usize = 16 << 10;
/// Maximum memory of these records, and of the batch that is being written.
const QUEUE_BYTES_MAX: usize = 32 << 20;
/// The uses of a key are recorded at most this often.
const KEY_USE_EVERY: Millis = 60_000;
/// Time that a report waits for its commit.
const COMMIT_WAIT_MAX: Duration = Duration::from_secs(10);
/// Time in which the queue must be written when the gateway stops.
const FLUSH_WAIT_MAX: Duration = Duration::from_secs(5);

/// Settings of the database.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    pub location: Location,
    /// Number of days for which uploads, activity and reports are kept.
    pub keep_days: u32,
}

/// The database; clones share it.
#[derive(Clone)]
pub(crate) struct Database(Arc<Shared>);

struct Shared {
    queue: mpsc::Sender<Queued>,
    memory: Arc<Semaphore>,
    readers: AnyPool,
    status: Arc<Status>,
    closing: CancellationToken,
    writer: TaskTracker,
    clock: Clock,
    running: Stopwatch,
    /// Time of the last recorded use of each known key.
    key_uses: Mutex<HashMap<Sha256Digest, Millis>>,
    read_outage: Mutex<Outage>,
}

impl Database {
    /// Opens the database and starts the writer. A database that cannot be opened is tried again
    /// later; only one of a newer gateway is an error. `name` is unique to this run.
    pub(crate) async fn start(
        settings: DatabaseSettings,
        name: String,
        clock: Clock,
    ) -> Result<Database, DatabaseError> {
        let DatabaseSettings { location, keep_days } = settings;
        let readers = location.readers()?;
        let mut writer = Writer::new(name, location, keep_days, clock);
        writer.open().await?;
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        let (status, closing) = (writer.status.clone(), writer.closing.clone());
        let tracker = TaskTracker::new();
        tracker.spawn(writer.run(queued));
        Ok(Database(Arc::new(Shared {
            queue,
            memory: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            readers,
            status,
            closing,
            writer: tracker,
            clock,
            running: clock.start(),
            key_uses: Mutex::default(),
            read_outage: Mutex::default(),
        })))
    }

    /// Connects, brings the tables up to date and closes the connection.
    pub(crate) async fn examine(location: &Location) -> Result<(), DatabaseError> {
        connect::close(location.open().await?).await;
        Ok(())
    }

    /// Returns the time for a record.
    pub(crate) fn now(&self) -> Millis {
        millis(self.0.clock.now())
    }

    /// Hands a record to the writer. Never waits. Returns false if the queue has no room; the
    /// record is then counted and dropped.
    pub(crate) fn record(&self, record: Record) -> bool {
        let shared = &self.0;
        let bytes = u32::try_from(record.bytes()).unwrap_or(u32::MAX);
        // Counted first: the writer may be faster than this task.
        shared.status.pending.fetch_add(1, Ordering::Relaxed);
        let memory = shared.memory.clone().try_acquire_many_owned(bytes);
        let sent =
            memory.is_ok_and(|memory| shared.queue.try_send(Queued { record, memory }).is_ok());
        if !sent {
            shared.status.pending.fetch_sub(1, Ordering::Relaxed);
            shared.status.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// Records that a client used one of its keys, at most once a minute.
    pub(crate) fn record_key_use(&self, client: &ClientName, key: Sha256Digest) {
        let at = self.now();
        {
            let mut uses = self.0.key_uses.lock().unwrap_or_else(PoisonError::into_inner);
            let last = uses.get(&key).copied();
            if last.is_some_and(|last| (0..KEY_USE_EVERY).contains(&(at - last))) {
                return;
            }
            uses.insert(key, at);
        }
        self.record(Record::KeyUsed { client: client.clone(), key, at });
    }

    /// Records a report and waits for its commit: an agent sends it again until it is safe.
    pub(crate) async fn record_report(
        &self,
        client: &ClientName,
        day: String,
        body: String,
    ) -> Result<(), Refusal> {
        let (committed, wait) = oneshot::channel();
        let (client, at) = (client.clone(), self.now());
        let report = ReportRecord { client, day, body, at, committed };
        let is_queued = self.record(Record::Report(Box::new(report)));
        let wait = tokio::time::timeout(COMMIT_WAIT_MAX, wait);
        if is_queued && matches!(wait.await, Ok(Ok(()))) {
            return Ok(());
        }
        Err(not_recorded("the report"))
    }

    /// Records a heartbeat. The next one comes in a minute, so none waits for its commit.
    pub(crate) fn record_heartbeat(
        &self,
        client: &ClientName,
        body: String,
    ) -> Result<(), Refusal> {
        let record = Record::Heartbeat { client: client.clone(), body, at: self.now() };
        if self.record(record) { Ok(()) } else { Err(not_recorded("the heartbeat")) }
    }

    /// Returns what the catalogue knows of `paths`. Nothing, if the database does not answer.
    pub(crate) async fn entries(
        &self,
        client: &ClientName,
        paths: &[RemotePath],
    ) -> BTreeMap<RemotePath, CatalogueEntry> {
        if self.0.status.failing.load(Ordering::Relaxed) {
            return BTreeMap::new();
        }
        match read::entries(&self.0.readers, client, paths).await {
            Ok(entries) => {
                self.read_outage(Outage::ended);
                entries
            }
            Err(err) => {
                let at = self.0.running.elapsed();
                if self.read_outage(|outage| outage.failed(at)) {
                    tracing::warn!(
                        event = "database_read_failed",
                        error = error_chain(&err),
                        "answers lack what only the catalogue knows"
                    );
                }
                BTreeMap::new()
            }
        }
    }

    /// Returns true if the last batch was written and the database answers.
    pub(crate) async fn is_ready(&self) -> bool {
        !self.0.status.failing.load(Ordering::Relaxed) && read::ping(&self.0.readers).await.is_ok()
    }

    /// Writes what is queued and closes the database.
    pub(crate) async fn close(&self) {
        self.0.closing.cancel();
        self.0.writer.close();
        let in_time = tokio::time::timeout(FLUSH_WAIT_MAX, self.0.writer.wait()).await.is_ok();
        let lost = self.0.status.pending.load(Ordering::Relaxed);
        if !in_time || lost > 0 {
            tracing::warn!(
                event = "records_lost",
                records = lost,
                "the gateway stops before it could write these records into the database"
            );
        }
        if tokio::time::timeout(FLUSH_WAIT_MAX, self.0.readers.close()).await.is_err() {
            tracing::debug!(event = "database_close_failed", "connections of readers are open");
        }
    }

    fn read_outage<T>(&self, act: impl FnOnce(&mut Outage) -> T) -> T {
        act(&mut self.0.read_outage.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn not_recorded(what: &str) -> Refusal {
    Refusal::new(
        Code::DatabaseUnavailable,
        format!("the gateway could not record {what}; send it again later"),
    )
}

/// Returns a time in Unix milliseconds.
pub(crate) fn millis(at: SystemTime) -> Millis {
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since_1970.as_millis()).unwrap_or(Millis::MAX)
}
