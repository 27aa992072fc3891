//! Writes the database: commits changes in batches.
//!
//! A change is durable once [`Writer::apply`] returns, because
//! `synchronous=FULL` syncs the log with each commit. Many changes in one call
//! cost one sync.

use std::path::{Path, PathBuf};

use s3up_core::{RemotePath, Sha256Digest};
use sqlx::{AssertSqlSafe, Executor, Sqlite, SqlitePool, Transaction};

use super::error::DatabaseError;
use crate::files::identity::Identity;
use crate::states::problem::ProblemKind;

#[derive(Clone, Debug)]
pub struct Writer {
    pool: SqlitePool,
    path: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The gateway acknowledged this version of the file.
    Uploaded(Upload),
    /// The file has other metadata and the same content: `uploaded_at` stays.
    MetadataChanged(Upload),
    /// The file existed before the agent.
    Baseline { local_path: String, identity: Identity },
    Problem {
        local_path: String,
        kind: ProblemKind,
        reason: String,
        identity: Identity,
        config: String,
        at: i64,
    },
    /// The file has no problem any more.
    ProblemSolved { local_path: String },
    /// The file is gone from the host.
    Forget { local_path: String },
    /// The watch is in the configuration; recorded the first time only.
    WatchSeen { root: String, known_since_ns: i64 },
    /// A scan of the watch completed.
    WatchScanned { root: String, at: i64 },
    /// Publishes a text about the running agent.
    AgentState { key: &'static str, value: String },
}

/// One version of a file that the gateway acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub local_path: String,
    pub remote_path: RemotePath,
    pub identity: Identity,
    pub sha256: Sha256Digest,
    pub version_id: Option<String>,
    pub at_seconds: i64,
}

impl Writer {
    pub(super) fn new(pool: SqlitePool, path: &Path) -> Writer {
        Writer { pool, path: path.to_owned() }
    }

    /// Commits all of `changes` in order, or none of them.
    pub async fn apply(&self, changes: &[Change]) -> Result<(), DatabaseError> {
        let path = &self.path;
        let not_written = |source| DatabaseError::Write { path: path.clone(), source };
        let mut transaction = self.pool.begin().await.map_err(not_written)?;
        for change in changes {
            write(&mut transaction, change).await.map_err(not_written)?;
        }
        transaction.commit().await.map_err(not_written)
    }

