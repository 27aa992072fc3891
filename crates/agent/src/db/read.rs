//! What the database knows, looked up in batches.

use s3up_core::Sha256Digest;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqlitePool};

use super::DbError;
use crate::decide::{Known, Recorded, Row};
use crate::identity::Identity;
use crate::problem::{Kind, Parked};

/// Paths looked at in one query: a few hundred make the round trip cheap, and
/// keep a scan's memory small.
pub const LOOKUP_MAX: usize = 512;

#[derive(Clone, Debug)]
pub struct Reader {
    pool: SqlitePool,
}

/// When a watch was first seen and scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchState {
    pub known_since_ns: i64,
    pub first_scan_at: Option<i64>,
    pub last_scan_at: Option<i64>,
}

/// Known paths in order, from after the last one of the page before.
pub type Page = Vec<String>;

impl Reader {
    pub(super) fn new(pool: SqlitePool) -> Reader {
        Reader { pool }
    }

    /// What is known of each of `local_paths`, in their order.
    pub async fn known(&self, local_paths: &[String]) -> Result<Vec<Known>, DbError> {
        let mut known = vec![Known::default(); local_paths.len()];
        let json = serde_json::to_string(local_paths).expect("strings are JSON");
        for row in self.rows("files", &json).await? {
            if let Some(known) = known.get_mut(index(&row)?) {
                known.row = Some(file_row(&row)?);
            }
        }
        for row in self.rows("baseline", &json).await? {
            if let Some(known) = known.get_mut(index(&row)?) {
                known.baseline = Some(identity(&row)?);
            }
        }
        for row in self.rows("problems", &json).await? {
            if let Some(known) = known.get_mut(index(&row)?) {
                known.parked = parked(&row)?;
            }
        }
        Ok(known)
    }

    /// The rows of one of our own tables, each with the index of its path as `n`.
    async fn rows(&self, table: &'static str, json: &str) -> Result<Vec<SqliteRow>, DbError> {
        let text = format!(
            "SELECT wanted.key AS n, t.* FROM json_each(?1) AS wanted \
             CROSS JOIN {table} AS t ON t.local_path = wanted.value"
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(json);
        query.fetch_all(&self.pool).await.map_err(DbError::Read)
    }

    /// Up to [`LOOKUP_MAX`] paths that begin with `prefix` and come after
    /// `after`, from all three tables.
    pub async fn page(&self, prefix: &str, after: &str) -> Result<Page, DbError> {
        let (from, to) = (prefix, after_all(prefix));
        sqlx::query_scalar(
            "SELECT local_path FROM files WHERE local_path > ?1 AND local_path >= ?2 AND local_path < ?3 \
             UNION SELECT local_path FROM baseline WHERE local_path > ?1 AND local_path >= ?2 AND local_path < ?3 \
             UNION SELECT local_path FROM problems WHERE local_path > ?1 AND local_path >= ?2 AND local_path < ?3 \
             ORDER BY local_path LIMIT ?4",
        )
        .bind(after)
        .bind(from)
        .bind(to)
        .bind(LOOKUP_MAX as i64)
        .fetch_all(&self.pool)
        .await
        .map_err(DbError::Read)
    }

    pub async fn watch_state(&self, root: &str) -> Result<Option<WatchState>, DbError> {
        let row = sqlx::query(
            "SELECT known_since_ns, first_scan_at, last_scan_at FROM watch_state WHERE local_path = ?1",
        )
        .bind(root)
        .fetch_optional(&self.pool)
        .await
        .map_err(DbError::Read)?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(WatchState {
            known_since_ns: get(&row, "known_since_ns")?,
            first_scan_at: get(&row, "first_scan_at")?,
            last_scan_at: get(&row, "last_scan_at")?,
        }))
    }

    /// What the agent last said of itself under `key`.
    pub async fn agent_state(&self, key: &str) -> Result<Option<String>, DbError> {
        sqlx::query_scalar("SELECT value FROM agent_state WHERE key = ?1")
            .bind(key)
            .fetch_optional(&self.pool)
            .await
            .map_err(DbError::Read)
    }
}

/// The first text after all that begin with `prefix`, which ends with a slash.
fn after_all(prefix: &str) -> String {
    let bare = prefix.strip_suffix('/').unwrap_or(prefix);
    format!("{bare}0") // '0' follows '/'
}

fn index(row: &SqliteRow) -> Result<usize, DbError> {
    let n: i64 = get(row, "n")?;
    Ok(usize::try_from(n).unwrap_or(usize::MAX))
}

fn file_row(row: &SqliteRow) -> Result<Row, DbError> {
    let size: i64 = get(row, "file_size")?;
    Ok(Row {
        remote_path: get(row, "remote_path")?,
        size: u64::try_from(size).unwrap_or(0),
        version: recorded(row)?,
    })
}

/// `None` unless all columns are there.
fn recorded(row: &SqliteRow) -> Result<Option<Recorded>, DbError> {
    let sha256: Option<String> = get(row, "sha256")?;
    let inode: Option<i64> = get(row, "inode")?;
    let Some(sha256) = sha256.and_then(|hex| Sha256Digest::parse_hex(&hex).ok()) else {
        return Ok(None);
    };
    if inode.is_none() {
        return Ok(None);
    }
    Ok(Some(Recorded { identity: identity(row)?, sha256 }))
}

fn parked(row: &SqliteRow) -> Result<Option<Parked>, DbError> {
    let kind: String = get(row, "kind")?;
    let Some(kind) = Kind::parse(&kind) else { return Ok(None) };
    Ok(Some(Parked {
        kind,
        reason: get(row, "reason")?,
        config: get(row, "config")?,
        identity: identity(row)?,
    }))
}

/// SQLite has signed integers only; device and inode keep their bits.
fn identity(row: &SqliteRow) -> Result<Identity, DbError> {
    let size: i64 = get(row, "file_size")?;
    Ok(Identity {
        device: get::<i64>(row, "device")?.cast_unsigned(),
        inode: get::<i64>(row, "inode")?.cast_unsigned(),
        size: u64::try_from(size).unwrap_or(0),
        mtime_ns: get(row, "mtime_ns")?,
        ctime_ns: get(row, "ctime_ns")?,
    })
}

fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T, DbError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(DbError::Read)
}
