//! Rows that a cleanup reads and changes.

use s3up_core::Sha256Digest;
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor, Sqlite, Transaction};

use super::error::DatabaseError;
use super::read::{LOOKUP_MAX, Reader, after_all, get, identity};
use crate::files::identity::Identity;
use crate::states::counts::FileCount;

/// A file that is recorded as uploaded and not as deleted, of which no earlier run left another one
/// under its temporary name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupRow {
    pub local_path: String,
    pub remote_path: String,
    pub identity: Identity,
    pub sha256: Sha256Digest,
    pub version_id: Option<String>,
    /// Unix seconds.
    pub verified_at: Option<i64>,
}

/// A file that a cleanup deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedRow {
    pub local_path: String,
    pub remote_path: String,
    pub size: u64,
    pub sha256: Sha256Digest,
    /// Unix seconds.
    pub deleted_at: i64,
}

/// A deletion that did not get to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptedDeletion {
    pub local_path: String,
    /// Name that the file may have now, in the same directory.
    pub deleting_as: String,
}

/// A change that a cleanup makes to the row of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CleanupChange {
    /// The gateway proved that S3 has this version of the file.
    Verified { sha256: Sha256Digest, identity: Identity, version_id: String, at: i64 },
    /// The gateway could not prove it.
    NotVerified,
    /// The file is about to be deleted. It has the name `deleting_as` meanwhile.
    Deleting { identity: Identity, deleting_as: String, at: i64 },
    /// The file is deleted.
    Deleted,
    /// The file was kept after all.
    NotDeleted,
}

const ROWS: &str = "
    SELECT local_path, remote_path, sha256, version_id, verified_at,
           file_size, mtime_ns, ctime_ns, inode, device
      FROM files AS f
     WHERE local_path > ?1 AND local_path >= ?2 AND local_path < ?3
       AND locally_deleted IS NULL AND deleting_as IS NULL AND sha256 IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM problems AS p WHERE p.local_path = f.local_path)
     ORDER BY local_path LIMIT ?4";

const DELETED: &str = "
    SELECT local_path, remote_path, sha256, file_size, locally_deleted
      FROM files
     WHERE local_path > ?1 AND local_path >= ?2 AND local_path < ?3
       AND locally_deleted IS NOT NULL AND deleting_as IS NULL
     ORDER BY local_path LIMIT ?4";

/// The agent counts them for each heartbeat, so the other rows must not cost anything.
const DELETED_COUNT: &str = "
    SELECT count(*) AS files, coalesce(sum(file_size), 0) AS bytes
      FROM files
     WHERE local_path >= ?1 AND local_path < ?2 AND locally_deleted IS NOT NULL";

impl Reader {
    /// Returns up to [`LOOKUP_MAX`] files below `prefix` that follow `after` and have no problem.
    pub async fn cleanup_page(
        &self,
        prefix: &str,
        after: &str,
    ) -> Result<Vec<CleanupRow>, DatabaseError> {
        let rows = self.page_of(ROWS, prefix, after).await?;
        rows.iter().filter_map(|row| cleanup_row(row).transpose()).collect()
    }

    /// Returns up to [`LOOKUP_MAX`] files below `prefix` that follow `after` and that a cleanup
    /// deleted.
    pub async fn deleted_page(
        &self,
        prefix: &str,
        after: &str,
    ) -> Result<Vec<DeletedRow>, DatabaseError> {
        let rows = self.page_of(DELETED, prefix, after).await?;
        rows.iter().filter_map(|row| deleted_row(row).transpose()).collect()
    }

    /// Returns number and size of the files below `prefix` that a cleanup deleted.
    pub async fn deleted_count(&self, prefix: &str) -> Result<FileCount, DatabaseError> {
        let query = sqlx::query(DELETED_COUNT).bind(prefix).bind(after_all(prefix));
        let row = query.fetch_one(self.pool()).await.map_err(DatabaseError::Read)?;
        let number = |column| get(&row, column).map(|n: i64| u64::try_from(n).unwrap_or(0));
        Ok(FileCount { files: number("files")?, bytes: number("bytes")? })
    }

    /// Returns the time at which a cleanup deleted the file; `None` if it did not.
    pub async fn deleted_at(&self, local_path: &str) -> Result<Option<i64>, DatabaseError> {
        let found: Option<Option<i64>> =
            sqlx::query_scalar("SELECT locally_deleted FROM files WHERE local_path = ?1")
                .bind(local_path)
                .fetch_optional(self.pool())
                .await
                .map_err(DatabaseError::Read)?;
        Ok(found.flatten())
    }

