//! Compares the index of a backup with one that is built while the stream is read.

use std::io;

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
        stored: Table,
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
        let err = match stream_index::open(bucket, entry).await {
            Ok(None) => return Ok((IndexCheck::Nothing, None)),
            Ok(Some(stored)) => {
                let (commands, building) = IndexBuilding::start(&std::env::temp_dir());
                return Ok((IndexCheck::Compare { stored, building }, Some(commands)));
            }
            Err(err) => err,
        };
        match err {
            IndexError::Store(err) => Err(err.into()),
            IndexError::Table { source: TableError::Read(err), key } => match of_store(err)? {
                None => Ok((IndexCheck::Nothing, None)),
                Some(err) => {
                    Ok((IndexCheck::Problem(format!("read the index {key}: {err}")), None))
                }
            },
            err @ (IndexError::Table { .. }
            | IndexError::OtherStream { .. }
            | IndexError::Build { .. }
            | IndexError::Archived { .. }
            | IndexError::Stopped { .. }
            | IndexError::Fetch(_)
            | IndexError::Upload(_)) => Ok((IndexCheck::Problem(error_chain(&err)), None)),
        }
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
        let compared = compared.await;
        match compared.unwrap_or_else(|err| Err(TableError::Read(io::Error::other(err)))) {
            Ok(true) => Ok(None),
            Ok(false) => {
                Ok(Some("expected the index of its stream, found other records".to_owned()))
            }
            Err(TableError::Read(err)) => Ok(of_store(err)?.map(|err| err.to_string())),
            Err(err) => Ok(Some(error_chain(&err))),
        }
    }
}

/// Fails with the error of S3, if that is what a reader of an index has met: it says nothing about
/// the index. `None` means that the index is archived.
fn of_store(err: io::Error) -> Result<Option<io::Error>, FetchError> {
    match err.downcast::<StoreError>() {
        Ok(err) if err.kind == StoreErrorKind::Archived => Ok(None),
        Ok(err) if err.kind == StoreErrorKind::Corrupt => Ok(Some(io::Error::other(err))),
        Ok(err) => Err(err.into()),
        Err(err) => Ok(Some(err)),
    }
}
