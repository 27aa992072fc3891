//! The queries of the pages of the dashboard.

pub(crate) mod client;
pub(crate) mod history;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use s3up_core::ClientName;
use sqlx::{AnyPool, Row as _};

use super::connect::in_time;
use super::{Database, DatabaseError};

/// Maximum time for a query of a page.
pub(super) const PAGE_WAIT_MAX: Duration = Duration::from_secs(10);

/// The knowledge of the catalogue about the files of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CatalogueFacts {
    /// True if the catalogue has every file of the client.
    pub is_complete: bool,
    /// True if a file of the client was ever recorded.
    pub has_total: bool,
}

/// The uploads of one client on one day that stored a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DayOfClient {
    pub client: String,
    pub day: String,
    pub stored: u64,
    pub stored_bytes: u64,
}

impl Database {
    /// Returns what the catalogue can say of each client.
    pub(crate) async fn catalogue_facts(
        &self,
    ) -> Result<BTreeMap<ClientName, CatalogueFacts>, DatabaseError> {
        catalogue_facts(&self.0.readers).await
    }

    /// Returns the activity of all clients since a day.
    pub(crate) async fn activity_since(
        &self,
        day: &str,
    ) -> Result<Vec<DayOfClient>, DatabaseError> {
        activity_since(&self.0.readers, day).await
    }
}

async fn catalogue_facts(
    pool: &AnyPool,
) -> Result<BTreeMap<ClientName, CatalogueFacts>, DatabaseError> {
    let query = sqlx::query(
        "SELECT clients.client, clients.complete_since, totals.files \
         FROM clients LEFT JOIN totals ON totals.client = clients.client",
    );
    let rows = in_time(PAGE_WAIT_MAX, query.fetch_all(pool).boxed(), DatabaseError::Read).await?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let client: String = row.try_get("client").map_err(DatabaseError::Read)?;
        let complete: Option<i64> = row.try_get("complete_since").map_err(DatabaseError::Read)?;
        let files: Option<i64> = row.try_get("files").map_err(DatabaseError::Read)?;
        // A name that this gateway cannot have written is no client.
        if let Ok(client) = ClientName::parse(&client) {
            let (is_complete, has_total) = (complete.is_some(), files.is_some());
            found.insert(client, CatalogueFacts { is_complete, has_total });
        }
    }
    Ok(found)
}

async fn activity_since(pool: &AnyPool, day: &str) -> Result<Vec<DayOfClient>, DatabaseError> {
    let query = sqlx::query(
        "SELECT client, day, stored, stored_bytes FROM activity WHERE day >= $1 ORDER BY day",
    );
    let rows = query.bind(day.to_owned()).fetch_all(pool).boxed();
    let rows = in_time(PAGE_WAIT_MAX, rows, DatabaseError::Read).await?;
    let days = rows.iter().map(|row| {
        let (stored, bytes): (i64, i64) = (row.try_get("stored")?, row.try_get("stored_bytes")?);
        Ok(DayOfClient {
            client: row.try_get("client")?,
            day: row.try_get("day")?,
            stored: u64::try_from(stored).unwrap_or_default(),
            stored_bytes: u64::try_from(bytes).unwrap_or_default(),
        })
    });
    days.collect::<sqlx::Result<_>>().map_err(DatabaseError::Read)
}
