//! Reads the database, in batches of paths.

use s3up_core::Sha256Digest;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool};

use super::error::DatabaseError;
use crate::files::identity::Identity;
use crate::states::agent_fact::AgentFact;
use crate::states::counts::FileCount;
use crate::states::decide::{FileRow, KnownFile, UploadedVersion};
use crate::states::existing_files::WatchState;
use crate::states::problem::{ProblemKind, RecordedProblem};
use crate::states::watch_history::WatchHistory;

/// Maximum number of paths per query. A few hundred make the round trip cheap and
/// keep the memory of a scan small.
pub const LOOKUP_MAX: usize = 512;

#[derive(Clone, Debug)]
pub struct Reader {
    pool: SqlitePool,
}

/// Returns all rows of a list of paths, in one query.
const KNOWN: &str = "
    SELECT wanted.key AS n,
           f.remote_path, f.sha256, f.mode, f.locally_deleted, f.file_size, f.mtime_ns, f.ctime_ns, f.inode, f.device,
           b.file_size AS b_file_size, b.mtime_ns AS b_mtime_ns, b.ctime_ns AS b_ctime_ns,
           b.inode AS b_inode, b.device AS b_device,
           p.kind, p.reason, p.config,
           p.file_size AS p_file_size, p.mtime_ns AS p_mtime_ns, p.ctime_ns AS p_ctime_ns,
           p.inode AS p_inode, p.device AS p_device
      FROM json_each(?1) AS wanted
      LEFT JOIN files AS f ON f.local_path = wanted.value
      LEFT JOIN baseline AS b ON b.local_path = wanted.value
      LEFT JOIN problems AS p ON p.local_path = wanted.value";

/// Known paths in ascending order, following those of the previous page.
pub type Page = Vec<String>;

impl Reader {
    pub(super) fn new(pool: SqlitePool) -> Reader {
        Reader { pool }
    }

    /// Closes the connections and waits until they are. A connection to a removed database that
    /// is closed late would remove the log of a new one, which has the same name.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// Returns the rows of each of `local_paths`, in the same order.
    pub async fn known(&self, local_paths: &[String]) -> Result<Vec<KnownFile>, DatabaseError> {
        let mut known = vec![KnownFile::default(); local_paths.len()];
        let json = serde_json::to_string(local_paths).expect("strings are JSON");
        let rows = sqlx::query(KNOWN).bind(json).fetch_all(&self.pool).await;
        for row in rows.map_err(DatabaseError::Read)? {
            let n: i64 = get(&row, "n")?;
            let file = usize::try_from(n).ok().and_then(|n| known.get_mut(n));
            if let Some(file) = file {
                *file = KnownFile {
                    row: file_row(&row)?,
                    baseline: baseline(&row)?,
                    problem: recorded_problem(&row)?,
                };
            }
        }
        Ok(known)
    }

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Returns up to [`LOOKUP_MAX`] paths that begin with `prefix` and follow
    /// `after`, from all three tables.
    pub async fn page(&self, prefix: &str, after: &str) -> Result<Page, DatabaseError> {
        self.paths(prefix, after, true).await
    }

    /// Returns the same page without the files that a cleanup deleted.
    pub async fn page_on_disk(&self, prefix: &str, after: &str) -> Result<Page, DatabaseError> {
        self.paths(prefix, after, false).await
    }

    async fn paths(
        &self,
        prefix: &str,
        after: &str,
        with_deleted: bool,
    ) -> Result<Page, DatabaseError> {
        let (from, to) = (prefix, after_all(prefix));
        sqlx::query_scalar(
            "SELECT local_path FROM files WHERE local_path > ?1 AND local_path >= ?2 AND local_path < ?3 \
                AND (?5 OR locally_deleted IS NULL) \
             UNION SELECT local_path FROM baseline WHERE local_path > ?1 AND local_path >= ?2 AND local_path < ?3 \
             UNION SELECT local_path FROM problems WHERE local_path > ?1 AND local_path >= ?2 AND local_path < ?3 \
             ORDER BY local_path LIMIT ?4",
        )
        .bind(after)
        .bind(from)
        .bind(to)
        .bind(LOOKUP_MAX as i64)
        .bind(with_deleted)
        .fetch_all(&self.pool)
        .await
        .map_err(DatabaseError::Read)
    }

    pub async fn watch_state(&self, root: &str) -> Result<Option<WatchState>, DatabaseError> {
        let row = sqlx::query(
            "SELECT known_since_ns, origin, first_scan_at, last_scan_at, filesystem \
             FROM watch_state WHERE local_path = ?1",
        )
        .bind(root)
        .fetch_optional(&self.pool)
        .await
        .map_err(DatabaseError::Read)?;
        let Some(row) = row else { return Ok(None) };
        let history: Option<String> = get(&row, "origin")?;
        Ok(Some(WatchState {
            known_since_ns: get(&row, "known_since_ns")?,
            history: history.and_then(|text| WatchHistory::parse(&text)),
            first_scan_at: get(&row, "first_scan_at")?,
            last_scan_at: get(&row, "last_scan_at")?,
            filesystem: get(&row, "filesystem")?,
        }))
    }

