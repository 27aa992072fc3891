//! The queries of requests.

use std::collections::BTreeMap;

use futures::FutureExt;
use s3up_core::{ClientName, RemotePath, Sha256Digest};
use sqlx::any::AnyRow;
use sqlx::{AnyPool, AssertSqlSafe, Row as _};

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
            "SELECT path, size, sha256, mtime_ns, mode, etag, version_id, uploaded_at FROM files \
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
    let (version_id, uploaded_at) = (row.try_get("version_id")?, row.try_get("uploaded_at")?);
    let entry = || {
        Some(CatalogueEntry {
            size: u64::try_from(size).ok()?,
            sha256: Sha256Digest::parse_hex(&sha256).ok()?,
            mtime_ns,
            mode: mode.and_then(|mode| u32::try_from(mode).ok()),
            etag,
            version_id,
            uploaded_at,
        })
    };
    Ok((row.try_get("path")?, entry()))
}

/// Asks the database for an answer to the simplest query that needs its tables.
pub(super) async fn ping(pool: &AnyPool) -> Result<(), DatabaseError> {
    let query = sqlx::query("SELECT client FROM clients LIMIT 1");
    in_time(READ_WAIT_MAX, query.fetch_optional(pool).boxed(), DatabaseError::Read).await.map(drop)
}
