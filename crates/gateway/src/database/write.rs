//! The statements that write a batch, in one transaction and in a fixed order of tables and rows.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use s3up_core::wire::ClientState;
use s3up_core::{ClientName, Sha256Digest};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, AnyConnection, Connection, Executor, Row as _, Transaction};

use super::backup_reports;
use super::batch::{Activity, Batch, FirstAndLastUse};
use super::changes::{self, BatchChanges, HOUR};
use super::many_rows;
use super::order_clock::OrderClock;
use super::record::RecordedState;
use crate::alert::{alert_id, is_alert};
use crate::clock::Millis;

type Query<'q> = sqlx::query::Query<'q, Any, AnyArguments>;

/// Names one batch of one run of a gateway.
#[derive(Clone, Debug)]
pub(super) struct BatchId {
    pub writer: String,
    pub number: i64,
}

/// Commits all of `batch`, or nothing. A batch that was committed already, although the answer
/// was lost, is not written again. Returns the bytes that each of its clients has now.
pub(super) async fn write(
    connection: &mut AnyConnection,
    id: &BatchId,
    batch: &Batch,
    clock: OrderClock,
    now: Duration,
) -> sqlx::Result<Vec<(ClientName, i64)>> {
    let mut transaction = connection.begin().await?;
    // The first statement writes, so that SQLite takes its lock before anything is read: a rebuild may
    // write at the same time.
    let query = sqlx::query(
        "INSERT INTO batches (writer, batch, written_at) VALUES ($1, $2, $3) \
         ON CONFLICT (writer) DO UPDATE SET batch = excluded.batch, written_at = excluded.written_at \
         WHERE batches.batch <> excluded.batch",
    );
    let query = query.bind(id.writer.clone()).bind(id.number).bind(clock.at(now));
    if transaction.execute(query).await?.rows_affected() == 0 {
        transaction.rollback().await?;
        return Ok(Vec::new());
    }
    for (client, seen) in &batch.clients {
        execute(&mut transaction, client_row(client, *seen)).await?;
    }
    for (key, (client, seen)) in &batch.keys {
        execute(&mut transaction, key_row(key, client, *seen)).await?;
    }
    for (client, since) in &batch.complete {
        execute(&mut transaction, complete_row(client, *since)).await?;
    }
    let mut files = BTreeMap::<_, Vec<_>>::new();
    for ((client, path), file) in &batch.files {
        files.entry(client).or_default().push((path.as_str(), file));
    }
    let mut totals = Vec::new();
    for (client, files) in files {
        let (mut bytes, mut counted) = (0, BatchChanges::default());
        let newest_at: HashMap<_, _> =
            files.iter().map(|(path, file)| (*path, clock.at(file.newest_at))).collect();
        for row in many_rows::upsert_files(&mut transaction, client, &files, clock).await? {
            let path: String = row.try_get("path")?;
            let at = newest_at.get(path.as_str()).copied();
            let at = at.ok_or_else(|| {
                sqlx::Error::Decode(format!("a row of {path:?}, which was not written").into())
            })?;
            bytes += count_change(&row, &path, at, &mut counted)?;
        }
        changes::add(&mut transaction, client, &counted, clock.at(now)).await?;
        let files = counted.created;
        let row = transaction
            .fetch_one(total_row(client, files, bytes, batch.last_stored.get(client).copied()))
            .await?;
        totals.push((client.clone(), row.try_get("bytes")?));
    }
    many_rows::insert_uploads(&mut transaction, &batch.uploads).await?;
    for ((client, day), activity) in &batch.activity {
        execute(&mut transaction, activity_row(client, day, activity)).await?;
    }
    client_states(&mut transaction, batch).await?;
    for (client, (at, body, watches)) in &batch.heartbeats {
        execute(&mut transaction, heartbeat_row(client, *at, body, watches.as_deref())).await?;
    }
    for ((client, day), (at, body)) in &batch.reports {
        execute(&mut transaction, report_row(client, day, *at, body)).await?;
    }
    for (client, (at, body)) in &batch.backup_reports {
        execute(&mut transaction, backup_reports::upsert(client, *at, body)).await?;
    }
    transaction.commit().await?;
    Ok(totals)
}

async fn client_states(transaction: &mut Transaction<'_, Any>, batch: &Batch) -> sqlx::Result<()> {
    for (client, (before, state, reason)) in &batch.client_states {
        let changed = transaction.fetch_optional(client_state_row(client, *state)).await?;
        // Another gateway may have recorded the same change.
        if changed.is_some() && is_alert(*before, state.state) {
            execute(transaction, alert_row(client, *before, *state, reason.as_deref())).await?;
        }
    }
    Ok(())
}

async fn execute(transaction: &mut Transaction<'_, Any>, query: Query<'_>) -> sqlx::Result<()> {
    transaction.execute(query).await.map(drop)
}

fn client_row(client: &ClientName, seen: FirstAndLastUse) -> Query<'static> {
    sqlx::query(
        "INSERT INTO clients (client, created_at, last_seen_at) VALUES ($1, $2, $3) \
         ON CONFLICT (client) DO UPDATE SET last_seen_at = \
             CASE WHEN clients.last_seen_at > coalesce(excluded.last_seen_at, 0) \
                  THEN clients.last_seen_at ELSE excluded.last_seen_at END",
    )
    .bind(client.to_string())
    .bind(seen.known_at)
    .bind(seen.used_at)
}

fn complete_row(client: &ClientName, since: Millis) -> Query<'static> {
    sqlx::query(
        "INSERT INTO clients (client, created_at, complete_since) VALUES ($1, $2, $2) \
         ON CONFLICT (client) DO UPDATE SET complete_since = excluded.complete_since",
    )
    .bind(client.to_string())
    .bind(since)
}

