//! One transaction for each step of a rebuild.

use std::collections::BTreeMap;
use std::sync::Arc;

use s3up_core::{ClientName, RemotePath};
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection, Executor, Row as _, Transaction};

use super::rows::{CatalogueRow, ChangedRows, FileTotal, RebuildPage, RebuildPosition, RowChange};
use crate::clock::Millis;
use crate::database::batch::signed;
use crate::database::write::total_row;

/// Maximum number of rows that one statement reads, writes or deletes. SQLite takes 32,766 parameters.
pub(super) const ROWS_MAX: usize = 500;
/// An unfinished rebuild that is older is started over: files that it has seen may be gone.
const RESUME_AGE_MAX: Millis = 24 * 60 * 60 * 1000;

/// Returns the position of an unfinished rebuild from `location` that is young enough.
pub(super) async fn position(
    connection: &mut AnyConnection,
    client: ClientName,
    location: String,
    now: Millis,
) -> sqlx::Result<Option<RebuildPosition>> {
    let query = sqlx::query(
        "SELECT after_key, is_listed, not_examined, updated_at FROM rebuilds \
         WHERE client = $1 AND origin = $2",
    );
    let query = query.bind(client.to_string()).bind(location);
    let Some(row) = connection.fetch_optional(query).await? else {
        return Ok(None);
    };
    let (is_listed, updated_at): (i64, Millis) =
        (row.try_get("is_listed")?, row.try_get("updated_at")?);
    if !(0..RESUME_AGE_MAX).contains(&now.saturating_sub(updated_at)) {
        return Ok(None);
    }
    let (after, not_examined): (_, i64) = (row.try_get("after_key")?, row.try_get("not_examined")?);
    let not_examined = u64::try_from(not_examined).unwrap_or_default();
    Ok(Some(RebuildPosition { after, is_listed: is_listed == 1, not_examined }))
}

/// Notes that a rebuild of a client begins.
pub(super) async fn start(
    connection: &mut AnyConnection,
    client: ClientName,
    location: String,
    now: Millis,
) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    let query = sqlx::query(
        "INSERT INTO clients (client, created_at) VALUES ($1, $2) ON CONFLICT (client) DO NOTHING",
    );
    transaction.execute(query.bind(client.to_string()).bind(now)).await?;
    let query = sqlx::query("DELETE FROM rebuilds WHERE client = $1").bind(client.to_string());
    transaction.execute(query).await?;
    let query = sqlx::query(
        "INSERT INTO rebuilds (client, origin, is_listed, not_examined, losses, updated_at) \
         SELECT client, $2, 0, 0, losses, $3 FROM clients WHERE client = $1",
    );
    transaction.execute(query.bind(client.to_string()).bind(location).bind(now)).await?;
    transaction.commit().await
}

