//! The one task that writes the database, in batches.
//!
//! All records that arrive while a batch is committed become the next batch. A batch that fails is
//! written again until it succeeds; meanwhile records wait in the queue, and what does not fit into
//! it is counted and dropped. If the database refuses a value of a batch, the batch is written in halves,
//! until the record that has the value is found; that one is counted, logged and dropped, because it
//! would hold up all others for good. The connection of a failed batch is thrown away: after a full disk
//! SQLite rolls back by itself, and the driver would believe that its transaction is still open and
//! commit nothing more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use s3up_core::{Clock, Stopwatch, error_chain};
use sqlx::AnyConnection;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, day_of};
use super::connect::{Location, WRITE_WAIT_MAX, close, in_time};
use super::error::DatabaseError;
use super::order_clock::OrderClock;
use super::prune::prune_step;
use super::record::{Record, RecordEnd};
use super::unwritten::Unwritten;
use super::usage::Usage;
use super::write::{BatchId, forget_completeness, write};
use crate::clock::Millis;
use crate::clock::millis;
use crate::outage::Outage;

/// Maximum number of records per transaction. A larger batch would only delay its first record.
const BATCH_MAX: usize = 512;
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Time after a failed attempt to delete what is too old. Each attempt may take as long as the
/// database is given for a write, and the records wait meanwhile.
pub(super) const PRUNE_RETRY_DELAY: Duration = Duration::from_secs(5 * 60);

/// A record in the queue, with its share of the queue's memory.
#[derive(Debug)]
pub(super) struct QueuedRecord {
    pub record: Record,
    pub memory: OwnedSemaphorePermit,
}

/// State of the writer that the other tasks see.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// True while the last try to write has failed.
    pub failing: AtomicBool,
    /// Number of tries that have failed since the start.
    pub failures: AtomicU64,
    /// Number of records that are queued and not yet committed.
    pub pending: AtomicU64,
    /// Number of records for which the queue had no room, or that the database refused.
    pub dropped: AtomicU64,
}

/// The end of the tries to write a batch.
enum Written {
    Committed,
    /// The database refuses a value of the batch.
    Refused(DatabaseError),
    /// The gateway stops, and the last try has failed.
    Stopped,
}

pub(super) struct Writer {
    pub location: Location,
    pub connection: Option<AnyConnection>,
    pub keep_days: u32,
    pub clock: Clock,
    pub status: Arc<Status>,
    /// Cancelled when the queue has to be written for the last time.
    pub closing: CancellationToken,
    pub usage: Usage,
    pub unwritten: Unwritten,
    id: BatchId,
    running: Stopwatch,
    /// `None` until the first connection.
    order_clock: Option<OrderClock>,
    outage: Outage,
    /// Value of [`Status::dropped`] that was last logged.
    dropped_logged: u64,
    /// The same value when the catalogue was last marked as incomplete for it.
    dropped_noted: u64,
    /// Last day on which everything too old was deleted.
    pruned_on: Option<String>,
    /// Time of the last failure to delete, as `running` shows it.
    prune_failed_at: Option<Duration>,
}

impl Writer {
    /// `name` is unique to this run of the gateway.
    pub(super) fn new(
        name: String,
        location: Location,
        keep_days: u32,
        clock: Clock,
        running: Stopwatch,
    ) -> Writer {
        Writer {
            location,
            connection: None,
            keep_days,
            clock,
            status: Arc::default(),
            closing: CancellationToken::new(),
            usage: Usage::default(),
            unwritten: Unwritten::default(),
            id: BatchId { writer: name, number: 0 },
            running,
            order_clock: None,
            outage: Outage::default(),
            dropped_logged: 0,
            dropped_noted: 0,
            pruned_on: None,
            prune_failed_at: None,
        }
    }

    /// Connects before the first record. A database that does not answer is tried again with the
    /// first batch.
    pub(super) async fn open(&mut self) -> Result<(), DatabaseError> {
        match self.location.open().await {
            Ok(connection) => self.connection = Some(connection),
            Err(err @ DatabaseError::Newer(_)) => return Err(err),
            Err(err) => self.failed(&err),
        }
        Ok(())
    }

