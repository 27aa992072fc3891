//! Clients whose uploads an operator has stopped.
//!
//! The database has them, so that all gateways and the next start agree. Each gateway keeps a copy, because
//! every upload asks: the copy is at most some seconds old, and stays in force while the database does not
//! answer.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use futures::FutureExt;
use s3up_core::ClientName;
use sqlx::{AnyPool, Row as _};

use super::connect::{READ_WAIT_MAX, WRITE_WAIT_MAX, in_time};
use super::error::DatabaseError;
use crate::clock::{Millis, time_text};

/// The freeze of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Freeze {
    pub since: Millis,
    /// The words of the operator; empty if there are none.
    pub reason: String,
}

impl Freeze {
    /// Returns one clause that says so.
    pub(crate) fn sentence(&self) -> String {
        let since = time_text(self.since);
        match self.reason.as_str() {
            "" => format!("uploads are frozen since {since}"),
            reason => format!("uploads are frozen since {since}: {reason}"),
        }
    }
}

pub(super) type FrozenClients = BTreeMap<ClientName, Freeze>;

/// The copy of this gateway. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Freezes(Arc<RwLock<Arc<FrozenClients>>>);

impl Freezes {
    pub(super) fn get(&self, client: &ClientName) -> Option<Freeze> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(client).cloned()
    }

    pub(super) fn replace(&self, frozen: FrozenClients) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(frozen);
    }
}

pub(super) async fn all(pool: &AnyPool) -> Result<FrozenClients, DatabaseError> {
    let query = sqlx::query("SELECT client, since, reason FROM freezes");
    let rows = in_time(READ_WAIT_MAX, query.fetch_all(pool).boxed(), DatabaseError::Read).await?;
    let mut frozen = FrozenClients::new();
    for row in &rows {
        let client: String = row.try_get("client").map_err(DatabaseError::Read)?;
        let freeze = Freeze {
            since: row.try_get("since").map_err(DatabaseError::Read)?,
            reason: row.try_get("reason").map_err(DatabaseError::Read)?,
        };
        // A name that this gateway cannot have written is no client.
        if let Ok(client) = ClientName::parse(&client) {
            frozen.insert(client, freeze);
        }
    }
    Ok(frozen)
}

/// Freezes a client. One that is frozen keeps its time, and gets the new reason.
pub(super) async fn insert(
    pool: &AnyPool,
    client: &ClientName,
    freeze: &Freeze,
) -> Result<(), DatabaseError> {
    let query = sqlx::query(
        "INSERT INTO freezes (client, since, reason) VALUES ($1, $2, $3) \
         ON CONFLICT (client) DO UPDATE SET reason = excluded.reason",
    );
    let query = query.bind(client.to_string()).bind(freeze.since).bind(freeze.reason.clone());
    in_time(WRITE_WAIT_MAX, query.execute(pool).boxed(), DatabaseError::Write).await.map(drop)
}

/// Returns true if the client was frozen.
pub(super) async fn delete(pool: &AnyPool, client: &ClientName) -> Result<bool, DatabaseError> {
    let query = sqlx::query("DELETE FROM freezes WHERE client = $1").bind(client.to_string());
    let query = query.execute(pool).boxed();
    let done = in_time(WRITE_WAIT_MAX, query, DatabaseError::Write).await?;
    Ok(done.rows_affected() > 0)
}
