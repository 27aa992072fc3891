//! The queries about alerts.

use futures::FutureExt;
use s3up_core::wire::ClientState;
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row as _};

use super::connect::{WRITE_WAIT_MAX, in_time};
use super::error::DatabaseError;
use crate::alert::Alert;
use crate::clock::Millis;

/// Maximum number of alerts that one look returns, the oldest first.
const ALERTS_MAX: i64 = 100;

pub(super) async fn undelivered(pool: &AnyPool) -> Result<Vec<Alert>, DatabaseError> {
    let query = sqlx::query(
        "SELECT id, client, state, before, reason, at, attempts, tried_at FROM alerts \
         WHERE delivered_at IS NULL ORDER BY at LIMIT $1",
    );
    let rows = query.bind(ALERTS_MAX).fetch_all(pool).boxed();
    let rows = in_time(WRITE_WAIT_MAX, rows, DatabaseError::Read).await?;
    let alerts = rows.iter().map(alert).collect::<sqlx::Result<Vec<_>>>();
    Ok(alerts.map_err(DatabaseError::Read)?.into_iter().flatten().collect())
}

/// Returns nothing for a state of a newer gateway, which delivers the alert itself.
fn alert(row: &AnyRow) -> sqlx::Result<Option<Alert>> {
    let (state, before): (String, String) = (row.try_get("state")?, row.try_get("before")?);
    let (reason, attempts): (String, i64) = (row.try_get("reason")?, row.try_get("attempts")?);
    let Some(state) = ClientState::parse(&state) else { return Ok(None) };
    Ok(Some(Alert {
        id: row.try_get("id")?,
        client: row.try_get("client")?,
        state,
        before: ClientState::parse(&before),
        reason: (!reason.is_empty()).then_some(reason),
        at: row.try_get("at")?,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        tried_at: row.try_get("tried_at")?,
    }))
}

/// Takes an alert for one attempt. Returns false if another gateway took it since it was read.
pub(super) async fn claim(
    pool: &AnyPool,
    alert: &Alert,
    now: Millis,
) -> Result<bool, DatabaseError> {
    let query = sqlx::query(
        "UPDATE alerts SET attempts = attempts + 1, tried_at = $1 \
         WHERE id = $2 AND attempts = $3 AND delivered_at IS NULL",
    );
    let query = query.bind(now).bind(alert.id.clone()).bind(i64::from(alert.attempts));
    let done = in_time(WRITE_WAIT_MAX, query.execute(pool).boxed(), DatabaseError::Write).await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn delivered(
    pool: &AnyPool,
    alert: &Alert,
    now: Millis,
) -> Result<(), DatabaseError> {
    let query = sqlx::query("UPDATE alerts SET delivered_at = $1 WHERE id = $2");
    let query = query.bind(now).bind(alert.id.clone()).execute(pool).boxed();
    in_time(WRITE_WAIT_MAX, query, DatabaseError::Write).await.map(drop)
}
