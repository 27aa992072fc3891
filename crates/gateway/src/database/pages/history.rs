//! The queries of the pages about reports, alerts and the gateway itself.

use std::future::ready;

use futures::{FutureExt, TryStreamExt};
use s3up_core::ClientName;
use s3up_core::wire::Report;
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row as _};

use super::PAGE_WAIT_MAX;
use crate::clock::Millis;
use crate::database::connect::in_time;
use crate::database::{Database, DatabaseError, Location};

/// Number of alerts on a page.
pub(crate) const ALERTS_SHOWN: usize = 100;
/// Number of reports on a page. A report may have thousand problems.
pub(crate) const REPORTS_SHOWN: usize = 50;

/// An alert of the past, with its deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PastAlert {
    pub id: String,
    /// `state`, `report`, or the topic of an incident.
    pub topic: String,
    /// The client, gateway or bucket.
    pub subject: String,
    /// A state of a client; `begun` or `over` for an incident.
    pub state: String,
    pub before: String,
    pub reason: String,
    pub at: Millis,
    pub deliveries: Vec<DeliveryAttempts>,
}

/// The place of an alert in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlertCursor {
    pub at: Millis,
    pub id: String,
}

/// The attempts to deliver an alert by one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeliveryAttempts {
    pub channel: String,
    pub attempts: u64,
    pub tried_at: Millis,
    pub delivered_at: Option<Millis>,
}

/// A report of the past.
#[derive(Clone, Debug)]
pub(crate) struct PastReport {
    pub client: String,
    pub day: String,
    pub received_at: Millis,
    /// `None`: it is of another version of the format.
    pub report: Option<Report>,
}

impl Database {
    /// Returns alerts, the newest first, of one subject if it is given. `after` is the last one of the page
    /// before.
    pub(crate) async fn past_alerts(
        &self,
        after: Option<&AlertCursor>,
        subject: Option<&str>,
    ) -> Result<Vec<PastAlert>, DatabaseError> {
        past_alerts(&self.0.readers, after, subject).await
    }

    /// Returns reports up to a day, the newest first, of one client if it is given. `skip` are those of the
    /// pages before.
    pub(crate) async fn past_reports(
        &self,
        up_to_day: &str,
        client: Option<&ClientName>,
        skip: u32,
    ) -> Result<Vec<PastReport>, DatabaseError> {
        past_reports(&self.0.readers, up_to_day, client, skip).await
    }

    /// Returns the bytes that the database takes on its disk.
    pub(crate) async fn size_bytes(&self) -> Result<u64, DatabaseError> {
        let text = match &self.0.location {
            Location::Sqlite(_) => {
                "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()"
            }
            Location::Postgres(_) => "SELECT pg_database_size(current_database()) AS bytes",
        };
        let row = sqlx::query(text).fetch_one(&self.0.readers).boxed();
        let row = in_time(PAGE_WAIT_MAX, row, DatabaseError::Read).await?;
        let bytes: i64 = row.try_get("bytes").map_err(DatabaseError::Read)?;
        Ok(u64::try_from(bytes).unwrap_or_default())
    }

    /// Returns the kind of the database and its place, without a secret.
    pub(crate) fn place(&self) -> String {
        self.0.location.to_string()
    }
}