/// Notes that the catalogues of all clients may lack files, because records were lost.
pub(super) async fn forget_completeness(connection: &mut AnyConnection) -> sqlx::Result<()> {
    let query = "UPDATE clients SET complete_since = NULL, losses = losses + 1";
    connection.execute(query).await.map(drop)
}

fn key_row(key: &Sha256Digest, client: &ClientName, seen: FirstAndLastUse) -> Query<'static> {
    sqlx::query(
        "INSERT INTO keys (key_sha256, client, created_at, last_used_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (key_sha256) DO UPDATE SET client = excluded.client, last_used_at = \
             CASE WHEN keys.last_used_at > coalesce(excluded.last_used_at, 0) \
                  THEN keys.last_used_at ELSE excluded.last_used_at END",
    )
    .bind(key.to_string())
    .bind(client.to_string())
    .bind(seen.known_at)
    .bind(seen.used_at)
}

/// Counts the change that a row of `files` shows, which was written at `at`. Returns the change of the bytes.
fn count_change(
    row: &AnyRow,
    path: &str,
    at: Millis,
    counted: &mut BatchChanges,
) -> sqlx::Result<i64> {
    let (size, previous): (i64, Option<i64>) =
        (row.try_get("size")?, row.try_get("previous_size")?);
    let (replaced_at, before): (Option<Millis>, Option<Millis>) =
        (row.try_get("replaced_at")?, row.try_get("previous_replaced_at")?);
    match previous {
        None => {
            counted.created += 1;
            if let Some(extension) = changes::extension(path) {
                *counted.extensions.entry(extension).or_default() += 1;
            }
        }
        // One that is replaced again and again is counted once.
        Some(previous)
            if replaced_at == Some(at) && before.is_none_or(|before| at - before >= HOUR) =>
        {
            counted.replaced += 1;
            counted.emptied += i64::from(size == 0 && previous > 0);
        }
        Some(_) => {}
    }
    Ok(size - previous.unwrap_or_default())
}

/// Adds to the total of a client, and returns it.
pub(super) fn total_row(
    client: &ClientName,
    files: i64,
    bytes: i64,
    last_stored_at: Option<Millis>,
) -> Query<'static> {
    sqlx::query(
        "INSERT INTO totals (client, files, bytes, last_stored_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (client) DO UPDATE SET \
             files = totals.files + excluded.files, bytes = totals.bytes + excluded.bytes, \
             last_stored_at = coalesce(excluded.last_stored_at, totals.last_stored_at) \
         RETURNING bytes",
    )
    .bind(client.to_string())
    .bind(files)
    .bind(bytes)
    .bind(last_stored_at)
}

fn alert_row(
    client: &ClientName,
    before: Option<ClientState>,
    recorded: RecordedState,
    reason: Option<&str>,
) -> Query<'static> {
    sqlx::query(
        "INSERT INTO alerts (id, client, state, before, reason, at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
    )
    .bind(alert_id(client, recorded.state, recorded.since))
    .bind(client.to_string())
    .bind(recorded.state.as_str())
    .bind(before.map_or("", ClientState::as_str))
    .bind(reason.unwrap_or_default().to_owned())
    .bind(recorded.since)
}

/// Returns a row if it is a change.
fn client_state_row(client: &ClientName, recorded: RecordedState) -> Query<'static> {
    sqlx::query(
        "INSERT INTO client_states (client, state, since) VALUES ($1, $2, $3) \
         ON CONFLICT (client) DO UPDATE SET state = excluded.state, since = excluded.since \
         WHERE client_states.state <> excluded.state RETURNING client",
    )
    .bind(client.to_string())
    .bind(recorded.state.as_str())
    .bind(recorded.since)
}

fn activity_row(client: &ClientName, day: &str, activity: &Activity) -> Query<'static> {
    sqlx::query(
        "INSERT INTO activity (client, day, stored, stored_bytes, unchanged, refused, cancelled, \
                               downloads, downloaded_bytes) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (client, day) DO UPDATE SET \
             stored = activity.stored + excluded.stored, \
             stored_bytes = activity.stored_bytes + excluded.stored_bytes, \
             unchanged = activity.unchanged + excluded.unchanged, \
             refused = activity.refused + excluded.refused, \
             cancelled = activity.cancelled + excluded.cancelled, \
             downloads = activity.downloads + excluded.downloads, \
             downloaded_bytes = activity.downloaded_bytes + excluded.downloaded_bytes",
    )
    .bind(client.to_string())
    .bind(day.to_owned())
    .bind(activity.stored)
    .bind(activity.stored_bytes)
    .bind(activity.unchanged)
    .bind(activity.refused)
    .bind(activity.cancelled)
    .bind(activity.downloads)
    .bind(activity.downloaded_bytes)
}

fn heartbeat_row(
    client: &ClientName,
    at: Millis,
    body: &str,
    watches: Option<&str>,
) -> Query<'static> {
    sqlx::query(
        "INSERT INTO heartbeats (client, received_at, body, watches) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (client) DO UPDATE SET received_at = excluded.received_at, \
             body = excluded.body, watches = excluded.watches \
         WHERE heartbeats.received_at <= excluded.received_at",
    )
    .bind(client.to_string())
    .bind(at)
    .bind(body.to_owned())
    .bind(watches.map(str::to_owned))
}

fn report_row(client: &ClientName, day: &str, at: Millis, body: &str) -> Query<'static> {
    sqlx::query(
        "INSERT INTO reports (client, day, received_at, body) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (client, day) DO UPDATE SET \
             received_at = excluded.received_at, body = excluded.body \
         WHERE reports.received_at <= excluded.received_at",
    )
    .bind(client.to_string())
    .bind(day.to_owned())
    .bind(at)
    .bind(body.to_owned())
}
