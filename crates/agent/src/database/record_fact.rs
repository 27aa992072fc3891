//! Records a fact in the database from a command, beside the agent that may run on it.

use std::path::Path;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::error::DatabaseError;
use super::open::options;
use crate::states::agent_fact::AgentFact;

pub async fn record_fact(database: &Path, fact: &AgentFact) -> Result<(), DatabaseError> {
    if !database.exists() {
        return Err(DatabaseError::Missing { path: database.to_owned() });
    }
    let failed = |err| DatabaseError::writing(database, err);
    let mut connection =
        SqliteConnection::connect_with(&options(database)).await.map_err(failed)?;
    let (key, value) = fact.to_row();
    let query = sqlx::query("INSERT OR REPLACE INTO agent_state (key, value) VALUES (?, ?)");
    let recorded = query.bind(key).bind(value).execute(&mut connection).await;
    let closed = connection.close().await;
    recorded.map_err(failed)?;
    closed.map_err(failed)
}