    /// Writes until the queue is closed and empty, or until the gateway stops and a try fails.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<QueuedRecord>) {
        let (closing, mut queued) = (self.closing.clone(), Vec::with_capacity(BATCH_MAX));
        loop {
            let count = tokio::select! {
                biased;
                () = closing.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
                count = queue.recv_many(&mut queued, BATCH_MAX) => count,
            };
            if count == 0 {
                break;
            }
            let (records, memory): (Vec<_>, Vec<_>) =
                queued.drain(..).map(|QueuedRecord { record, memory }| (record, memory)).unzip();
            if !self.write_all(records).await {
                return;
            }
            drop(memory);
            self.prune().await;
        }
        if let Some(connection) = self.connection.take() {
            close(connection).await;
        }
    }

    /// Writes records, in as few transactions as it can. Returns false if the gateway stops and some of them
    /// could not be written.
    async fn write_all(&mut self, records: Vec<Record>) -> bool {
        // The next part is the last.
        let mut parts = vec![records];
        while let Some(mut part) = parts.pop() {
            match self.write_until_it_ends(&Batch::of(&part)).await {
                Written::Committed => {
                    self.ended(part.len());
                    part.into_iter().for_each(|record| record.end(RecordEnd::Committed));
                }
                Written::Refused(err) if part.len() <= 1 => {
                    self.ended(part.len());
                    part.into_iter().for_each(|record| self.drop_refused(record, &err));
                }
                Written::Refused(_) => {
                    let second_half = part.split_off(part.len() / 2);
                    parts.extend([second_half, part]);
                }
                Written::Stopped => return false,
            }
        }
        self.note_dropped().await;
        true
    }

    fn ended(&self, records: usize) {
        self.status.pending.fetch_sub(records as u64, Ordering::Relaxed);
    }

    /// Tries until the batch is committed or refused, or until the gateway stops.
    async fn write_until_it_ends(&mut self, batch: &Batch) -> Written {
        self.id.number += 1;
        loop {
            let is_last_try = self.closing.is_cancelled();
            match self.try_write(batch).await {
                Ok(()) => {
                    self.succeeded();
                    return Written::Committed;
                }
                Err(err) if err.is_of_a_record() => return Written::Refused(err),
                Err(err) => self.failed(&err),
            }
            if is_last_try {
                return Written::Stopped;
            }
            // If the gateway stops meanwhile, there is one more try at once.
            self.closing.run_until_cancelled(tokio::time::sleep(RETRY_DELAY)).await;
        }
    }

    fn drop_refused(&mut self, record: Record, err: &DatabaseError) {
        self.status.dropped.fetch_add(1, Ordering::Relaxed);
        self.dropped_logged += 1;
        if let Some((client, change)) = record.change() {
            self.usage.add_unwritten(&client, -change);
        }
        let file = record.stored_file();
        self.unwritten.remove(file.iter());
        let (kind, client) = record.kind();
        let path = file.as_ref().map(|(_, path)| path);
        tracing::error!(
            event = "record_refused",
            kind,
            %client,
            path,
            error = error_chain(err),
            "the database refuses this record, which is dropped; files are safe, and `s3up-server rebuild` completes \
             the catalogue"
        );
        record.end(RecordEnd::Refused);
    }

    /// Marks the catalogue as incomplete if records were dropped since it was last marked. A failure is no loss:
    /// the next batch marks it first.
    async fn note_dropped(&mut self) {
        if self.status.dropped.load(Ordering::Relaxed) == self.dropped_noted {
            return;
        }
        if let Err(err) = self.note_dropped_now().boxed().await {
            self.failed(&err);
        }
    }

    async fn note_dropped_now(&mut self) -> Result<(), DatabaseError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.location.open().await?,
        };
        self.forget_completeness(&mut connection).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn forget_completeness(
        &mut self,
        connection: &mut AnyConnection,
    ) -> Result<(), DatabaseError> {
        let dropped = self.status.dropped.load(Ordering::Relaxed);
        if dropped > self.dropped_noted {
            let noted = forget_completeness(connection).boxed();
            in_time(WRITE_WAIT_MAX, noted, DatabaseError::Write).await?;
            self.dropped_noted = dropped;
        }
        Ok(())
    }

    fn try_write<'w>(&'w mut self, batch: &'w Batch) -> BoxFuture<'w, Result<(), DatabaseError>> {
        self.try_write_now(batch).boxed()
    }

    async fn try_write_now(&mut self, batch: &Batch) -> Result<(), DatabaseError> {
        // Taken out, so that it is thrown away unless the batch is committed.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.location.open().await?,
        };
        let order_clock = self.order_clock(&mut connection).await?;
        self.forget_completeness(&mut connection).await?;
        let (id, now) = (self.id.clone(), self.running.elapsed());
        let written = write(&mut connection, &id, batch, order_clock, now).boxed();
        let totals = in_time(WRITE_WAIT_MAX, written, DatabaseError::Write).await?;
        self.connection = Some(connection);
        self.usage.committed(totals, &batch.changes, self.running.elapsed());
        self.unwritten.remove(batch.files.keys());
        Ok(())
    }

    async fn order_clock(
        &mut self,
        connection: &mut AnyConnection,
    ) -> Result<OrderClock, DatabaseError> {
        let running = self.running;
        let own = OrderClock::new(self.now(), running.elapsed());
        let measured =
            OrderClock::measure(connection, &self.location, own, || running.elapsed()).boxed();
        let measured = in_time(WRITE_WAIT_MAX, measured, DatabaseError::Read).await?;
        let clock = match self.order_clock {
            None => measured,
            // Its own clock is read once: it may be set back meanwhile.
            Some(known) if matches!(self.location, Location::Sqlite(_)) => known,
            Some(known) => known.at_least(measured),
        };
        self.order_clock = Some(clock);
        Ok(clock)
    }

    /// Deletes some of what is too old, once a day, and until nothing of it is left. A failure
    /// costs no record, so it is no failure to write.
    async fn prune(&mut self) {
        let elapsed = self.running.elapsed();
        let waits = |failed_at| elapsed.saturating_sub(failed_at) < PRUNE_RETRY_DELAY;
        if self.closing.is_cancelled() || self.prune_failed_at.is_some_and(waits) {
            return;
        }
        let now = self.now();
        let today = day_of(now);
        if self.pruned_on.as_ref() == Some(&today) {
            return;
        }
        let Some(mut connection) = self.connection.take() else { return };
        let step = prune_step(&mut connection, self.keep_days, now).boxed();
        match in_time(WRITE_WAIT_MAX, step, DatabaseError::Write).await {
            Ok(is_done) => {
                self.connection = Some(connection);
                self.pruned_on = is_done.then_some(today);
                self.prune_failed_at = None;
            }
            // The connection is thrown away, and the next batch opens another one.
            Err(err) => {
                self.prune_failed_at = Some(self.running.elapsed());
                tracing::warn!(
                    event = "database_prune_failed",
                    error = error_chain(&err),
                    retry_seconds = PRUNE_RETRY_DELAY.as_secs(),
                    "cannot delete records older than `activity.keep_days`; trying again later"
                );
            }
        }
    }

    fn failed(&mut self, err: &DatabaseError) {
        self.status.failing.store(true, Ordering::Relaxed);
        self.status.failures.fetch_add(1, Ordering::Relaxed);
        if self.outage.failed(self.running.elapsed()) {
            let dropped = self.status.dropped.load(Ordering::Relaxed);
            self.dropped_logged = dropped;
            let pending = self.status.pending.load(Ordering::Relaxed);
            tracing::error!(
                event = "database_write_failed",
                error = error_chain(err),
                pending,
                dropped,
                retry_seconds = RETRY_DELAY.as_secs(),
                "cannot write the database; uploads continue, and {pending} records wait in memory"
            );
        }
    }

    fn succeeded(&mut self) {
        self.status.failing.store(false, Ordering::Relaxed);
        let dropped = self.status.dropped.load(Ordering::Relaxed);
        if let Some(failures) = self.outage.ended() {
            tracing::warn!(
                event = "database_recovered",
                failures,
                dropped,
                "the database can be written again"
            );
        } else if dropped > self.dropped_logged {
            tracing::warn!(
                event = "records_dropped",
                dropped,
                "dropped records because the database is too slow; files are safe"
            );
        }
        self.dropped_logged = dropped;
    }

    fn now(&self) -> Millis {
        millis(self.clock.now())
    }
}
