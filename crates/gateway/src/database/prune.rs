//! Deletes what is older than `activity.keep_days`: uploads, activity, reports, alerts. The catalogue and
//! the last heartbeats stay.

use sqlx::{AnyConnection, Connection, Executor, Row as _};

use super::batch::day_of;
use crate::clock::Millis;

const DAY: Millis = 24 * 60 * 60 * 1000;
const CHANGES_KEPT: Millis = 2 * DAY;
/// Daily reports of the gateway. An alert that is older is not delivered.
const REPORTS_KEPT: Millis = 8 * DAY;

/// Deletes, in one transaction, what is from a day before `now - keep_days`, but of the uploads
/// only those of the oldest day: there may be very many. Returns true if nothing is left to delete.
pub(super) async fn prune_step(
    connection: &mut AnyConnection,
    keep_days: u32,
    now: Millis,
) -> sqlx::Result<bool> {
    let oldest = now.saturating_sub(DAY.saturating_mul(i64::from(keep_days)));
    let (oldest_day, limit) = (day_of(oldest), start_of_day(oldest));
    let mut transaction = connection.begin().await?;
    for statement in ["DELETE FROM activity WHERE day < $1", "DELETE FROM reports WHERE day < $1"] {
        transaction.execute(sqlx::query(statement).bind(oldest_day.clone())).await?;
    }
    for statement in [
        "DELETE FROM batches WHERE written_at < $1",
        "DELETE FROM deliveries WHERE tried_at < $1",
        "DELETE FROM alerts WHERE at < $1",
        "DELETE FROM turns WHERE begun_at < $1",
    ] {
        transaction.execute(sqlx::query(statement).bind(limit)).await?;
    }
    // They are needed for a short time only, and there may be many.
    let query = sqlx::query("DELETE FROM changes WHERE period < $1").bind(now - CHANGES_KEPT);
    transaction.execute(query).await?;
    let query = sqlx::query("DELETE FROM reported_clients WHERE day < $1");
    transaction.execute(query.bind(day_of(now - REPORTS_KEPT))).await?;
    let query = sqlx::query("DELETE FROM alerts WHERE topic = 'report' AND at < $1");
    transaction.execute(query.bind(now - REPORTS_KEPT)).await?;
    let query = sqlx::query("SELECT min(started_at) AS first FROM uploads WHERE started_at < $1");
    let row = transaction.fetch_one(query.bind(limit)).await?;
    let first: Option<Millis> = row.try_get("first")?;
    if let Some(first) = first {
        let query = sqlx::query("DELETE FROM uploads WHERE started_at < $1");
        transaction.execute(query.bind(limit.min(start_of_day(first) + DAY))).await?;
    }
    transaction.commit().await?;
    Ok(first.is_none())
}

fn start_of_day(at: Millis) -> Millis {
    at - at.rem_euclid(DAY)
}
