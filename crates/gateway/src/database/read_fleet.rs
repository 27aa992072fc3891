//! The queries about all clients.

use std::future::ready;

use futures::{FutureExt, TryStreamExt};
use s3up_core::ClientName;
use s3up_core::wire::{ClientReport, ClientState, Total, Watches};
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row as _};

use super::backup_reports;
use super::client_facts::{ClientFacts, ReceivedHeartbeat};
use super::connect::in_time;
use super::error::DatabaseError;
use super::freezes::Freeze;
use super::record::RecordedState;
use crate::clock::{Millis, time_text};

/// Maximum time for a query about all clients.
const FLEET_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(10);
/// Maximum number of reports in one answer.
pub(crate) const REPORTS_MAX: i64 = 1000;
/// Maximum length of all of them, as the database has them: a client decides how long its reports are.
const REPORTS_BYTES_MAX: usize = 32 << 20;

/// Selects the facts about all clients. Each table has one row for a client, except for the reports, of which the
/// newest day is found in their key.
macro_rules! select_facts {
    ($where:literal) => {
        concat!(
            "SELECT clients.client, clients.created_at, clients.last_seen_at, \
                heartbeats.received_at, heartbeats.body, \
                backup_reports.received_at AS backups_at, backup_reports.body AS backups_body, \
                totals.files, totals.bytes, totals.last_stored_at, \
                client_states.state, client_states.since, \
                freezes.since AS frozen_at, freezes.reason AS frozen_reason, \
                (SELECT max(day) FROM reports WHERE reports.client = clients.client) AS report_day, \
                (SELECT received_at FROM reports WHERE reports.client = clients.client \
                 ORDER BY day DESC LIMIT 1) AS report_at \
             FROM clients \
             LEFT JOIN heartbeats ON heartbeats.client = clients.client \
             LEFT JOIN backup_reports ON backup_reports.client = clients.client \
             LEFT JOIN totals ON totals.client = clients.client \
             LEFT JOIN client_states ON client_states.client = clients.client \
             LEFT JOIN freezes ON freezes.client = clients.client",
            $where
        )
    };
}

/// Returns the facts about all clients.
pub(super) async fn client_facts(pool: &AnyPool) -> Result<Vec<ClientFacts>, DatabaseError> {
    let query = sqlx::query(select_facts!(""));
    // Row by row: a row of the driver takes many times the memory of its facts.
    let rows = query.fetch(pool).and_then(|row| ready(facts(&row)));
    let facts = rows.try_filter_map(|facts| ready(Ok(facts))).try_collect::<Vec<_>>();
    in_time(FLEET_WAIT_MAX, facts.boxed(), DatabaseError::Read).await
}

/// Returns the facts about one client; `None` if the database does not have it yet.
pub(super) async fn facts_of(
    pool: &AnyPool,
    client: &ClientName,
) -> Result<Option<ClientFacts>, DatabaseError> {
    let query = sqlx::query(select_facts!(" WHERE clients.client = $1")).bind(client.to_string());
    let row = in_time(FLEET_WAIT_MAX, query.fetch_optional(pool).boxed(), DatabaseError::Read);
    let facts = row.await?.as_ref().map(facts).transpose().map_err(DatabaseError::Read)?;
    Ok(facts.flatten())
}

/// Returns the watches in the last heartbeat of a client, with the time at which it arrived.
pub(super) async fn watches_of(
    pool: &AnyPool,
    client: &ClientName,
) -> Result<Option<(Millis, Watches)>, DatabaseError> {
    let query = sqlx::query("SELECT received_at, watches FROM heartbeats WHERE client = $1");
    let row = query.bind(client.to_string()).fetch_optional(pool).boxed();
    let Some(row) = in_time(FLEET_WAIT_MAX, row, DatabaseError::Read).await? else {
        return Ok(None);
    };
    let at = row.try_get("received_at").map_err(DatabaseError::Read)?;
    let watches: Option<String> = row.try_get("watches").map_err(DatabaseError::Read)?;
    // Those of a newer gateway may have another form.
    Ok(watches.and_then(|text| Some((at, serde_json::from_str(&text).ok()?))))
}