    /// Closes the database, which merges its log into one file.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

async fn write(transaction: &mut Transaction<'_, Sqlite>, change: &Change) -> sqlx::Result<()> {
    match change {
        Change::Uploaded(upload) => {
            uploaded(transaction, upload).await?;
            delete(transaction, &["baseline", "problems"], &upload.local_path).await
        }
        Change::MetadataChanged(upload) => {
            metadata_changed(transaction, upload).await?;
            delete(transaction, &["problems"], &upload.local_path).await
        }
        Change::Baseline { local_path, identity } => {
            let query = sqlx::query(
                "INSERT OR REPLACE INTO baseline (file_size, mtime_ns, ctime_ns, inode, device, local_path) \
                 VALUES (?, ?, ?, ?, ?, ?)",
            );
            execute(transaction, bind_identity(query, identity).bind(local_path)).await
        }
        Change::Problem { local_path, kind, reason, identity, config, at } => {
            let query = sqlx::query(
                "INSERT INTO problems (file_size, mtime_ns, ctime_ns, inode, device, \
                                       local_path, kind, reason, config, since) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
                 ON CONFLICT (local_path) DO UPDATE SET \
                     since = iif(kind = excluded.kind, since, excluded.since), \
                     kind = excluded.kind, reason = excluded.reason, config = excluded.config, \
                     file_size = excluded.file_size, mtime_ns = excluded.mtime_ns, \
                     ctime_ns = excluded.ctime_ns, inode = excluded.inode, device = excluded.device",
            );
            let query = bind_identity(query, identity)
                .bind(local_path)
                .bind(kind.as_str())
                .bind(reason)
                .bind(config)
                .bind(at);
            execute(transaction, query).await
        }
        Change::ProblemSolved { local_path } => {
            delete(transaction, &["problems"], local_path).await
        }
        Change::Forget { local_path } => {
            delete(transaction, &["files", "baseline", "problems"], local_path).await
        }
        Change::WatchSeen { root, known_since_ns } => {
            let query = sqlx::query(
                "INSERT INTO watch_state (local_path, known_since_ns) VALUES (?, ?) \
                 ON CONFLICT (local_path) DO NOTHING",
            );
            execute(transaction, query.bind(root).bind(known_since_ns)).await
        }
        Change::WatchScanned { root, at } => {
            let query = sqlx::query(
                "UPDATE watch_state SET first_scan_at = coalesce(first_scan_at, ?1), \
                 last_scan_at = ?1 WHERE local_path = ?2",
            );
            execute(transaction, query.bind(at).bind(root)).await
        }
        Change::AgentState { key, value } => {
            let query =
                sqlx::query("INSERT OR REPLACE INTO agent_state (key, value) VALUES (?, ?)");
            execute(transaction, query.bind(key).bind(value)).await
        }
    }
}

async fn uploaded(transaction: &mut Transaction<'_, Sqlite>, upload: &Upload) -> sqlx::Result<()> {
    let query = sqlx::query(
        "INSERT INTO files (file_size, mtime_ns, ctime_ns, inode, device, local_path, \
                            remote_path, mtime, sha256, version_id, uploaded_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (local_path) DO UPDATE SET \
             file_size = excluded.file_size, mtime_ns = excluded.mtime_ns, \
             ctime_ns = excluded.ctime_ns, inode = excluded.inode, device = excluded.device, \
             remote_path = excluded.remote_path, mtime = excluded.mtime, \
             sha256 = excluded.sha256, version_id = excluded.version_id, \
             uploaded_at = excluded.uploaded_at",
    );
    let query = bind_identity(query, &upload.identity)
        .bind(&upload.local_path)
        .bind(upload.remote_path.as_str())
        .bind(mtime_seconds(&upload.identity))
        .bind(upload.sha256.to_string())
        .bind(upload.version_id.as_deref())
        .bind(upload.at_seconds);
    execute(transaction, query).await
}

async fn metadata_changed(
    transaction: &mut Transaction<'_, Sqlite>,
    upload: &Upload,
) -> sqlx::Result<()> {
    let query = sqlx::query(
        "UPDATE files SET file_size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?, device = ?, \
                          mtime = ? \
         WHERE local_path = ? AND sha256 = ?",
    );
    let query = bind_identity(query, &upload.identity)
        .bind(mtime_seconds(&upload.identity))
        .bind(&upload.local_path)
        .bind(upload.sha256.to_string());
    execute(transaction, query).await
}

/// Deletes the row of `local_path` from each of `tables`.
async fn delete(
    transaction: &mut Transaction<'_, Sqlite>,
    tables: &[&'static str],
    local_path: &str,
) -> sqlx::Result<()> {
    for table in tables {
        let text = format!("DELETE FROM {table} WHERE local_path = ?");
        execute(transaction, sqlx::query(AssertSqlSafe(text)).bind(local_path)).await?;
    }
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

/// Binds the identity, which is the first five columns of each statement.
fn bind_identity<'q>(query: Query<'q>, identity: &Identity) -> Query<'q> {
    query
        .bind(i64::try_from(identity.size).unwrap_or(i64::MAX))
        .bind(identity.mtime_ns)
        .bind(identity.ctime_ns)
        .bind(identity.inode.cast_signed())
        .bind(identity.device.cast_signed())
}

fn mtime_seconds(identity: &Identity) -> i64 {
    identity.mtime_ns.div_euclid(1_000_000_000)
}

async fn execute(transaction: &mut Transaction<'_, Sqlite>, query: Query<'_>) -> sqlx::Result<()> {
    transaction.execute(query).await.map(drop)
}
