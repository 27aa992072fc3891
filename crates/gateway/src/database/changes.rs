//! Counts how the files of each client change, in periods of ten minutes, so that a change of very many of
//! them is noticed without reading all uploads.

use std::collections::BTreeMap;

use futures::FutureExt;
use s3up_core::ClientName;
use sqlx::{Any, AnyPool, Executor, Row as _, Transaction};

use super::connect::{WRITE_WAIT_MAX, in_time};
use super::error::DatabaseError;
use crate::clock::Millis;

/// Length of a period.
const PERIOD: Millis = 10 * 60 * 1000;
/// A file that is replaced again and again counts once within this time.
pub(super) const HOUR: Millis = 60 * 60 * 1000;
/// Files have extensions that are unfamiliar only if others are known for this long: after the database was
/// lost, all are new.
const FAMILIAR_AFTER: Millis = 24 * HOUR;
/// Maximum length of what counts as an extension; more characters after the last dot are part of the name.
const EXTENSION_CHARS_MAX: usize = 12;

/// Changes of the files of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Known files with other content.
    pub replaced: u64,
    /// Those of them that are empty now.
    pub emptied: u64,
    pub created: u64,
    /// Created files with an extension that the client had not used before.
    pub unfamiliar: u64,
}

/// The changes of one client in one batch.
#[derive(Debug, Default)]
pub(super) struct BatchChanges {
    pub replaced: i64,
    pub emptied: i64,
    pub created: i64,
    /// Number of created files by extension.
    pub extensions: BTreeMap<String, i64>,
}

/// Returns the extension of a file, in lower case. A number is none: rotated logs have it.
pub(super) fn extension(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let (stem, extension) = name.rsplit_once('.')?;
    let is_word = extension.chars().all(|c| c.is_ascii_alphanumeric())
        && !extension.chars().all(|c| c.is_ascii_digit());
    (!stem.is_empty() && extension.len() <= EXTENSION_CHARS_MAX && is_word)
        .then(|| extension.to_ascii_lowercase())
}

/// Adds the changes of a batch to the period of `at`.
pub(super) async fn add(
    transaction: &mut Transaction<'_, Any>,
    client: &ClientName,
    changes: &BatchChanges,
    at: Millis,
) -> sqlx::Result<()> {
    let unfamiliar = unfamiliar(transaction, client, &changes.extensions, at).await?;
    let BatchChanges { replaced, emptied, created, .. } = changes;
    if replaced + emptied + created == 0 {
        return Ok(());
    }
    let query = sqlx::query(
        "INSERT INTO changes (client, period, replaced, emptied, created, unfamiliar) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (client, period) DO UPDATE SET \
             replaced = changes.replaced + excluded.replaced, \
             emptied = changes.emptied + excluded.emptied, \
             created = changes.created + excluded.created, \
             unfamiliar = changes.unfamiliar + excluded.unfamiliar",
    );
    let query = query.bind(client.to_string()).bind(at - at.rem_euclid(PERIOD));
    let query = query.bind(*replaced).bind(*emptied).bind(*created).bind(unfamiliar);
    transaction.execute(query).await.map(drop)
}

/// Returns the number of files whose extension the client has had for less than an hour.
async fn unfamiliar(
    transaction: &mut Transaction<'_, Any>,
    client: &ClientName,
    extensions: &BTreeMap<String, i64>,
    at: Millis,
) -> sqlx::Result<i64> {
    let mut unfamiliar = 0;
    for (extension, count) in extensions {
        // The update changes nothing, and lets the row be returned.
        let query = sqlx::query(
            "INSERT INTO extensions (client, extension, first_at) VALUES ($1, $2, $3) \
             ON CONFLICT (client, extension) DO UPDATE SET first_at = extensions.first_at \
             RETURNING first_at",
        );
        let query = query.bind(client.to_string()).bind(extension.clone()).bind(at);
        let first_at: Millis = transaction.fetch_one(query).await?.try_get("first_at")?;
        if at - first_at < HOUR {
            unfamiliar += count;
        }
    }
    if unfamiliar == 0 {
        return Ok(0);
    }
    let query = sqlx::query("SELECT min(first_at) AS oldest FROM extensions WHERE client = $1");
    let row = transaction.fetch_one(query.bind(client.to_string())).await?;
    let oldest: Option<Millis> = row.try_get("oldest")?;
    let is_familiar = oldest.is_some_and(|oldest| at - oldest >= FAMILIAR_AFTER);
    Ok(if is_familiar { unfamiliar } else { 0 })
}

/// Returns the changes within about an hour before `now`.
pub(super) async fn within_an_hour(
    pool: &AnyPool,
    now: Millis,
) -> Result<BTreeMap<ClientName, Changes>, DatabaseError> {
    let query = sqlx::query(
        "SELECT client, CAST(sum(replaced) AS BIGINT) AS replaced, \
                CAST(sum(emptied) AS BIGINT) AS emptied, CAST(sum(created) AS BIGINT) AS created, \
                CAST(sum(unfamiliar) AS BIGINT) AS unfamiliar \
         FROM changes WHERE period > $1 GROUP BY client",
    );
    let rows = query.bind(now - HOUR).fetch_all(pool).boxed();
    let rows = in_time(WRITE_WAIT_MAX, rows, DatabaseError::Read).await?;
    let mut changes = BTreeMap::new();
    for row in &rows {
        let count = |column| -> Result<u64, DatabaseError> {
            let count: i64 = row.try_get(column).map_err(DatabaseError::Read)?;
            Ok(u64::try_from(count).unwrap_or_default())
        };
        let client: String = row.try_get("client").map_err(DatabaseError::Read)?;
        if let Ok(client) = ClientName::parse(&client) {
            let (replaced, emptied) = (count("replaced")?, count("emptied")?);
            let (created, unfamiliar) = (count("created")?, count("unfamiliar")?);
            changes.insert(client, Changes { replaced, emptied, created, unfamiliar });
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_a_short_word_at_the_end_of_a_name() {
        #[rustfmt::skip]
        let cases = [
            ("a/b.JPG",             Some("jpg")),
            ("a.tar.gz",            Some("gz")),
            ("photo.jpg.locked",    Some("locked")),
            ("a.7z",                Some("7z")),
            ("noextension",         None),
            ("dir.d/file",          None),
            (".bashrc",             None),
            ("log.1",               None),
            ("a.",                  None),
            ("a.with space",        None),
            ("a.averylongextension", None),
        ];
        for (path, want) in cases {
            assert_eq!(extension(path).as_deref(), want, "{path}");
        }
    }
}
