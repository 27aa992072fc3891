//! The queries of requests.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use s3up_core::{ClientName, RemotePath, Sha256Digest};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Row as _};

use super::connect::{READ_WAIT_MAX, in_time};
use super::error::DatabaseError;
use super::record::CatalogueEntry;

/// Maximum number of paths in one statement. SQLite takes 32,766 parameters, PostgreSQL 65,535.
const PATHS_MAX: usize = 1000;

/// Returns the catalogue's entries of those of `paths` that it has.
pub(super) async fn entries(
    pool: &AnyPool,
    client: &ClientName,
    paths: &[RemotePath],
) -> Result<BTreeMap<RemotePath, CatalogueEntry>, DatabaseError> {
    let mut found = BTreeMap::new();
    for paths in paths.chunks(PATHS_MAX) {
        let places: Vec<_> = (2..paths.len() + 2).map(|n| format!("${n}")).collect();
        let text = format!(
            "SELECT path, size, sha256, mtime_ns, mode, etag, version_id FROM files \
             WHERE client = $1 AND path IN ({})",
            places.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(client.to_string());
        for path in paths {
            query = query.bind(path.to_string());
        }
        let rows = query.fetch_all(pool).boxed();
        for row in in_time(READ_WAIT_MAX, rows, DatabaseError::Read).await? {
            let (path, entry) = entry(&row).map_err(DatabaseError::Read)?;
            // A row that this gateway cannot have written is not an entry.
            if let (Ok(path), Some(entry)) = (RemotePath::parse(&path), entry) {
                found.insert(path, entry);
            }
        }
    }
    Ok(found)
}

fn entry(row: &AnyRow) -> sqlx::Result<(String, Option<CatalogueEntry>)> {
    let (size, mode): (i64, Option<i64>) = (row.try_get("size")?, row.try_get("mode")?);
    let sha256: String = row.try_get("sha256")?;
    let (mtime_ns, etag) = (row.try_get("mtime_ns")?, row.try_get("etag")?);
    let version_id = row.try_get("version_id")?;
    let entry = || {
        Some(CatalogueEntry {
            size: u64::try_from(size).ok()?,
            sha256: Sha256Digest::parse_hex(&sha256).ok(),
            mtime_ns,
            mode: mode.and_then(|mode| u32::try_from(mode).ok()),
            etag,
            version_id,
        })
    };
    Ok((row.try_get("path")?, entry()))
}

/// Returns true if the catalogue has every file of a client.
pub(super) async fn is_complete(
    pool: &AnyPool,
    client: &ClientName,
) -> Result<bool, DatabaseError> {
    let text = "SELECT client FROM clients WHERE client = $1 AND complete_since IS NOT NULL";
    let query = sqlx::query(text).bind(client.to_string()).fetch_optional(pool).boxed();
    let row = in_time(READ_WAIT_MAX, query, DatabaseError::Read).await?;
    Ok(row.is_some())
}

/// Returns those of `paths` that the catalogue has; `None` if it may lack files of the client.
pub(super) async fn known_paths(
    connection: &mut AnyConnection,
    client: &ClientName,
    paths: &[&str],
) -> Result<Option<BTreeSet<String>>, DatabaseError> {
    let Some(last) = paths.last() else { return Ok(None) };
    // A power of two, so that there are few statements to prepare.
    let count = paths.len().next_power_of_two();
    let places: Vec<_> = (2..count + 2).map(|n| format!("${n}")).collect();
    // No path is empty.
    let text = format!(
        "SELECT '' AS path FROM clients WHERE client = $1 AND complete_since IS NOT NULL \
         UNION ALL SELECT path FROM files WHERE client = $1 AND path IN ({})",
        places.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(client.to_string());
    for n in 0..count {
        query = query.bind((*paths.get(n).unwrap_or(last)).to_owned());
    }
    let rows = query.fetch_all(connection).boxed();
    let rows = in_time(READ_WAIT_MAX, rows, DatabaseError::Read).await?;
    let found = rows.iter().map(|row| row.try_get("path"));
    let mut found: BTreeSet<String> =
        found.collect::<Result<_, _>>().map_err(DatabaseError::Read)?;
    let is_complete = found.remove("");
    Ok(is_complete.then_some(found))
}

/// Returns the bytes of the files of a client.
pub(super) async fn total_bytes(pool: &AnyPool, client: &ClientName) -> Result<i64, DatabaseError> {
    let query = sqlx::query("SELECT bytes FROM totals WHERE client = $1").bind(client.to_string());
    let row = query.fetch_optional(pool).boxed();
    let row = in_time(READ_WAIT_MAX, row, DatabaseError::Read).await?;
    row.map_or(Ok(0), |row| row.try_get("bytes").map_err(DatabaseError::Read))
}

/// Asks the database for an answer to the simplest query that needs its tables.
pub(super) async fn ping(pool: &AnyPool) -> Result<(), DatabaseError> {
    let query = sqlx::query("SELECT client FROM clients LIMIT 1");
    in_time(READ_WAIT_MAX, query.fetch_optional(pool).boxed(), DatabaseError::Read).await.map(drop)
}
