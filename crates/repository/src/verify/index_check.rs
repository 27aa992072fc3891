//! Compares the index of a backup with one that is built while the stream is read.

use btrfs_sendstream::CommandBatch;
use btrfs_stream_index::{Table, TableError};
use s3up_core::error_chain;
use s3up_store::{StoreError, StoreErrorKind};
use tokio::sync::mpsc;

use crate::chain::ChainEntry;
use crate::documents::Bucket;
use crate::fetch::FetchError;
use crate::stream_index::{self, IndexBuilding, IndexError};

pub(super) enum IndexCheck {
    /// There is no index that could be read, which is no problem.
    Nothing,
    Problem(String),
    Compare {
        stored: Box<Table>,
        building: IndexBuilding,
    },
}

impl IndexCheck {
    /// Opens the index. If there is something to compare with, the commands of the stream go to the
    /// sender.
    pub(super) async fn start(
        bucket: &Bucket,
        entry: &ChainEntry,
    ) -> Result<(IndexCheck, Option<mpsc::Sender<CommandBatch>>), FetchError> {
        Ok(match stream_index::open(bucket, entry).await {
            Ok(None) => (IndexCheck::Nothing, None),
            Ok(Some(stored)) => {
                let (commands, building) = IndexBuilding::start(&std::env::temp_dir());
                (IndexCheck::Compare { stored: Box::new(stored), building }, Some(commands))
            }
            Err(err) if err.is_damage() => (IndexCheck::Problem(error_chain(&err)), None),
            Err(IndexError::Store(err)) => return Err(err.into()),
            Err(IndexError::Table(err)) => {
                unread(err)?;
                (IndexCheck::Nothing, None)
            }
            Err(_) => (IndexCheck::Nothing, None),
        })
    }

    /// Returns in which way the index differs from its stream.
    pub(super) async fn finish(self, entry: &ChainEntry) -> Result<Option<String>, FetchError> {
        let (stored, building) = match self {
            IndexCheck::Nothing => return Ok(None),
            IndexCheck::Problem(reason) => return Ok(Some(reason)),
            IndexCheck::Compare { stored, building } => (stored, building),
        };
        let built = match building.finish(&entry.key).await {
            Ok(built) => built,
            Err(err) => return Ok(Some(error_chain(&err))),
        };
        let compared = tokio::task::spawn_blocking(move || built.has_records_of(&stored));
        match compared.await {
            Ok(Ok(true)) => Ok(None),
            Ok(Ok(false)) => {
                Ok(Some("expected the index of its stream, found other records".to_owned()))
            }
            Ok(Err(err)) if err.is_damage() => Ok(Some(error_chain(&err))),
            Ok(Err(err)) => unread(err).map(|()| None),
            Err(err) => Ok(Some(format!("compare the index: its thread ended early: {err}"))),
        }
    }
}

/// Fails with the error of S3 that a reader of an index has met: it says nothing about the index.
/// An index that is archived, or that a newer version wrote, is not compared.
fn unread(err: TableError) -> Result<(), FetchError> {
    let TableError::Unreadable { source, .. } = err else { return Ok(()) };
    match source.downcast::<StoreError>() {
        Ok(err) if err.kind == StoreErrorKind::Archived => Ok(()),
        Ok(err) => Err(err.into()),
        Err(err) => {
            tracing::warn!(event = "index_not_compared", "read an index: {err}");
            Ok(())
        }
    }
}
