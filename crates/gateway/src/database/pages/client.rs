//! The queries of the page of one client.

use futures::FutureExt;
use s3up_core::ClientName;
use s3up_core::wire::Report;
use sqlx::{AnyPool, Row as _};

use super::PAGE_WAIT_MAX;
use crate::clock::Millis;
use crate::database::connect::in_time;
use crate::database::{Database, DatabaseError};

/// Number of uploads that the page shows.
const UPLOADS_SHOWN: i64 = 50;
/// Number of keys that the page shows, the newest first.
const KEYS_SHOWN: i64 = 100;
/// Paths that one search reads, and those that it finds at most. A search that stops earlier says where.
const SEARCH_READS: i64 = 25_000;
const SEARCH_FINDS: usize = 200;

/// An upload that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndedUpload {
    pub path: String,
    pub started_at: Millis,
    pub elapsed_ms: i64,
    /// `None`: it ended before its size was known.
    pub size: Option<u64>,
    pub result: String,
}

/// A client key, of which the database has only the SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownKey {
    pub sha256: String,
    pub created_at: Millis,
    pub last_used_at: Option<Millis>,
}

/// A file of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogueFile {
    pub path: String,
    pub size: u64,
}

/// The files that a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundFiles {
    pub files: Vec<CatalogueFile>,
    /// The last path that was read; `None`: all of them were.
    pub next: Option<String>,
}

impl Database {
    /// Returns the last uploads of a client, the newest first.
    pub(crate) async fn recent_uploads(
        &self,
        client: &ClientName,
    ) -> Result<Vec<EndedUpload>, DatabaseError> {
        recent_uploads(&self.0.readers, client).await
    }

    /// Returns the keys of a client that a gateway ever knew, the newest first.
    pub(crate) async fn keys_of(
        &self,
        client: &ClientName,
    ) -> Result<Vec<KnownKey>, DatabaseError> {
        keys_of(&self.0.readers, client).await
    }

    /// Returns the newest report of a client, with the time at which it arrived.
    pub(crate) async fn newest_report(
        &self,
        client: &ClientName,
    ) -> Result<Option<(Millis, Report)>, DatabaseError> {
        newest_report(&self.0.readers, client).await
    }

    /// Finds files of the catalogue whose path has `text` in it, in any case of its ASCII letters.
    pub(crate) async fn search_files(
        &self,
        client: &ClientName,
        text: &str,
        after: &str,
    ) -> Result<FoundFiles, DatabaseError> {
        search_files(&self.0.readers, client, text, after).await
    }
}

async fn recent_uploads(
    pool: &AnyPool,
    client: &ClientName,
) -> Result<Vec<EndedUpload>, DatabaseError> {
    let query = sqlx::query(
        "SELECT path, started_at, elapsed_ms, size, result FROM uploads \
         WHERE client = $1 ORDER BY started_at DESC LIMIT $2",
    );
    let query = query.bind(client.to_string()).bind(UPLOADS_SHOWN);
    let rows = in_time(PAGE_WAIT_MAX, query.fetch_all(pool).boxed(), DatabaseError::Read).await?;
    let uploads = rows.iter().map(|row| {
        let size: Option<i64> = row.try_get("size")?;
        Ok(EndedUpload {
            path: row.try_get("path")?,
            started_at: row.try_get("started_at")?,
            elapsed_ms: row.try_get("elapsed_ms")?,
            size: size.and_then(|size| u64::try_from(size).ok()),
            result: row.try_get("result")?,
        })
    });
    uploads.collect::<sqlx::Result<_>>().map_err(DatabaseError::Read)
}

async fn keys_of(pool: &AnyPool, client: &ClientName) -> Result<Vec<KnownKey>, DatabaseError> {
    let query = sqlx::query(
        "SELECT key_sha256, created_at, last_used_at FROM keys \
         WHERE client = $1 ORDER BY created_at DESC, key_sha256 LIMIT $2",
    );
    let query = query.bind(client.to_string()).bind(KEYS_SHOWN);
    let rows = in_time(PAGE_WAIT_MAX, query.fetch_all(pool).boxed(), DatabaseError::Read).await?;
    let keys = rows.iter().map(|row| {
        Ok(KnownKey {
            sha256: row.try_get("key_sha256")?,
            created_at: row.try_get("created_at")?,
            last_used_at: row.try_get("last_used_at")?,
        })
    });
    keys.collect::<sqlx::Result<_>>().map_err(DatabaseError::Read)
}

async fn newest_report(
    pool: &AnyPool,
    client: &ClientName,
) -> Result<Option<(Millis, Report)>, DatabaseError> {
    let query = sqlx::query(
        "SELECT received_at, body FROM reports WHERE client = $1 ORDER BY day DESC LIMIT 1",
    );
    let row = query.bind(client.to_string()).fetch_optional(pool).boxed();
    let Some(row) = in_time(PAGE_WAIT_MAX, row, DatabaseError::Read).await? else {
        return Ok(None);
    };
    let at = row.try_get("received_at").map_err(DatabaseError::Read)?;
    let body: String = row.try_get("body").map_err(DatabaseError::Read)?;
    // One of another version of the format is not known here.
    Ok(serde_json::from_str(&body).ok().map(|report| (at, report)))
}

async fn search_files(
    pool: &AnyPool,
    client: &ClientName,
    text: &str,
    after: &str,
) -> Result<FoundFiles, DatabaseError> {
    // Both databases have no other function in common that finds a text literally. The order is that of
    // the key, whatever the collation of the database is.
    let query = sqlx::query(
        "SELECT path, size FROM \
             (SELECT path, size FROM files WHERE client = $1 AND path > $2 ORDER BY path LIMIT $3) AS part \
         WHERE replace(lower(path), lower($4), '') <> lower(path) ORDER BY path LIMIT $5",
    );
    let query = query.bind(client.to_string()).bind(after.to_owned()).bind(SEARCH_READS);
    let limit = i64::try_from(SEARCH_FINDS).unwrap_or(i64::MAX);
    let query = query.bind(text.to_owned()).bind(limit);
    let rows = in_time(PAGE_WAIT_MAX, query.fetch_all(pool).boxed(), DatabaseError::Read).await?;
    let files = rows.iter().map(|row| {
        let size: i64 = row.try_get("size")?;
        let size = u64::try_from(size).unwrap_or_default();
        Ok(CatalogueFile { path: row.try_get("path")?, size })
    });
    let files: Vec<_> = files.collect::<sqlx::Result<_>>().map_err(DatabaseError::Read)?;
    if files.len() == SEARCH_FINDS {
        let next = files.last().map(|file| file.path.clone());
        return Ok(FoundFiles { files, next });
    }
    Ok(FoundFiles { files, next: last_read(pool, client, after).await? })
}

/// Returns the last path that a search has read, if it has not read all of them.
async fn last_read(
    pool: &AnyPool,
    client: &ClientName,
    after: &str,
) -> Result<Option<String>, DatabaseError> {
    let query = sqlx::query(
        "SELECT path FROM files WHERE client = $1 AND path > $2 ORDER BY path LIMIT 1 OFFSET $3",
    );
    let query = query.bind(client.to_string()).bind(after.to_owned()).bind(SEARCH_READS - 1);
    let row = query.fetch_optional(pool).boxed();
    let row = in_time(PAGE_WAIT_MAX, row, DatabaseError::Read).await?;
    row.map(|row| row.try_get("path").map_err(DatabaseError::Read)).transpose()
}
