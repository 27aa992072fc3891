//! The queries of the pages of the dashboard.

pub(crate) mod client;
pub(crate) mod history;

use std::collections::BTreeMap;
use std::future::ready;
use std::time::Duration;

use futures::{FutureExt, TryStreamExt};
use s3up_core::ClientName;
use sqlx::any::AnyRow;
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
    // Row by row: a row of the driver takes many times the memory of its facts.
    let rows = query.fetch(pool).and_then(|row| ready(catalogue_facts_of(&row)));
    let facts = rows.try_filter_map(|facts| ready(Ok(facts))).try_collect::<BTreeMap<_, _>>();
    in_time(PAGE_WAIT_MAX, facts.boxed(), DatabaseError::Read).await
}

/// Returns nothing for a name that this gateway cannot have written.
fn catalogue_facts_of(row: &AnyRow) -> sqlx::Result<Option<(ClientName, CatalogueFacts)>> {
    let client: String = row.try_get("client")?;
    let complete: Option<i64> = row.try_get("complete_since")?;
    let files: Option<i64> = row.try_get("files")?;
    let facts = CatalogueFacts { is_complete: complete.is_some(), has_total: files.is_some() };
    Ok(ClientName::parse(&client).ok().map(|client| (client, facts)))
}

async fn activity_since(pool: &AnyPool, day: &str) -> Result<Vec<DayOfClient>, DatabaseError> {
    let query = sqlx::query(
        "SELECT client, day, stored, stored_bytes FROM activity WHERE day >= $1 ORDER BY day",
    );
    let rows = query.bind(day.to_owned()).fetch(pool).and_then(|row| ready(day_of_client(&row)));
    in_time(PAGE_WAIT_MAX, rows.try_collect().boxed(), DatabaseError::Read).await
}

fn day_of_client(row: &AnyRow) -> sqlx::Result<DayOfClient> {
    let (stored, bytes): (i64, i64) = (row.try_get("stored")?, row.try_get("stored_bytes")?);
    Ok(DayOfClient {
        client: row.try_get("client")?,
        day: row.try_get("day")?,
        stored: u64::try_from(stored).unwrap_or_default(),
        stored_bytes: u64::try_from(bytes).unwrap_or_default(),
    })
}