/// Returns nothing for a name that this gateway cannot have written.
fn facts(row: &AnyRow) -> sqlx::Result<Option<ClientFacts>> {
    let name: String = row.try_get("client")?;
    let Ok(name) = ClientName::parse(&name) else { return Ok(None) };
    let (at, body): (Option<Millis>, Option<String>) =
        (row.try_get("received_at")?, row.try_get("body")?);
    let heartbeat = at.zip(body).and_then(|(at, body)| {
        let body = serde_json::from_str(&body).ok()?;
        Some(ReceivedHeartbeat { at, body })
    });
    let (state, since): (Option<String>, Option<Millis>) =
        (row.try_get("state")?, row.try_get("since")?);
    let recorded = state.zip(since).and_then(|(state, since)| {
        Some(RecordedState { state: ClientState::parse(&state)?, since })
    });
    let (frozen_at, frozen_reason): (Option<Millis>, Option<String>) =
        (row.try_get("frozen_at")?, row.try_get("frozen_reason")?);
    let count = |column| -> sqlx::Result<u64> {
        let count: Option<i64> = row.try_get(column)?;
        Ok(u64::try_from(count.unwrap_or_default()).unwrap_or_default())
    };
    Ok(Some(ClientFacts {
        name,
        created_at: row.try_get("created_at")?,
        last_seen_at: row.try_get("last_seen_at")?,
        heartbeat,
        backup_report: backup_reports::of_row(row)?,
        last_report_day: row.try_get("report_day")?,
        last_report_at: row.try_get("report_at")?,
        last_stored_at: row.try_get("last_stored_at")?,
        stored: Total { files: count("files")?, bytes: count("bytes")? },
        recorded,
        frozen: frozen_at.zip(frozen_reason).map(|(since, reason)| Freeze { since, reason }),
    }))
}

/// Returns reports, the newest day first, of one day or one client if they are given.
pub(super) async fn reports(
    pool: &AnyPool,
    day: Option<&str>,
    client: Option<&ClientName>,
) -> Result<Vec<ClientReport>, DatabaseError> {
    // Two texts for each condition, because the databases infer the type of a bare NULL differently.
    let text = match (day, client) {
        (None, None) => {
            "SELECT client, received_at, body FROM reports ORDER BY day DESC, client LIMIT $1"
        }
        (Some(_), None) => {
            "SELECT client, received_at, body FROM reports WHERE day = $2 ORDER BY day DESC, client LIMIT $1"
        }
        (None, Some(_)) => {
            "SELECT client, received_at, body FROM reports WHERE client = $2 ORDER BY day DESC, client LIMIT $1"
        }
        (Some(_), Some(_)) => {
            "SELECT client, received_at, body FROM reports WHERE day = $2 AND client = $3 ORDER BY day DESC, client LIMIT $1"
        }
    };
    let mut query = sqlx::query(text).bind(REPORTS_MAX);
    if let Some(day) = day {
        query = query.bind(day.to_owned());
    }
    if let Some(client) = client {
        query = query.bind(client.to_string());
    }
    let mut rows = query.fetch(pool);
    let read = async move {
        let (mut reports, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            let body: String = row.try_get("body")?;
            bytes += body.len();
            if bytes > REPORTS_BYTES_MAX && !reports.is_empty() {
                break;
            }
            reports.extend(report(&row, &body)?);
        }
        Ok(reports)
    };
    in_time(FLEET_WAIT_MAX, read.boxed(), DatabaseError::Read).await
}

/// Returns nothing for a report of another version of the format.
fn report(row: &AnyRow, body: &str) -> sqlx::Result<Option<ClientReport>> {
    let Ok(report) = serde_json::from_str(body) else { return Ok(None) };
    let received_at: Millis = row.try_get("received_at")?;
    Ok(Some(ClientReport {
        client: row.try_get("client")?,
        received_at: time_text(received_at),
        report,
    }))
}