/// Returns the rows of those of `paths` that the catalogue has.
pub(super) async fn rows(
    connection: &mut AnyConnection,
    client: ClientName,
    paths: Vec<RemotePath>,
) -> sqlx::Result<Vec<(RemotePath, CatalogueRow)>> {
    let places: Vec<_> = (2..paths.len() + 2).map(|n| format!("${n}")).collect();
    let text = format!(
        "SELECT path, size, etag, version_id, uploaded_at FROM files \
         WHERE client = $1 AND path IN ({})",
        places.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(client.to_string());
    for path in &paths {
        query = query.bind(path.to_string());
    }
    let rows = connection.fetch_all(query).await?;
    rows.iter().filter_map(|row| known_row(row).transpose()).collect()
}

/// Returns `None` for a path that no gateway can have written.
fn known_row(row: &AnyRow) -> sqlx::Result<Option<(RemotePath, CatalogueRow)>> {
    let (path, size): (String, i64) = (row.try_get("path")?, row.try_get("size")?);
    let found = CatalogueRow {
        size: u64::try_from(size).unwrap_or_default(),
        etag: row.try_get("etag")?,
        version_id: row.try_get("version_id")?,
        uploaded_at: row.try_get("uploaded_at")?,
    };
    Ok(RemotePath::parse(&path).ok().map(|path| (path, found)))
}

/// Returns some rows that the rebuild has not seen in the bucket, and the last path.
pub(super) async fn unlisted(
    connection: &mut AnyConnection,
    client: ClientName,
    after: String,
) -> sqlx::Result<Option<(String, BTreeMap<RemotePath, CatalogueRow>)>> {
    let text = format!(
        "SELECT path, size, etag, version_id, uploaded_at FROM files \
         WHERE client = $1 AND path > $2 AND NOT EXISTS \
             (SELECT 1 FROM rebuild_paths \
              WHERE rebuild_paths.client = $1 AND rebuild_paths.path = files.path) \
         ORDER BY path LIMIT {ROWS_MAX}"
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(client.to_string()).bind(after);
    let rows = connection.fetch_all(query).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let last: String = last.try_get("path")?;
    let rows: sqlx::Result<Vec<_>> =
        rows.iter().filter_map(|row| known_row(row).transpose()).collect();
    Ok(Some((last, rows?.into_iter().collect())))
}

/// Commits all of `page`, or nothing.
pub(super) async fn commit(
    connection: &mut AnyConnection,
    client: ClientName,
    page: Arc<RebuildPage>,
    now: Millis,
) -> sqlx::Result<ChangedRows> {
    let RebuildPage { examined, changes, position } = &*page;
    let mut transaction = connection.begin().await?;
    // The first statement writes, so that SQLite takes its lock before anything is read.
    let query = sqlx::query(
        "UPDATE rebuilds SET after_key = $2, is_listed = $3, not_examined = $4, updated_at = $5 \
         WHERE client = $1",
    );
    let query = query.bind(client.to_string()).bind(position.after.clone());
    let query = query.bind(i64::from(position.is_listed)).bind(signed(position.not_examined));
    transaction.execute(query.bind(now)).await?;
    for paths in examined.chunks(ROWS_MAX) {
        let places: Vec<_> = (2..paths.len() + 2).map(|n| format!("($1, ${n})")).collect();
        let text = format!(
            "INSERT INTO rebuild_paths (client, path) VALUES {} ON CONFLICT (client, path) DO NOTHING",
            places.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(client.to_string());
        for path in paths {
            query = query.bind(path.to_string());
        }
        transaction.execute(query).await?;
    }
    let (mut done, mut files, mut bytes) = (ChangedRows::default(), 0, 0);
    for (path, change) in changes {
        if !apply(&mut transaction, &client, path, change).await? {
            continue;
        }
        match change {
            RowChange::Insert(entry) => {
                done.added += 1;
                (files, bytes) = (files + 1, bytes + signed(entry.size));
            }
            RowChange::Update { before, entry } => {
                done.updated += 1;
                bytes += signed(entry.size) - signed(before.size);
            }
            RowChange::Remove { before } => {
                done.removed += 1;
                (files, bytes) = (files - 1, bytes - signed(before.size));
            }
        }
    }
    if done != ChangedRows::default() {
        transaction.execute(total_row(&client, files, bytes, None)).await?;
    }
    transaction.commit().await?;
    Ok(done)
}

/// Changes a row. Returns false if a gateway has written it since it was read.
async fn apply(
    transaction: &mut Transaction<'_, Any>,
    client: &ClientName,
    path: &RemotePath,
    change: &RowChange,
) -> sqlx::Result<bool> {
    let statement = match change {
        RowChange::Insert(_) => {
            "INSERT INTO files (client, path, size, sha256, mtime_ns, mode, etag, version_id, uploaded_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0) ON CONFLICT (client, path) DO NOTHING"
        }
        RowChange::Update { .. } => {
            "UPDATE files SET previous_size = size, size = $3, sha256 = $4, mtime_ns = $5, mode = $6, \
                 etag = $7, version_id = $8 \
             WHERE client = $1 AND path = $2 AND size = $9 AND etag = $10 AND uploaded_at = $11"
        }
        RowChange::Remove { .. } => {
            "DELETE FROM files \
             WHERE client = $1 AND path = $2 AND size = $3 AND etag = $4 AND uploaded_at = $5"
        }
    };
    let mut query = sqlx::query(statement).bind(client.to_string()).bind(path.to_string());
    if let RowChange::Insert(entry) | RowChange::Update { entry, .. } = change {
        query = query
            .bind(signed(entry.size))
            .bind(entry.sha256.map(|digest| digest.to_string()).unwrap_or_default())
            .bind(entry.mtime_ns)
            .bind(entry.mode.map(i64::from))
            .bind(entry.etag.clone())
            .bind(entry.version_id.clone());
    }
    if let RowChange::Update { before, .. } | RowChange::Remove { before } = change {
        query = query.bind(signed(before.size)).bind(before.etag.clone()).bind(before.uploaded_at);
    }
    Ok(transaction.execute(query).await?.rows_affected() > 0)
}

/// Counts the files again and ends the rebuild. `complete_since`: the time to note if no record was lost
/// meanwhile; `None` if some files could not be examined.
pub(super) async fn finish(
    connection: &mut AnyConnection,
    client: ClientName,
    complete_since: Option<Millis>,
) -> sqlx::Result<FileTotal> {
    let mut transaction = connection.begin().await?;
    if let Some(since) = complete_since {
        let query = sqlx::query(
            "UPDATE clients SET complete_since = coalesce(complete_since, $2) WHERE client = $1 AND \
                 losses = (SELECT losses FROM rebuilds WHERE rebuilds.client = $1)",
        );
        transaction.execute(query.bind(client.to_string()).bind(since)).await?;
    }
    // This locks the total. A gateway that has written files and not their total yet waits for it, and
    // adds its change after this transaction, which does not see these files.
    transaction.fetch_one(total_row(&client, 0, 0, None)).await?;
    let query = sqlx::query(
        "UPDATE totals SET \
             files = (SELECT count(*) FROM files WHERE files.client = $1), \
             bytes = (SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM files WHERE files.client = $1) \
         WHERE client = $1 RETURNING files, bytes",
    );
    let row = transaction.fetch_one(query.bind(client.to_string())).await?;
    let (files, bytes): (i64, i64) = (row.try_get("files")?, row.try_get("bytes")?);
    let query = sqlx::query("DELETE FROM rebuilds WHERE client = $1").bind(client.to_string());
    transaction.execute(query).await?;
    transaction.commit().await?;
    let unsigned = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(FileTotal { files: unsigned(files), bytes: unsigned(bytes) })
}

pub(super) async fn count(connection: &mut AnyConnection, client: ClientName) -> sqlx::Result<u64> {
    let query = sqlx::query("SELECT count(*) AS files FROM files WHERE client = $1");
    let row = connection.fetch_one(query.bind(client.to_string())).await?;
    let files: i64 = row.try_get("files")?;
    Ok(u64::try_from(files).unwrap_or_default())
}

/// Deletes some of the paths that a rebuild has noted, and returns their number.
pub(super) async fn forget_some(
    connection: &mut AnyConnection,
    client: ClientName,
) -> sqlx::Result<u64> {
    let text = format!(
        "DELETE FROM rebuild_paths WHERE client = $1 AND path IN \
             (SELECT path FROM rebuild_paths WHERE client = $1 LIMIT {ROWS_MAX})"
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(client.to_string());
    Ok(connection.execute(query).await?.rows_affected())
}
