//! The newest backup report of each client: how it is written, and how it is read.

use s3up_core::ClientName;
use s3up_core::wire::BackupReport;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, Row as _};

use crate::clock::Millis;

/// A backup report, with the time at which the gateway received it.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedBackupReport {
    pub at: Millis,
    pub body: BackupReport,
}

/// Returns the statement that keeps a report, unless another gateway has a newer one.
pub(super) fn upsert(
    client: &ClientName,
    at: Millis,
    body: &str,
) -> sqlx::query::Query<'static, Any, AnyArguments> {
    sqlx::query(
        "INSERT INTO backup_reports (client, received_at, body) VALUES ($1, $2, $3) \
         ON CONFLICT (client) DO UPDATE SET \
             received_at = excluded.received_at, body = excluded.body \
         WHERE backup_reports.received_at <= excluded.received_at",
    )
    .bind(client.to_string())
    .bind(at)
    .bind(body.to_owned())
}

/// Returns the report of a row with the columns `backups_at` and `backups_body`, and nothing for a
/// report of another version of the format.
pub(super) fn of_row(row: &AnyRow) -> sqlx::Result<Option<ReceivedBackupReport>> {
    let (at, body): (Option<Millis>, Option<String>) =
        (row.try_get("backups_at")?, row.try_get("backups_body")?);
    Ok(at.zip(body).and_then(|(at, body)| {
        let body = serde_json::from_str(&body).ok()?;
        Some(ReceivedBackupReport { at, body })
    }))
}
