//! The queries about incidents and the daily report.
//!
//! Each transition is one transaction that also writes its alert: of several gateways that see it, one does.

use std::collections::BTreeMap;

use futures::FutureExt;
use sqlx::{Any, AnyPool, Row as _, Transaction};

use super::connect::{WRITE_WAIT_MAX, in_time};
use super::error::DatabaseError;
use crate::alert::{Topic, incident_id};
use crate::clock::Millis;

/// An incident that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IncidentRow {
    pub topic: Topic,
    pub subject: String,
    pub since: Millis,
    /// Time at which a gateway last saw it.
    pub seen_at: Millis,
    pub reason: String,
}

/// A client as a daily report showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportedClient {
    pub client: String,
    pub state: String,
    pub files: u64,
    pub bytes: u64,
}

/// Returns the incidents that are not over. One of a newer gateway is left to that.
pub(super) async fn open(pool: &AnyPool) -> Result<Vec<IncidentRow>, DatabaseError> {
    let query = sqlx::query("SELECT topic, subject, since, seen_at, reason FROM incidents");
    let rows = in_time(WRITE_WAIT_MAX, query.fetch_all(pool).boxed(), DatabaseError::Read).await?;
    let mut open = Vec::new();
    for row in &rows {
        let topic: String = row.try_get("topic").map_err(DatabaseError::Read)?;
        let Some(topic) = Topic::parse(&topic) else { continue };
        let subject = row.try_get("subject").map_err(DatabaseError::Read)?;
        let since = row.try_get("since").map_err(DatabaseError::Read)?;
        let seen_at = row.try_get("seen_at").map_err(DatabaseError::Read)?;
        let reason = row.try_get("reason").map_err(DatabaseError::Read)?;
        open.push(IncidentRow { topic, subject, since, seen_at, reason });
    }
    Ok(open)
}

/// Begins an incident. Returns false if another gateway did.
pub(super) async fn begin(
    pool: &AnyPool,
    topic: Topic,
    subject: &str,
    reason: &str,
    now: Millis,
) -> Result<bool, DatabaseError> {
    let begin = async {
        let mut transaction = pool.begin().await?;
        let query = sqlx::query(
            "INSERT INTO incidents (topic, subject, since, seen_at, reason) \
             VALUES ($1, $2, $3, $3, $4) ON CONFLICT (topic, subject) DO NOTHING",
        );
        let query = query.bind(topic.as_str()).bind(subject.to_owned()).bind(now);
        let begun = query.bind(reason.to_owned()).execute(&mut *transaction).await?;
        if begun.rows_affected() == 0 {
            return transaction.rollback().await.map(|()| false);
        }
        let id = incident_id(topic, subject, false, now);
        alert_row(&mut transaction, [&id, topic.as_str(), subject, "begun", reason], now).await?;
        transaction.commit().await.map(|()| true)
    };
    in_time(WRITE_WAIT_MAX, begin.boxed(), DatabaseError::Write).await
}

/// Notes that an incident is not over.
pub(super) async fn seen(
    pool: &AnyPool,
    topic: Topic,
    subject: &str,
    now: Millis,
) -> Result<(), DatabaseError> {
    let query = sqlx::query("UPDATE incidents SET seen_at = $3 WHERE topic = $1 AND subject = $2");
    let query = query.bind(topic.as_str()).bind(subject.to_owned()).bind(now);
    in_time(WRITE_WAIT_MAX, query.execute(pool).boxed(), DatabaseError::Write).await.map(drop)
}

/// Ends an incident. Returns false if another gateway did.
pub(super) async fn end(
    pool: &AnyPool,
    topic: Topic,
    subject: &str,
    now: Millis,
) -> Result<bool, DatabaseError> {
    let end = async {
        let mut transaction = pool.begin().await?;
        let query = sqlx::query("DELETE FROM incidents WHERE topic = $1 AND subject = $2");
        let query = query.bind(topic.as_str()).bind(subject.to_owned());
        if query.execute(&mut *transaction).await?.rows_affected() == 0 {
            return transaction.rollback().await.map(|()| false);
        }
        let id = incident_id(topic, subject, true, now);
        alert_row(&mut transaction, [&id, topic.as_str(), subject, "over", ""], now).await?;
        transaction.commit().await.map(|()| true)
    };
    in_time(WRITE_WAIT_MAX, end.boxed(), DatabaseError::Write).await
}

