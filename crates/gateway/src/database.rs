//! The database of the gateway: its clients, the catalogue of their files, their uploads, activity,
//! heartbeats and reports.
//!
//! [`Database::record`] takes a [`Record`] from a request and never waits: one task (`writer`)
//! writes them in batches. No error of the database reaches an upload. S3 is the truth about
//! files, and the catalogue only adds facts, which count for the very version that they were
//! recorded for.
//!
//! SQLite and PostgreSQL have the same tables (`migrations/`) and queries.

mod alerts;
pub(crate) mod backup_reports;
mod batch;
mod catalogue;
pub(crate) mod changes;
pub(crate) mod client_facts;
mod connect;
mod error;
mod fleet;
pub(crate) mod freezes;
mod freezes_file;
mod frozen_clients;
pub(crate) mod incidents;
mod many_rows;
mod new_paths;
mod order_clock;
pub(crate) mod pages;
mod prune;
mod read;
pub(crate) mod read_fleet;
pub(crate) mod rebuild;
pub(crate) mod record;
#[cfg(test)]
mod tests;
mod turns;
mod unwritten;
pub(crate) mod usage;
mod write;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use s3up_core::{ClientName, Clock, Code, RemotePath, Sha256Digest, Stopwatch, error_chain};
use sqlx::AnyPool;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::connect::Location;
pub use self::error::DatabaseError;
use self::freezes::Freezes;
use self::new_paths::NewPaths;
use self::record::{CatalogueEntry, RECORD_BYTES, Record, RecordEnd, ReportRecord};
use self::turns::Turns;
pub(crate) use self::turns::{HoldError, Turn};
use self::unwritten::Unwritten;
use self::usage::Usage;
use self::writer::{QueuedRecord, Status, Writer};
use crate::clock::{Millis, millis};
use crate::counters::Counters;
use crate::outage::Outage;
use crate::refusal::Refusal;

/// Maximum memory of the records that wait for the next batch and of those that are being
/// written: some minutes of a busy gateway.
const RECORDS_BYTES_MAX: usize = 32 << 20;
/// The same for heartbeats and reports. They have a limit of their own, because some long reports
/// would otherwise displace thousands of records of uploads.
const BODIES_BYTES_MAX: usize = 16 << 20;
/// Maximum number of all of them. Their memory is the limit that they reach first.
const QUEUE_MAX: usize = (RECORDS_BYTES_MAX + BODIES_BYTES_MAX) / RECORD_BYTES;
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
    /// File in which the gateway remembers which clients are frozen, for a start without the database.
    pub freezes_file: Option<PathBuf>,
}

/// Records of this gateway since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordCounts {
    /// Those that wait now.
    pub pending: u64,
    pub dropped: u64,
    pub failed_writes: u64,
}

/// The database; clones share it.
#[derive(Clone)]
pub(crate) struct Database(Arc<Shared>);

