//! Writes the database: commits changes in batches.
//!
//! A change is durable once [`Writer::apply`] returns, because
//! `synchronous=FULL` syncs the log with each commit. Many changes in one call
//! cost one sync.
//!
//! A connection is not used again after a write on it failed. SQLite may end the
//! transaction by itself (the disk is full), and a client library that does not
//! notice nests all later transactions into one that is never committed.

use std::path::PathBuf;

use s3up_core::{RemotePath, Sha256Digest};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Executor, Sqlite, Transaction};

use super::cleanup::{self, CleanupChange};
use super::error::DatabaseError;
use crate::files::identity::Identity;
use crate::states::agent_fact::AgentFact;
use crate::states::problem::ProblemKind;
use crate::states::watch_history::WatchHistory;

/// Number of reports that are kept. The gateway takes none of a day that is longer ago.
pub const REPORTS_MAX: usize = 31;

#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    /// Options for a connection to the existing file; they never create one.
    options: SqliteConnectOptions,
    /// `None` after a failed write.
    connection: Option<SqliteConnection>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The gateway acknowledged this version of the file.
    Uploaded(Upload),
    /// The file has other metadata and the same content: `uploaded_at` stays. The gateway may have
    /// stored the metadata as another version.
    MetadataChanged(Upload),
    /// The file existed before the agent.
    Baseline {
        local_path: String,
        identity: Identity,
    },
    Problem {
        local_path: String,
        kind: ProblemKind,
        reason: String,
        identity: Identity,
        config: String,
        at: i64,
    },
    /// The file has no problem any more.
    ProblemSolved {
        local_path: String,
    },
    /// The request of `s3up retry` for this file is taken.
    RetryTaken {
        local_path: String,
    },
    /// The file is gone from the host.
    Forget {
        local_path: String,
    },
    /// The watch is in the configuration; recorded the first time only.
    WatchSeen {
        root: String,
        known_since_ns: i64,
    },
    /// It is decided whether the database of the watch was lost.
    WatchHistory {
        root: String,
        history: WatchHistory,
    },
    /// A scan of the watch completed.
    WatchScanned {
        root: String,
        at: i64,
        filesystem: Option<String>,
    },
    /// A report that waits for the gateway.
    ReportCreated {
        day: String,
        body: String,
    },
    /// The gateway took the report, or refused it for good.
    ReportSent {
        day: String,
        at: i64,
    },
    AgentFact(AgentFact),
    Cleanup {
        local_path: String,
        change: CleanupChange,
    },
}

/// One version of a file that the gateway acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub local_path: String,
    pub remote_path: RemotePath,
    pub identity: Identity,
    pub sha256: Sha256Digest,
    /// Permission bits that the gateway has; `None` if it took the content only.
    pub mode: Option<u32>,
    pub version_id: Option<String>,
    /// Unix seconds.
    pub at: i64,
    /// False if the gateway had the content already.
    pub sent: bool,
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        options: SqliteConnectOptions,
        connection: SqliteConnection,
    ) -> Writer {
        Writer { path, options, connection: Some(connection) }
    }

    /// Commits all of `changes` in order, or none of them.
    pub async fn apply(&mut self, changes: &[Change]) -> Result<(), DatabaseError> {
        let failed = |path: &PathBuf, err| DatabaseError::writing(path, err);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options)
                .await
                .map_err(|err| failed(&self.path, err))?,
        };
        match commit(&mut connection, changes).await {
            Ok(()) => {
                self.connection = Some(connection);
                Ok(())
            }
            Err(err) => {
                // The error of the write is the one to report; closing only frees the lock.
                connection.close_hard().await.ok();
                Err(failed(&self.path, err))
            }
        }
    }

    /// Closes the database, which merges its log into one file.
    pub async fn close(self) {
        if let Some(connection) = self.connection {
            // Everything is committed; the next start merges the log.
            connection.close().await.ok();
        }
    }
}

async fn commit(connection: &mut SqliteConnection, changes: &[Change]) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    for change in changes {
        write(&mut transaction, change).await?;
    }
    transaction.commit().await
}

/// A problem of the same kind keeps its time.
const INSERT_PROBLEM: &str = "INSERT INTO problems (file_size, mtime_ns, ctime_ns, inode, device, \
                           local_path, kind, reason, config, since) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (local_path) DO UPDATE SET \
         since = iif(kind = excluded.kind, since, excluded.since), \
         kind = excluded.kind, reason = excluded.reason, config = excluded.config, \
         file_size = excluded.file_size, mtime_ns = excluded.mtime_ns, \
         ctime_ns = excluded.ctime_ns, inode = excluded.inode, device = excluded.device";

