//! Rebuilds the catalogue of a client from the bucket: after the database was lost, or after files came into
//! the bucket or left it by other means.
//!
//! The prefix of the client is listed page by page. A file whose size and ETag are those of its row needs
//! nothing; S3 is asked about each of the others, for what a listing does not have. Each page is
//! committed with its position, so a rebuild that is killed resumes after its last page, in the same bucket
//! and below the same prefix only. In the end S3 is asked about each row that the listing did not have: only
//! if S3 says that there is no such object, the row is removed. Nothing in the bucket is changed.
//!
//! In each step a row is read before S3 is asked, and changed only while it is the same. So gateways may run
//! meanwhile, and what they record wins.

mod decide;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use s3up_core::{ClientName, Key, KeyPrefix, RemotePath, error_chain, file_path};
use s3up_store::{Listed, ObjectFacts, Store, StoreError, StoreErrorKind};

use self::decide::{change, needs_head};
use crate::database::DatabaseError;
use crate::database::rebuild::RebuildDatabase;
use crate::database::rebuild::rows::{
    CatalogueRow, ChangedRows, FileTotal, RebuildPage, RebuildPosition, RowChange,
};

/// Number of files of one page. A rebuild that is killed repeats at most one page. A request to list costs as
/// much as some ten HEADs.
const PAGE_FILES: usize = 100;
/// Number of files about which S3 is asked at the same time.
const HEADS_IN_FLIGHT: usize = 32;
/// Time for which a failing request is retried.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// Rebuilds catalogues.
pub(crate) struct Rebuilder {
    store: Store,
    prefix: KeyPrefix,
    /// Location of all files: endpoint, bucket and prefix.
    location: String,
    database: RebuildDatabase,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum RebuildError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("list {prefix}: expected keys after {after:?}, found {found:?}")]
    Order { prefix: String, after: String, found: String },
}

/// The numbers of files of one rebuild.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RebuildCounts {
    /// Files that S3 listed in this run.
    pub listed: u64,
    pub changed: ChangedRows,
    /// Objects below the prefix of the client whose key is no path that a gateway writes.
    pub foreign: u64,
    /// Files about which S3 did not answer, in this run and in those that it resumes. Their rows are as
    /// before.
    pub not_examined: u64,
}

/// A rebuild that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RebuildResult {
    pub counts: RebuildCounts,
    /// True if an earlier run had listed a part already.
    pub is_resumed: bool,
    pub total: FileTotal,
}

/// The answers of S3 about some files.
#[derive(Default)]
struct Answers {
    found: BTreeMap<RemotePath, Option<ObjectFacts>>,
    failed: Vec<(RemotePath, StoreError)>,
}

impl Rebuilder {
    /// `endpoint`: `None` means AWS.
    pub(crate) fn new(
        store: Store,
        endpoint: Option<&str>,
        prefix: KeyPrefix,
        database: RebuildDatabase,
    ) -> Rebuilder {
        let location = format!("{} {} {prefix}", endpoint.unwrap_or("aws"), store.bucket());
        Rebuilder { store, prefix, location, database }
    }

    /// Rebuilds the catalogue of one client. Calls `progress` after each page.
    pub(crate) async fn rebuild(
        &mut self,
        client: &ClientName,
        mut progress: impl FnMut(&RebuildCounts),
    ) -> Result<RebuildResult, RebuildError> {
        let mut position = self.database.begin(client, &self.location).await?;
        let is_resumed = position != RebuildPosition::default();
        let not_examined = position.not_examined;
        let mut counts = RebuildCounts { not_examined, ..RebuildCounts::default() };
        if position.is_listed {
            // In a bucket that is missing there is no object either: only a listing tells the difference.
            self.list(client, RebuildPosition::default(), &mut RebuildCounts::default()).await?;
        }
        while !position.is_listed {
            position = self.rebuild_page(client, position, &mut counts).await?;
            progress(&counts);
        }
        self.examine_unlisted(client, position, &mut counts, &mut progress).await?;
        let total = self.database.finish(client, counts.not_examined == 0).await?;
        Ok(RebuildResult { counts, is_resumed, total })
    }

    /// Compares the catalogue with the listing and changes nothing. The catalogue alone tells the number of
    /// rows that may have to be removed.
    pub(crate) async fn compare(
        &mut self,
        client: &ClientName,
        mut progress: impl FnMut(&RebuildCounts),
    ) -> Result<RebuildCounts, RebuildError> {
        let (mut counts, mut position) = (RebuildCounts::default(), RebuildPosition::default());
        let mut known = 0;
        let before = self.database.count(client).await?;
        while !position.is_listed {
            let (listed, next) = self.list(client, position, &mut counts).await?;
            let paths: Vec<_> = listed.keys().cloned().collect();
            let rows = self.database.rows(client, &paths).await?;
            known += rows.len() as u64;
            for (path, listed) in &listed {
                match rows.get(path) {
                    None => counts.changed.added += 1,
                    row if needs_head(listed, row) => counts.changed.updated += 1,
                    Some(_) => {}
                }
            }
            position = next;
            progress(&counts);
        }
        counts.changed.removed = before.saturating_sub(known);
        Ok(counts)
    }