    /// Returns true if no file and no watch was ever recorded.
    pub async fn is_empty(&self) -> Result<bool, DatabaseError> {
        let rows: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM files) OR EXISTS (SELECT 1 FROM watch_state)",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(DatabaseError::Read)?;
        Ok(!rows)
    }

    /// Returns the first of `local_paths` without a row in `files`.
    pub async fn first_unknown(
        &self,
        local_paths: &[String],
    ) -> Result<Option<String>, DatabaseError> {
        let json = serde_json::to_string(local_paths).expect("strings are JSON");
        sqlx::query_scalar(
            "SELECT wanted.value FROM json_each(?1) AS wanted \
             LEFT JOIN files AS f ON f.local_path = wanted.value \
             WHERE f.local_path IS NULL LIMIT 1",
        )
        .bind(json)
        .fetch_optional(&self.pool)
        .await
        .map_err(DatabaseError::Read)
    }

    /// Returns the time of the last upload.
    pub async fn last_upload_at(&self) -> Result<Option<i64>, DatabaseError> {
        sqlx::query_scalar("SELECT max(last_at) FROM days")
            .fetch_one(&self.pool)
            .await
            .map_err(DatabaseError::Read)
    }

    /// Returns the number and size of the files that were uploaded on `day` (UTC).
    pub async fn uploaded_on(&self, day: &str) -> Result<FileCount, DatabaseError> {
        let row: Option<(i64, i64)> =
            sqlx::query_as("SELECT files, bytes FROM days WHERE day = ?1")
                .bind(day)
                .fetch_optional(&self.pool)
                .await
                .map_err(DatabaseError::Read)?;
        let (files, bytes) = row.unwrap_or_default();
        let number = |n| u64::try_from(n).unwrap_or(0);
        Ok(FileCount { files: number(files), bytes: number(bytes) })
    }

    /// Returns the newest day with a report.
    pub async fn last_report(&self) -> Result<Option<String>, DatabaseError> {
        sqlx::query_scalar("SELECT max(day) FROM reports")
            .fetch_one(&self.pool)
            .await
            .map_err(DatabaseError::Read)
    }

    /// Returns day and body of up to `count_max` reports that the gateway does not have, the
    /// oldest first.
    pub async fn unsent_reports(
        &self,
        count_max: usize,
    ) -> Result<Vec<(String, String)>, DatabaseError> {
        sqlx::query_as("SELECT day, body FROM reports WHERE sent_at IS NULL ORDER BY day LIMIT ?1")
            .bind(count_max as i64)
            .fetch_all(&self.pool)
            .await
            .map_err(DatabaseError::Read)
    }

    /// Returns files that `s3up retry` asked for, at most [`LOOKUP_MAX`].
    pub async fn retry_requests(&self) -> Result<Vec<String>, DatabaseError> {
        sqlx::query_scalar("SELECT local_path FROM retry_requests LIMIT ?1")
            .bind(LOOKUP_MAX as i64)
            .fetch_all(&self.pool)
            .await
            .map_err(DatabaseError::Read)
    }

    /// Returns the facts that the agent last published.
    pub async fn agent_facts(&self) -> Result<Vec<AgentFact>, DatabaseError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT key, value FROM agent_state")
            .fetch_all(&self.pool)
            .await
            .map_err(DatabaseError::Read)?;
        Ok(rows.iter().filter_map(|(name, value)| AgentFact::parse(name, value)).collect())
    }
}

/// Returns the smallest text that follows all texts that begin with `prefix`,
/// which ends with a slash.
pub(super) fn after_all(prefix: &str) -> String {
    let bare = prefix.strip_suffix('/').unwrap_or(prefix);
    format!("{bare}0") // '0' follows '/'
}

fn file_row(row: &SqliteRow) -> Result<Option<FileRow>, DatabaseError> {
    let Some(remote_path) = get(row, "remote_path")? else { return Ok(None) };
    let size: i64 = get(row, "file_size")?;
    let sha256: Option<String> = get(row, "sha256")?;
    // A row of an older agent has no identity and no digest.
    let version = match sha256.and_then(|hex| Sha256Digest::parse_hex(&hex).ok()) {
        None => None,
        Some(sha256) => {
            let mode: Option<i64> = get(row, "mode")?;
            let mode = mode.and_then(|mode| u32::try_from(mode).ok());
            identity(row, "")?.map(|identity| UploadedVersion { identity, sha256, mode })
        }
    };
    let deleted_at: Option<i64> = get(row, "locally_deleted")?;
    Ok(Some(FileRow {
        remote_path,
        size: u64::try_from(size).unwrap_or(0),
        version,
        is_deleted: deleted_at.is_some(),
    }))
}

fn baseline(row: &SqliteRow) -> Result<Option<Identity>, DatabaseError> {
    identity(row, "b_")
}

fn recorded_problem(row: &SqliteRow) -> Result<Option<RecordedProblem>, DatabaseError> {
    let kind: Option<String> = get(row, "kind")?;
    let Some(kind) = kind.and_then(|kind| ProblemKind::parse(&kind)) else { return Ok(None) };
    let Some(identity) = identity(row, "p_")? else { return Ok(None) };
    Ok(Some(RecordedProblem {
        kind,
        reason: get(row, "reason")?,
        config: get(row, "config")?,
        identity,
    }))
}

/// Returns `None` if a column is null. SQLite has signed integers only; device
/// and inode keep their bits.
pub(super) fn identity(row: &SqliteRow, prefix: &str) -> Result<Option<Identity>, DatabaseError> {
    let number = |name: &str| get::<Option<i64>>(row, &format!("{prefix}{name}"));
    let (Some(size), Some(mtime_ns), Some(ctime_ns), Some(inode), Some(device)) = (
        number("file_size")?,
        number("mtime_ns")?,
        number("ctime_ns")?,
        number("inode")?,
        number("device")?,
    ) else {
        return Ok(None);
    };
    Ok(Some(Identity {
        device: device.cast_unsigned(),
        inode: inode.cast_unsigned(),
        size: u64::try_from(size).unwrap_or(0),
        mtime_ns,
        ctime_ns,
    }))
}

pub(super) fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T, DatabaseError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(DatabaseError::Read)
}