struct Shared {
    location: Location,
    queue: mpsc::Sender<QueuedRecord>,
    records_memory: Arc<Semaphore>,
    bodies_memory: Arc<Semaphore>,
    readers: AnyPool,
    new_paths: NewPaths,
    status: Arc<Status>,
    closing: CancellationToken,
    writer: TaskTracker,
    clock: Clock,
    running: Stopwatch,
    /// Time of the last recorded use of each known key.
    key_uses: Mutex<HashMap<Sha256Digest, Millis>>,
    usage: Usage,
    unwritten: Unwritten,
    freezes: Freezes,
    counters: Counters,
    turns: Turns,
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
        let DatabaseSettings { location, keep_days, freezes_file } = settings;
        let readers = location.readers()?;
        let running = clock.start();
        let turns = Turns::new(&location, running)?;
        let mut writer = Writer::new(name, location.clone(), keep_days, clock, running);
        writer.open().await?;
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        let (status, closing) = (writer.status.clone(), writer.closing.clone());
        let (usage, unwritten) = (writer.usage.clone(), writer.unwritten.clone());
        let tracker = TaskTracker::new();
        tracker.spawn(writer.run(queued));
        Ok(Database(Arc::new(Shared {
            location,
            queue,
            records_memory: Arc::new(Semaphore::new(RECORDS_BYTES_MAX)),
            bodies_memory: Arc::new(Semaphore::new(BODIES_BYTES_MAX)),
            new_paths: NewPaths::start(readers.clone()),
            readers,
            status,
            closing,
            writer: tracker,
            clock,
            running,
            key_uses: Mutex::default(),
            usage,
            unwritten,
            freezes: Freezes::new(freezes_file),
            counters: Counters::default(),
            turns,
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

    /// Returns the time since the start of the database, for [`UploadRecord::newest_at`].
    ///
    /// [`UploadRecord::newest_at`]: record::UploadRecord::newest_at
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.running.elapsed()
    }

    /// Hands a record to the writer. Never waits. Returns false if the queue has no room; the
    /// record is then counted and dropped.
    pub(crate) fn record(&self, record: Record) -> bool {
        let shared = &self.0;
        if let Record::Upload(upload) = &record {
            let (result, bytes) = upload.outcome.counted();
            shared.counters.add_upload(&upload.client, result, bytes);
        }
        let bytes = u32::try_from(record.bytes()).unwrap_or(u32::MAX);
        let change = record.change();
        // Counted first: the writer may be faster than this task.
        if let Some((client, change)) = &change {
            shared.usage.add_unwritten(client, *change);
        }
        let file = record.stored_file();
        if let Some(file) = &file {
            shared.unwritten.add(file.clone());
        }
        shared.status.pending.fetch_add(1, Ordering::Relaxed);
        let memory = match &record {
            Record::Heartbeat { .. } | Record::Report(_) | Record::BackupReport(_) => {
                &shared.bodies_memory
            }
            Record::KeyKnown { .. }
            | Record::ClientState { .. }
            | Record::KeyUsed { .. }
            | Record::Complete { .. }
            | Record::Upload(_)
            | Record::Download { .. } => &shared.records_memory,
        };
        let memory = memory.clone().try_acquire_many_owned(bytes);
        let sent = memory
            .is_ok_and(|memory| shared.queue.try_send(QueuedRecord { record, memory }).is_ok());
        if !sent {
            shared.status.pending.fetch_sub(1, Ordering::Relaxed);
            shared.status.dropped.fetch_add(1, Ordering::Relaxed);
            if let Some((client, change)) = &change {
                shared.usage.add_unwritten(client, -change);
            }
            shared.unwritten.remove(file.iter());
        }
        sent
    }

    /// Records that a client used one of its keys, at most once a minute.
    pub(crate) fn record_key_use(&self, client: &ClientName, key: Sha256Digest, by_host: bool) {
        let at = self.now();
        {
            let mut uses = self.0.key_uses.lock().unwrap_or_else(PoisonError::into_inner);
            let last = uses.get(&key).copied();
            if last.is_some_and(|last| (0..KEY_USE_EVERY).contains(&(at - last))) {
                return;
            }
            uses.insert(key, at);
        }
        self.record(Record::KeyUsed { client: client.clone(), key, at, by_host });
    }

    /// Records a report and waits for its commit: an agent sends it again until it is safe.
    pub(crate) async fn record_report(
        &self,
        client: &ClientName,
        day: String,
        body: String,
    ) -> Result<(), Refusal> {
        let (client, body, at) = (client.clone(), body.into(), self.now());
        let record =
            |ended| Record::Report(Box::new(ReportRecord { client, day, body, at, ended }));
        self.record_and_wait("the report", record).await
    }

    /// Records what the client sends again until it is safe, and waits for its commit.
    async fn record_and_wait(
        &self,
        what: &str,
        record: impl FnOnce(oneshot::Sender<RecordEnd>) -> Record,
    ) -> Result<(), Refusal> {
        let (ended, wait) = oneshot::channel();
        if !self.record(record(ended)) {
            return Err(not_recorded(what));
        }
        match tokio::time::timeout(COMMIT_WAIT_MAX, wait).await {
            Ok(Ok(RecordEnd::Committed)) => Ok(()),
            Ok(Ok(RecordEnd::Refused)) => {
                let what = format!(
                    "the database of the gateway refuses {what}, and would refuse it again; the log of the gateway \
                     has the reason (record_refused)"
                );
                Err(Refusal::new(Code::BadRequest, what))
            }
            Ok(Err(_)) | Err(_) => Err(not_recorded(what)),
        }
    }

    /// Records a heartbeat. The next one comes in a minute, so none waits for its commit.
    pub(crate) fn record_heartbeat(
        &self,
        client: &ClientName,
        body: String,
        watches: Option<String>,
    ) -> Result<(), Refusal> {
        let (client, body, watches) = (client.clone(), body.into(), watches.map(Into::into));
        let record = Record::Heartbeat { client, body, watches, at: self.now() };
        if self.record(record) { Ok(()) } else { Err(not_recorded("the heartbeat")) }
    }

    /// Returns the catalogue entries of `paths`, or none if the database does not answer.
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
                        "the database does not answer; answering without the SHA-256 of long files"
                    );
                }
                BTreeMap::new()
            }
        }
    }

    /// Returns what the clients have stored, with the total of `client` not older than some
    /// seconds. If the database does not answer, the last total counts; if none is known, the quota
    /// is not enforced: a backup that is too large is better than none.
    pub(crate) async fn usage(&self, client: &ClientName) -> &Usage {
        let shared = &self.0;
        if shared.usage.is_stale(client, self.elapsed())
            && !shared.status.failing.load(Ordering::Relaxed)
        {
            match read::total_bytes(&shared.readers, client).await {
                Ok(bytes) => shared.usage.set_total(client, bytes, self.elapsed()),
                Err(err) => {
                    let at = self.elapsed();
                    if self.read_outage(|outage| outage.failed(at)) {
                        tracing::warn!(
                            event = "database_read_failed",
                            error = error_chain(&err),
                            "cannot read the usage of a client; its quota is checked with an older number, or not at all"
                        );
                    }
                }
            }
        }
        &shared.usage
    }

    /// Returns what this gateway has counted since its start.
    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Returns the numbers of records that wait and that were dropped, and of writes that failed.
    pub(crate) fn record_counts(&self) -> RecordCounts {
        let status = &self.0.status;
        RecordCounts {
            pending: status.pending.load(Ordering::Relaxed),
            dropped: status.dropped.load(Ordering::Relaxed),
            failed_writes: status.failures.load(Ordering::Relaxed),
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
                "stopped before all records were written to the database; files are safe"
            );
        }
        let pools = async { tokio::join!(self.0.readers.close(), self.0.turns.close()) };
        if tokio::time::timeout(FLUSH_WAIT_MAX, pools).await.is_err() {
            let error = "connections of readers are open";
            tracing::debug!(event = "database_close_failed", error, "cannot close the database");
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