    /// Lists the next page and brings the rows of its files up to date.
    async fn rebuild_page(
        &mut self,
        client: &ClientName,
        position: RebuildPosition,
        counts: &mut RebuildCounts,
    ) -> Result<RebuildPosition, RebuildError> {
        let (listed, mut position) = self.list(client, position, counts).await?;
        let examined: Vec<_> = listed.keys().cloned().collect();
        let rows = self.database.rows(client, &examined).await?;
        let paths: Vec<_> = listed
            .into_iter()
            .filter(|(path, listed)| needs_head(listed, rows.get(path)))
            .map(|(path, _)| path)
            .collect();
        let changes = self.examine(client, &paths, &rows, counts).await?;
        position.not_examined = counts.not_examined;
        let page = RebuildPage { examined, changes, position: position.clone() };
        counts.changed += self.database.commit(client, page).await?;
        Ok(position)
    }

    /// Asks S3 about each row whose file was not listed.
    async fn examine_unlisted(
        &mut self,
        client: &ClientName,
        mut position: RebuildPosition,
        counts: &mut RebuildCounts,
        progress: &mut impl FnMut(&RebuildCounts),
    ) -> Result<(), RebuildError> {
        let mut after = String::new();
        while let Some((last, rows)) = self.database.unlisted(client, &after).await? {
            let examined: Vec<_> = rows.keys().cloned().collect();
            let changes = self.examine(client, &examined, &rows, counts).await?;
            position.not_examined = counts.not_examined;
            let page = RebuildPage { examined, changes, position: position.clone() };
            counts.changed += self.database.commit(client, page).await?;
            progress(counts);
            after = last;
        }
        Ok(())
    }

    /// Asks S3 about files, and returns what has to be changed.
    async fn examine(
        &self,
        client: &ClientName,
        paths: &[RemotePath],
        rows: &BTreeMap<RemotePath, CatalogueRow>,
        counts: &mut RebuildCounts,
    ) -> Result<BTreeMap<RemotePath, RowChange>, RebuildError> {
        let Answers { found, mut failed } = self.ask(client, paths).await?;
        // That is no matter of one object.
        if found.is_empty() && failed.len() > 1 {
            return Err(failed.swap_remove(0).1.into());
        }
        for (path, err) in &failed {
            tracing::warn!(
                event = "file_not_examined",
                %client,
                %path,
                error = error_chain(err),
                "S3 does not describe this file; its row in the catalogue stays as it was"
            );
        }
        counts.not_examined += failed.len() as u64;
        let changes = found.into_iter().filter_map(|(path, found)| {
            let change = change(rows.get(&path), found.as_ref())?;
            Some((path, change))
        });
        Ok(changes.collect())
    }

    /// Asks S3 about each of `paths`. One object that S3 cannot describe hides no other.
    async fn ask(&self, client: &ClientName, paths: &[RemotePath]) -> Result<Answers, StoreError> {
        // A path that was listed, or recorded, fits into a key.
        let key = |path| Some((path, Key::of_file(&self.prefix, client, path).ok()?));
        let heads = paths.iter().filter_map(key).map(|(path, key)| async move {
            (path.clone(), self.store.head(&key, None, RETRY_FOR).await)
        });
        let mut heads = stream::iter(heads).buffer_unordered(HEADS_IN_FLIGHT);
        let mut answers = Answers::default();
        while let Some((path, answer)) = heads.next().await {
            match answer {
                Ok(found) => drop(answers.found.insert(path, found)),
                Err(err)
                    if matches!(err.kind, StoreErrorKind::Permanent | StoreErrorKind::Denied) =>
                {
                    answers.failed.push((path, err));
                }
                Err(err) => return Err(err),
            }
        }
        Ok(answers)
    }

    /// Returns the next page of a listing by paths, and the position after it.
    async fn list(
        &self,
        client: &ClientName,
        position: RebuildPosition,
        counts: &mut RebuildCounts,
    ) -> Result<(BTreeMap<RemotePath, Listed>, RebuildPosition), RebuildError> {
        let prefix = format!("{}{client}/", self.prefix);
        let RebuildPosition { after, not_examined, .. } = position;
        let page = self.store.list_after(&prefix, after.as_deref(), PAGE_FILES, RETRY_FOR).await?;
        let last = page.objects.last().map(|object| object.key.clone());
        // Otherwise the listing would never end.
        if let (Some(after), Some(first)) = (&after, page.objects.first())
            && first.key <= *after
        {
            let (after, found) = (after.clone(), first.key.clone());
            return Err(RebuildError::Order { prefix, after, found });
        }
        let is_listed = page.is_last || page.objects.is_empty();
        let all = page.objects.len() as u64;
        let path = |object: Listed| Some((file_path(&object.key, &self.prefix, client)?, object));
        let listed: BTreeMap<_, _> = page.objects.into_iter().filter_map(path).collect();
        counts.listed += listed.len() as u64;
        counts.foreign += all - listed.len() as u64;
        Ok((listed, RebuildPosition { after: last.or(after), is_listed, not_examined }))
    }
}
