//! The queries about alerts and their deliveries.

use futures::FutureExt;
use s3up_core::wire::ClientState;
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row as _};

use super::connect::{WRITE_WAIT_MAX, in_time};
use super::error::DatabaseError;
use crate::alert::{Alert, AlertKind, Channel, Topic};
use crate::clock::Millis;

/// Maximum number of alerts that one query returns, the oldest first.
const ALERTS_MAX: i64 = 100;
/// Alerts that are older than this are not delivered: a channel that is new, or was broken for a week,
/// does not begin with old incidents.
const AGE_MAX: Millis = 7 * 24 * 3_600_000;

pub(super) async fn undelivered(
    pool: &AnyPool,
    channel: Channel,
    now: Millis,
) -> Result<Vec<Alert>, DatabaseError> {
    let query = sqlx::query(
        "SELECT alerts.id, alerts.topic, alerts.client, alerts.state, alerts.before, alerts.reason, alerts.at, \
                coalesce(deliveries.attempts, 0) AS attempts, \
                coalesce(deliveries.tried_at, 0) AS tried_at \
         FROM alerts LEFT JOIN deliveries \
              ON deliveries.alert = alerts.id AND deliveries.channel = $1 \
         WHERE deliveries.delivered_at IS NULL AND alerts.at >= $2 \
         ORDER BY alerts.at LIMIT $3",
    );
    let query = query.bind(channel.as_str()).bind(now - AGE_MAX).bind(ALERTS_MAX);
    let rows = in_time(WRITE_WAIT_MAX, query.fetch_all(pool).boxed(), DatabaseError::Read).await?;
    let alerts = rows.iter().map(alert).collect::<sqlx::Result<Vec<_>>>();
    Ok(alerts.map_err(DatabaseError::Read)?.into_iter().flatten().collect())
}

/// Returns nothing for a state or a topic of a newer gateway, which delivers the alert itself.
fn alert(row: &AnyRow) -> sqlx::Result<Option<Alert>> {
    let (state, before): (String, String) = (row.try_get("state")?, row.try_get("before")?);
    let (reason, attempts): (String, i64) = (row.try_get("reason")?, row.try_get("attempts")?);
    let topic: String = row.try_get("topic")?;
    let Some(kind) = kind(&topic, &state, &before) else { return Ok(None) };
    Ok(Some(Alert {
        id: row.try_get("id")?,
        kind,
        subject: row.try_get("client")?,
        reason: (!reason.is_empty()).then_some(reason),
        at: row.try_get("at")?,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        tried_at: row.try_get("tried_at")?,
    }))
}

fn kind(topic: &str, state: &str, before: &str) -> Option<AlertKind> {
    match topic {
        "state" => {
            let state = ClientState::parse(state)?;
            Some(AlertKind::State { state, before: ClientState::parse(before) })
        }
        "report" => Some(AlertKind::DailyReport),
        topic => {
            Some(AlertKind::Incident { topic: Topic::parse(topic)?, is_over: state == "over" })
        }
    }
}

/// Takes an alert for one attempt. Returns false if another gateway took it since it was read.
pub(super) async fn claim(
    pool: &AnyPool,
    alert: &Alert,
    channel: Channel,
    now: Millis,
) -> Result<bool, DatabaseError> {
    let query = sqlx::query(
        "INSERT INTO deliveries (alert, channel, attempts, tried_at) VALUES ($1, $2, 1, $3) \
         ON CONFLICT (alert, channel) DO UPDATE SET \
             attempts = deliveries.attempts + 1, tried_at = excluded.tried_at \
         WHERE deliveries.attempts = $4 AND deliveries.delivered_at IS NULL",
    );
    let query = query.bind(alert.id.clone()).bind(channel.as_str()).bind(now);
    let query = query.bind(i64::from(alert.attempts)).execute(pool).boxed();
    let done = in_time(WRITE_WAIT_MAX, query, DatabaseError::Write).await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn delivered(
    pool: &AnyPool,
    alert: &Alert,
    channel: Channel,
    now: Millis,
) -> Result<(), DatabaseError> {
    let query =
        sqlx::query("UPDATE deliveries SET delivered_at = $1 WHERE alert = $2 AND channel = $3");
    let query = query.bind(now).bind(alert.id.clone()).bind(channel.as_str());
    in_time(WRITE_WAIT_MAX, query.execute(pool).boxed(), DatabaseError::Write).await.map(drop)
}
