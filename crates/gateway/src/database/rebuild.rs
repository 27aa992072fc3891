//! The statements of `s3up-server rebuild`, which writes into the catalogue what S3 has.
//!
//! Gateways may write the same rows meanwhile. So a row is changed only while it is the one that was read
//! before S3 was asked, and its time does not grow: a record of a gateway, written before or after,
//! always wins. Files and totals change in one transaction, in the order in which gateways lock them.

pub(crate) mod rows;
mod statements;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use s3up_core::{ClientName, Clock, RemotePath};
use sqlx::AnyConnection;

use self::rows::{CatalogueRow, ChangedRows, FileTotal, RebuildPage, RebuildPosition};
use self::statements::{
    ROWS_MAX, commit, count, finish, forget_some, position, rows, start, unlisted,
};
use super::connect::{Location, WRITE_WAIT_MAX, in_time};
use super::error::DatabaseError;
use crate::clock::millis;

/// A write may find the database locked by a gateway, or a connection broken.
const TRIES_MAX: u32 = 5;
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The database, as a rebuild needs it.
pub(crate) struct RebuildDatabase {
    location: Location,
    clock: Clock,
    /// `None` after a failure: a broken connection is not used again.
    connection: Option<AnyConnection>,
}

impl RebuildDatabase {
    pub(crate) async fn open(
        location: Location,
        clock: Clock,
    ) -> Result<RebuildDatabase, DatabaseError> {
        let connection = Some(location.open().await?);
        Ok(RebuildDatabase { location, clock, connection })
    }

    /// Returns the position of an unfinished rebuild from `location`, if there is one, or begins one.
    pub(crate) async fn begin(
        &mut self,
        client: &ClientName,
        location: &str,
    ) -> Result<RebuildPosition, DatabaseError> {
        let (now, location) = (millis(self.clock.now()), location.to_owned());
        let found = self
            .run(|connection| position(connection, client.clone(), location.clone(), now).boxed());
        let found = found.await?;
        if let Some(found) = found {
            return Ok(found);
        }
        self.forget_paths(client).await?;
        self.run(|connection| start(connection, client.clone(), location.clone(), now).boxed())
            .await?;
        Ok(RebuildPosition::default())
    }

    /// Returns the rows of those of `paths` that the catalogue has.
    pub(crate) async fn rows(
        &mut self,
        client: &ClientName,
        paths: &[RemotePath],
    ) -> Result<BTreeMap<RemotePath, CatalogueRow>, DatabaseError> {
        let mut found = BTreeMap::new();
        for paths in paths.chunks(ROWS_MAX) {
            let read =
                self.run(|connection| rows(connection, client.clone(), paths.to_vec()).boxed());
            found.extend(read.await?);
        }
        Ok(found)
    }

    /// Returns some rows of files that this rebuild has not seen in the bucket, with the path after which
    /// the next call continues, or `None` if no such row follows `after`.
    pub(crate) async fn unlisted(
        &mut self,
        client: &ClientName,
        after: &str,
    ) -> Result<Option<(String, BTreeMap<RemotePath, CatalogueRow>)>, DatabaseError> {
        self.run(|connection| unlisted(connection, client.clone(), after.to_owned()).boxed()).await
    }

    /// Commits the changes of some files and the position. Returns what was changed: a row that a gateway
    /// has written meanwhile stays.
    pub(crate) async fn commit(
        &mut self,
        client: &ClientName,
        page: RebuildPage,
    ) -> Result<ChangedRows, DatabaseError> {
        let (page, now) = (Arc::new(page), millis(self.clock.now()));
        self.run(|connection| commit(connection, client.clone(), page.clone(), now).boxed()).await
    }

    /// Ends a rebuild. `is_complete`: every file of the bucket is in the catalogue.
    pub(crate) async fn finish(
        &mut self,
        client: &ClientName,
        is_complete: bool,
    ) -> Result<FileTotal, DatabaseError> {
        let now = millis(self.clock.now());
        let done = self.run(|connection| {
            finish(connection, client.clone(), is_complete.then_some(now)).boxed()
        });
        let total = done.await?;
        self.forget_paths(client).await?;
        Ok(total)
    }

    /// Returns the number of files that the catalogue has of a client.
    pub(crate) async fn count(&mut self, client: &ClientName) -> Result<u64, DatabaseError> {
        self.run(|connection| count(connection, client.clone()).boxed()).await
    }

    /// Deletes what a rebuild has noted, in short transactions: gateways write in between.
    async fn forget_paths(&mut self, client: &ClientName) -> Result<(), DatabaseError> {
        while self.run(|connection| forget_some(connection, client.clone()).boxed()).await? > 0 {}
        Ok(())
    }

    /// Runs a transaction, again after a failure: a row that was changed by the first try is not
    /// changed by the second.
    async fn run<T>(
        &mut self,
        mut work: impl for<'c> FnMut(&'c mut AnyConnection) -> BoxFuture<'c, sqlx::Result<T>>,
    ) -> Result<T, DatabaseError> {
        let mut tries = 1;
        loop {
            match self.try_run(&mut work).await {
                Err(err) if tries < TRIES_MAX => {
                    tracing::debug!(
                        event = "database_retried",
                        error = s3up_core::error_chain(&err),
                        "trying again"
                    );
                    tokio::time::sleep(RETRY_DELAY).await;
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    async fn try_run<T>(
        &mut self,
        work: &mut impl for<'c> FnMut(&'c mut AnyConnection) -> BoxFuture<'c, sqlx::Result<T>>,
    ) -> Result<T, DatabaseError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.location.open().await?,
        };
        let done = in_time(WRITE_WAIT_MAX, work(&mut connection), DatabaseError::Write).await?;
        self.connection = Some(connection);
        Ok(done)
    }
}