async fn write(transaction: &mut Transaction<'_, Sqlite>, change: &Change) -> sqlx::Result<()> {
    match change {
        Change::Uploaded(upload) => {
            uploaded(transaction, upload).await?;
            if upload.sent {
                count_upload(transaction, upload).await?;
            }
            delete(transaction, &["baseline", "problems"], &upload.local_path).await
        }
        Change::MetadataChanged(upload) => {
            metadata_changed(transaction, upload).await?;
            delete(transaction, &["problems"], &upload.local_path).await
        }
        Change::Baseline { local_path, identity } => {
            baseline(transaction, local_path, identity).await
        }
        Change::Problem { local_path, kind, reason, identity, config, at } => {
            let query = bind_identity(sqlx::query(INSERT_PROBLEM), identity)
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
        Change::RetryTaken { local_path } => {
            delete(transaction, &["retry_requests"], local_path).await
        }
        Change::Forget { local_path } => forget(transaction, local_path).await,
        Change::WatchSeen { root, known_since_ns } => {
            let query = sqlx::query(
                "INSERT INTO watch_state (local_path, known_since_ns) VALUES (?, ?) \
                 ON CONFLICT (local_path) DO NOTHING",
            );
            execute(transaction, query.bind(root).bind(known_since_ns)).await
        }
        Change::WatchHistory { root, history } => {
            let query = sqlx::query("UPDATE watch_state SET origin = ? WHERE local_path = ?");
            execute(transaction, query.bind(history.as_str()).bind(root)).await
        }
        Change::WatchScanned { root, at, filesystem } => {
            let query = sqlx::query(
                "UPDATE watch_state SET first_scan_at = coalesce(first_scan_at, ?1), \
                 last_scan_at = ?1, filesystem = coalesce(?3, filesystem) WHERE local_path = ?2",
            );
            execute(transaction, query.bind(at).bind(root).bind(filesystem.as_deref())).await
        }
        Change::ReportCreated { day, body } => report_created(transaction, day, body).await,
        Change::ReportSent { day, at } => {
            let query = sqlx::query("UPDATE reports SET sent_at = ? WHERE day = ?");
            execute(transaction, query.bind(at).bind(day)).await
        }
        Change::AgentFact(fact) => {
            let (key, value) = fact.to_row();
            let query =
                sqlx::query("INSERT OR REPLACE INTO agent_state (key, value) VALUES (?, ?)");
            execute(transaction, query.bind(key).bind(value)).await
        }
        Change::Cleanup { local_path, change } => {
            cleanup::write(transaction, local_path, change).await
        }
    }
}

async fn baseline(
    transaction: &mut Transaction<'_, Sqlite>,
    local_path: &str,
    identity: &Identity,
) -> sqlx::Result<()> {
    let query = sqlx::query(
        "INSERT OR REPLACE INTO baseline (file_size, mtime_ns, ctime_ns, inode, device, local_path) \
         VALUES (?, ?, ?, ?, ?, ?)",
    );
    execute(transaction, bind_identity(query, identity).bind(local_path)).await
}

/// Forgets a file that is gone from the host. The row of one that a cleanup deleted stays, because
/// it says where the file is.
async fn forget(transaction: &mut Transaction<'_, Sqlite>, local_path: &str) -> sqlx::Result<()> {
    let query = sqlx::query("DELETE FROM files WHERE local_path = ? AND locally_deleted IS NULL");
    execute(transaction, query.bind(local_path)).await?;
    delete(transaction, &["baseline", "problems"], local_path).await
}

async fn report_created(
    transaction: &mut Transaction<'_, Sqlite>,
    day: &str,
    body: &str,
) -> sqlx::Result<()> {
    let query = sqlx::query("INSERT OR IGNORE INTO reports (day, body) VALUES (?, ?)");
    execute(transaction, query.bind(day).bind(body)).await?;
    // The gateway takes no report that is older than the newest ones.
    let query = sqlx::query(
        "DELETE FROM reports WHERE day NOT IN (SELECT day FROM reports ORDER BY day DESC LIMIT ?)",
    );
    execute(transaction, query.bind(REPORTS_MAX as i64)).await
}

async fn uploaded(transaction: &mut Transaction<'_, Sqlite>, upload: &Upload) -> sqlx::Result<()> {
    let query = sqlx::query(
        "INSERT INTO files (file_size, mtime_ns, ctime_ns, inode, device, local_path, \
                            remote_path, mtime, sha256, version_id, mode, uploaded_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (local_path) DO UPDATE SET \
             file_size = excluded.file_size, mtime_ns = excluded.mtime_ns, \
             ctime_ns = excluded.ctime_ns, inode = excluded.inode, device = excluded.device, \
             remote_path = excluded.remote_path, mtime = excluded.mtime, \
             sha256 = excluded.sha256, version_id = excluded.version_id, mode = excluded.mode, \
             uploaded_at = excluded.uploaded_at, \
             verified_at = NULL, locally_deleted = NULL",
    );
    let query = bind_identity(query, &upload.identity)
        .bind(&upload.local_path)
        .bind(upload.remote_path.as_str())
        .bind(mtime_seconds(&upload.identity))
        .bind(upload.sha256.to_string())
        .bind(upload.version_id.as_deref())
        .bind(upload.mode)
        .bind(upload.at);
    execute(transaction, query).await
}

/// Adds the upload to those of its day.
async fn count_upload(
    transaction: &mut Transaction<'_, Sqlite>,
    upload: &Upload,
) -> sqlx::Result<()> {
    let query = sqlx::query(
        "INSERT INTO days (day, files, bytes, last_at) VALUES (date(?1, 'unixepoch'), 1, ?2, ?1) \
         ON CONFLICT (day) DO UPDATE SET files = files + 1, bytes = bytes + excluded.bytes, \
             last_at = max(last_at, excluded.last_at)",
    );
    let bytes = i64::try_from(upload.identity.size).unwrap_or(i64::MAX);
    execute(transaction, query.bind(upload.at).bind(bytes)).await
}

async fn metadata_changed(
    transaction: &mut Transaction<'_, Sqlite>,
    upload: &Upload,
) -> sqlx::Result<()> {
    let query = sqlx::query(
        "UPDATE files SET file_size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?, device = ?, \
                          mtime = ?, mode = ?, version_id = coalesce(?, version_id), \
                          verified_at = NULL, locally_deleted = NULL \
         WHERE local_path = ? AND sha256 = ?",
    );
    let query = bind_identity(query, &upload.identity)
        .bind(mtime_seconds(&upload.identity))
        .bind(upload.mode)
        .bind(upload.version_id.as_deref())
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