/// Writes the row of an alert: its id, topic, subject, state and reason.
async fn alert_row(
    transaction: &mut Transaction<'_, Any>,
    [id, topic, subject, state, reason]: [&str; 5],
    at: Millis,
) -> sqlx::Result<()> {
    let query = sqlx::query(
        "INSERT INTO alerts (id, topic, client, state, before, reason, at) \
         VALUES ($1, $2, $3, $4, '', $5, $6) ON CONFLICT (id) DO NOTHING",
    );
    let query = query.bind(id.to_owned()).bind(topic.to_owned()).bind(subject.to_owned());
    let query = query.bind(state.to_owned()).bind(reason.to_owned()).bind(at);
    query.execute(&mut **transaction).await.map(drop)
}

/// Remembers that a bucket keeps versions.
pub(super) async fn remember_versions(
    pool: &AnyPool,
    bucket: &str,
    now: Millis,
) -> Result<(), DatabaseError> {
    let query = sqlx::query(
        "INSERT INTO versioned_buckets (bucket, seen_at) VALUES ($1, $2) \
         ON CONFLICT (bucket) DO NOTHING",
    );
    let query = query.bind(bucket.to_owned()).bind(now).execute(pool).boxed();
    in_time(WRITE_WAIT_MAX, query, DatabaseError::Write).await.map(drop)
}

/// Returns true if a bucket was once seen to keep versions.
pub(super) async fn kept_versions(pool: &AnyPool, bucket: &str) -> Result<bool, DatabaseError> {
    let query = sqlx::query("SELECT bucket FROM versioned_buckets WHERE bucket = $1");
    let row = query.bind(bucket.to_owned()).fetch_optional(pool).boxed();
    Ok(in_time(WRITE_WAIT_MAX, row, DatabaseError::Read).await?.is_some())
}

/// Returns the day of the last daily report, and the clients that it showed.
pub(super) async fn last_report(
    pool: &AnyPool,
) -> Result<Option<(String, BTreeMap<String, ReportedClient>)>, DatabaseError> {
    let query = sqlx::query(
        "SELECT day, client, state, files, bytes FROM reported_clients \
         WHERE day = (SELECT max(day) FROM reported_clients)",
    );
    let rows = in_time(WRITE_WAIT_MAX, query.fetch_all(pool).boxed(), DatabaseError::Read).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let day = first.try_get("day").map_err(DatabaseError::Read)?;
    let clients = rows.iter().map(|row| {
        let (files, bytes): (i64, i64) = (row.try_get("files")?, row.try_get("bytes")?);
        let client: String = row.try_get("client")?;
        let reported = ReportedClient {
            client: client.clone(),
            state: row.try_get("state")?,
            files: u64::try_from(files).unwrap_or_default(),
            bytes: u64::try_from(bytes).unwrap_or_default(),
        };
        Ok((client, reported))
    });
    let clients = clients.collect::<sqlx::Result<_>>().map_err(DatabaseError::Read)?;
    Ok(Some((day, clients)))
}

/// Writes the report of a day, to be delivered. Returns false if another gateway did.
pub(super) async fn write_report(
    pool: &AnyPool,
    day: &str,
    text: &str,
    clients: &[ReportedClient],
    now: Millis,
) -> Result<bool, DatabaseError> {
    let write = async {
        let mut transaction = pool.begin().await?;
        for client in clients {
            let query = sqlx::query(
                "INSERT INTO reported_clients (day, client, state, files, bytes) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (day, client) DO NOTHING",
            );
            let query = query.bind(day.to_owned()).bind(client.client.clone());
            let query = query.bind(client.state.clone()).bind(signed(client.files));
            let query = query.bind(signed(client.bytes));
            if query.execute(&mut *transaction).await?.rows_affected() == 0 {
                return transaction.rollback().await.map(|()| false);
            }
        }
        let id = format!("report-{day}");
        alert_row(&mut transaction, [&id, "report", "", "", text], now).await?;
        transaction.commit().await.map(|()| true)
    };
    in_time(WRITE_WAIT_MAX, write.boxed(), DatabaseError::Write).await
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
