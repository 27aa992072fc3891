//! Statements that write many rows: a statement costs more than its rows, in SQLite two switches
//! between threads, in PostgreSQL a round trip.

use s3up_core::ClientName;
use sqlx::AssertSqlSafe;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, Executor, Transaction};

use super::batch::{FileRow, UploadRow, signed};
use super::order_clock::OrderClock;

/// Maximum number of rows of one statement.
const ROWS_MAX: usize = 64;

type Query = sqlx::query::Query<'static, Any, AnyArguments>;

/// Writes the newest versions of files of one client. Returns the rows that changed, with the
/// columns `path`, `size`, `previous_size`, `replaced_at` and `previous_replaced_at`: another gateway on
/// this database may have written a newer version of a file before.
pub(super) async fn upsert_files(
    transaction: &mut Transaction<'_, Any>,
    client: &ClientName,
    files: &[(&str, &FileRow)],
    clock: OrderClock,
) -> sqlx::Result<Vec<AnyRow>> {
    let mut changed = Vec::with_capacity(files.len());
    for run in runs(files) {
        changed.extend(transaction.fetch_all(files_query(client, run, clock)).await?);
    }
    Ok(changed)
}

/// Adds rows to the table `uploads`.
pub(super) async fn insert_uploads(
    transaction: &mut Transaction<'_, Any>,
    uploads: &[UploadRow],
) -> sqlx::Result<()> {
    for run in runs(uploads) {
        transaction.execute(uploads_query(run)).await?;
    }
    Ok(())
}

fn files_query(client: &ClientName, files: &[(&str, &FileRow)], clock: OrderClock) -> Query {
    let text = format!(
        "INSERT INTO files (client, path, size, sha256, mtime_ns, mode, etag, version_id, uploaded_at, \
                            replaced_at) \
         VALUES {} \
         ON CONFLICT (client, path) DO UPDATE SET \
             previous_replaced_at = files.replaced_at, \
             replaced_at = CASE WHEN files.sha256 = excluded.sha256 AND excluded.sha256 <> '' \
                                THEN files.replaced_at \
                                ELSE coalesce(excluded.replaced_at, files.replaced_at) END, \
             previous_size = files.size, size = excluded.size, sha256 = excluded.sha256, mtime_ns = excluded.mtime_ns, \
             mode = excluded.mode, etag = excluded.etag, version_id = excluded.version_id, \
             uploaded_at = excluded.uploaded_at \
         WHERE files.uploaded_at <= excluded.uploaded_at \
         RETURNING path, size, previous_size, replaced_at, previous_replaced_at",
        places(files.len(), 10)
    );
    let mut query = sqlx::query(AssertSqlSafe(text));
    for (path, file) in files {
        let (entry, uploaded_at) = (&file.entry, clock.at(file.newest_at));
        query = query
            .bind(client.to_string())
            .bind((*path).to_owned())
            .bind(signed(entry.size))
            .bind(entry.sha256.map(|digest| digest.to_string()).unwrap_or_default())
            .bind(entry.mtime_ns)
            .bind(entry.mode.map(i64::from))
            .bind(entry.etag.clone())
            .bind(entry.version_id.clone())
            .bind(uploaded_at)
            .bind(file.is_stored.then_some(uploaded_at));
    }
    query
}

fn uploads_query(uploads: &[UploadRow]) -> Query {
    let text = format!(
        "INSERT INTO uploads (client, path, started_at, elapsed_ms, size, result) VALUES {}",
        places(uploads.len(), 6)
    );
    let mut query = sqlx::query(AssertSqlSafe(text));
    for row in uploads {
        query = query
            .bind(row.client.to_string())
            .bind(row.path.clone())
            .bind(row.started_at)
            .bind(row.elapsed_ms)
            .bind(row.size.map(signed))
            .bind(row.result.clone());
    }
    query
}

/// Cuts rows into runs of 64, 32, 16 and so on, so that there are few statements to prepare.
fn runs<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let len = ROWS_MAX.min(1 << rest.len().checked_ilog2()?);
        let run = rest.split_off(..len)?;
        Some(run)
    })
}

/// Returns the places of all values, `($1, $2), ($3, $4)`.
fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places: Vec<_> = (1..=columns).map(|n| format!("${}", row * columns + n)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_powers_of_two() {
        #[rustfmt::skip]
        let cases: [(usize, &[usize]); 6] = [
            (0,   &[]),
            (1,   &[1]),
            (7,   &[4, 2, 1]),
            (64,  &[64]),
            (65,  &[64, 1]),
            (200, &[64, 64, 64, 8]),
        ];
        for (count, lengths) in cases {
            let rows: Vec<_> = (0..count).collect();
            let found: Vec<_> = runs(&rows).map(<[usize]>::len).collect();
            assert_eq!(found, lengths, "{count}");
            assert_eq!(runs(&rows).flatten().copied().collect::<Vec<_>>(), rows);
        }
    }

    #[test]
    fn each_value_has_a_place() {
        assert_eq!(places(1, 3), "($1, $2, $3)");
        assert_eq!(places(3, 2), "($1, $2), ($3, $4), ($5, $6)");
    }
}