    /// Returns the deletions that did not get to their end.
    pub async fn interrupted_deletions(&self) -> Result<Vec<InterruptedDeletion>, DatabaseError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT local_path, deleting_as FROM files WHERE deleting_as IS NOT NULL",
        )
        .fetch_all(self.pool())
        .await
        .map_err(DatabaseError::Read)?;
        let row = |(local_path, deleting_as)| InterruptedDeletion { local_path, deleting_as };
        Ok(rows.into_iter().map(row).collect())
    }

    async fn page_of(
        &self,
        query: &'static str,
        prefix: &str,
        after: &str,
    ) -> Result<Vec<SqliteRow>, DatabaseError> {
        let query = sqlx::query(query).bind(after).bind(prefix).bind(after_all(prefix));
        let rows = query.bind(LOOKUP_MAX as i64).fetch_all(self.pool()).await;
        rows.map_err(DatabaseError::Read)
    }
}

/// Writes a change. One that is about an identity has no effect on the row of another one.
pub(super) async fn write(
    transaction: &mut Transaction<'_, Sqlite>,
    local_path: &str,
    change: &CleanupChange,
) -> sqlx::Result<()> {
    let query = match change {
        CleanupChange::Verified { sha256, identity, version_id, at } => sqlx::query(
            "UPDATE files SET verified_at = ?2, version_id = ?3 \
             WHERE local_path = ?1 AND sha256 = ?4 AND mtime_ns = ?5 AND ctime_ns = ?6",
        )
        .bind(local_path)
        .bind(at)
        .bind(version_id)
        .bind(sha256.to_string())
        .bind(identity.mtime_ns)
        .bind(identity.ctime_ns),
        CleanupChange::NotVerified => {
            sqlx::query("UPDATE files SET verified_at = NULL WHERE local_path = ?1")
                .bind(local_path)
        }
        CleanupChange::Deleting { identity, deleting_as, at } => sqlx::query(
            "UPDATE files SET locally_deleted = ?2, deleting_as = ?3 \
             WHERE local_path = ?1 AND mtime_ns = ?4 AND ctime_ns = ?5",
        )
        .bind(local_path)
        .bind(at)
        .bind(deleting_as)
        .bind(identity.mtime_ns)
        .bind(identity.ctime_ns),
        CleanupChange::Deleted => {
            sqlx::query("UPDATE files SET deleting_as = NULL WHERE local_path = ?1")
                .bind(local_path)
        }
        CleanupChange::NotDeleted => sqlx::query(
            "UPDATE files SET locally_deleted = NULL, deleting_as = NULL WHERE local_path = ?1",
        )
        .bind(local_path),
    };
    transaction.execute(query).await.map(drop)
}

fn cleanup_row(row: &SqliteRow) -> Result<Option<CleanupRow>, DatabaseError> {
    let Some(sha256) = digest(row)? else { return Ok(None) };
    let Some(identity) = identity(row, "")? else { return Ok(None) };
    Ok(Some(CleanupRow {
        local_path: get(row, "local_path")?,
        remote_path: get(row, "remote_path")?,
        identity,
        sha256,
        version_id: get(row, "version_id")?,
        verified_at: get(row, "verified_at")?,
    }))
}

fn deleted_row(row: &SqliteRow) -> Result<Option<DeletedRow>, DatabaseError> {
    let Some(sha256) = digest(row)? else { return Ok(None) };
    let size: i64 = get(row, "file_size")?;
    Ok(Some(DeletedRow {
        local_path: get(row, "local_path")?,
        remote_path: get(row, "remote_path")?,
        size: u64::try_from(size).unwrap_or(0),
        sha256,
        deleted_at: get(row, "locally_deleted")?,
    }))
}

fn digest(row: &SqliteRow) -> Result<Option<Sha256Digest>, DatabaseError> {
    let hex: Option<String> = get(row, "sha256")?;
    Ok(hex.and_then(|hex| Sha256Digest::parse_hex(&hex).ok()))
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;

    #[tokio::test]
    async fn deleted_files_are_counted_without_reading_the_rows_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.db");
        let database = crate::database::open(&path).await.unwrap();

        let query = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {DELETED_COUNT}"));
        let plan = sqlx::query(query).bind("/").bind("0");
        let plan = plan.fetch_one(database.reader.pool()).await.unwrap();

        let detail: String = get(&plan, "detail").unwrap();
        assert!(detail.contains("files_deleted"), "{detail}");
    }
}