async fn past_alerts(
    pool: &AnyPool,
    after: Option<&AlertCursor>,
    subject: Option<&str>,
) -> Result<Vec<PastAlert>, DatabaseError> {
    // Many alerts may be of the same moment. An alert has one row for each channel.
    let text = match subject {
        None => {
            "SELECT part.id, part.topic, part.client, part.state, part.before, part.reason, part.at, \
                    deliveries.channel, deliveries.attempts, deliveries.tried_at, deliveries.delivered_at \
             FROM (SELECT * FROM alerts WHERE at < $1 OR (at = $1 AND id > $2) \
                   ORDER BY at DESC, id LIMIT $3) AS part \
             LEFT JOIN deliveries ON deliveries.alert = part.id \
             ORDER BY part.at DESC, part.id, deliveries.channel"
        }
        Some(_) => {
            "SELECT part.id, part.topic, part.client, part.state, part.before, part.reason, part.at, \
                    deliveries.channel, deliveries.attempts, deliveries.tried_at, deliveries.delivered_at \
             FROM (SELECT * FROM alerts WHERE client = $4 AND (at < $1 OR (at = $1 AND id > $2)) \
                   ORDER BY at DESC, id LIMIT $3) AS part \
             LEFT JOIN deliveries ON deliveries.alert = part.id \
             ORDER BY part.at DESC, part.id, deliveries.channel"
        }
    };
    let first = AlertCursor { at: Millis::MAX, id: String::new() };
    let AlertCursor { at, id } = after.unwrap_or(&first);
    let limit = i64::try_from(ALERTS_SHOWN).unwrap_or(i64::MAX);
    let mut query = sqlx::query(text).bind(*at).bind(id.clone()).bind(limit);
    if let Some(subject) = subject {
        query = query.bind(subject.to_owned());
    }
    let rows = in_time(PAGE_WAIT_MAX, query.fetch_all(pool).boxed(), DatabaseError::Read).await?;
    let mut alerts: Vec<PastAlert> = Vec::new();
    for row in &rows {
        let id: String = row.try_get("id").map_err(DatabaseError::Read)?;
        let delivery = delivery(row).map_err(DatabaseError::Read)?;
        match alerts.last_mut().filter(|last| last.id == id) {
            Some(last) => last.deliveries.extend(delivery),
            None => alerts.push(alert(row, id, delivery).map_err(DatabaseError::Read)?),
        }
    }
    Ok(alerts)
}

fn alert(row: &AnyRow, id: String, delivery: Option<DeliveryAttempts>) -> sqlx::Result<PastAlert> {
    Ok(PastAlert {
        id,
        topic: row.try_get("topic")?,
        subject: row.try_get("client")?,
        state: row.try_get("state")?,
        before: row.try_get("before")?,
        reason: row.try_get("reason")?,
        at: row.try_get("at")?,
        deliveries: delivery.into_iter().collect(),
    })
}

fn delivery(row: &AnyRow) -> sqlx::Result<Option<DeliveryAttempts>> {
    let channel: Option<String> = row.try_get("channel")?;
    let (attempts, tried_at): (Option<i64>, Option<Millis>) =
        (row.try_get("attempts")?, row.try_get("tried_at")?);
    let delivered_at = row.try_get("delivered_at")?;
    let all = channel.zip(attempts).zip(tried_at);
    Ok(all.map(|((channel, attempts), tried_at)| DeliveryAttempts {
        channel,
        attempts: u64::try_from(attempts).unwrap_or_default(),
        tried_at,
        delivered_at,
    }))
}

async fn past_reports(
    pool: &AnyPool,
    up_to_day: &str,
    client: Option<&ClientName>,
    skip: u32,
) -> Result<Vec<PastReport>, DatabaseError> {
    let text = match client {
        None => {
            "SELECT client, day, received_at, body FROM reports WHERE day <= $1 \
             ORDER BY day DESC, client LIMIT $2 OFFSET $3"
        }
        Some(_) => {
            "SELECT client, day, received_at, body FROM reports WHERE day <= $1 AND client = $4 \
             ORDER BY day DESC, client LIMIT $2 OFFSET $3"
        }
    };
    let limit = i64::try_from(REPORTS_SHOWN).unwrap_or(i64::MAX);
    let mut query = sqlx::query(text).bind(up_to_day.to_owned()).bind(limit).bind(i64::from(skip));
    if let Some(client) = client {
        query = query.bind(client.to_string());
    }
    // Row by row: a client decides how long its reports are.
    let reports = query.fetch(pool).and_then(|row| ready(past_report(&row))).try_collect();
    in_time(PAGE_WAIT_MAX, reports.boxed(), DatabaseError::Read).await
}

fn past_report(row: &AnyRow) -> sqlx::Result<PastReport> {
    let body: String = row.try_get("body")?;
    let report: Option<Report> = serde_json::from_str(&body).ok();
    Ok(PastReport {
        client: row.try_get("client")?,
        day: row.try_get("day")?,
        received_at: row.try_get("received_at")?,
        // The page shows no problem, and a long report consists of them.
        report: report.map(|report| Report { problems: Vec::new(), ..report }),
    })
}
