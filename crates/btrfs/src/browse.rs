//! Reads backups by their indexes: directories, names and differences. Reads no chunk, and thaws
//! nothing.

pub mod tree_diff;

use btrfs_stream_index::TableError;
use btrfs_stream_index::chain::{
    ChainFile, Entries, EntryReader, IndexChain, IndexChainError, TreeWalk, Visit, join,
};
use s3up_core::Key;
use s3up_repository::chain::Chain;
use s3up_repository::documents::Bucket;
use s3up_repository::stream_index::{self, IndexError};
use s3up_store::{StoreError, StoreErrorKind};

#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(
        "{count} of {total} backups of the chain have no index, the first is {first}; build them \
         with `index --build`"
    )]
    NoIndex { count: usize, total: usize, first: Key },
    #[error("read the indexes of the chain")]
    Chain(#[from] IndexChainError),
    #[error("the backup has no file {path:?}; list a directory above it with `ls`")]
    NoFile { path: String },
    #[error("write to standard output")]
    Print(#[source] std::io::Error),
    #[error("read the indexes: a thread ended early; this is a bug, report it")]
    Stopped,
}

/// Returns true if S3 refused to read an index because it is archived.
pub(crate) fn is_archived(err: &BrowseError) -> bool {
    let table = match err {
        BrowseError::Index(IndexError::Table(err))
        | BrowseError::Chain(IndexChainError::Table(err)) => err,
        BrowseError::Index(_)
        | BrowseError::NoIndex { .. }
        | BrowseError::Chain(_)
        | BrowseError::NoFile { .. }
        | BrowseError::Print(_)
        | BrowseError::Stopped => return false,
    };
    let TableError::Unreadable { source, .. } = table else { return false };
    let of_store = source.get_ref().and_then(|source| source.downcast_ref::<StoreError>());
    of_store.is_some_and(|err| err.kind == StoreErrorKind::Archived)
}

/// Opens the indexes of a chain.
pub async fn open(bucket: &Bucket, chain: &Chain) -> Result<IndexChain, BrowseError> {
    let (mut tables, mut missing) = (Vec::new(), Vec::new());
    let opened = stream_index::open_all(bucket, chain.entries()).await?;
    for (entry, opened) in chain.entries().iter().zip(opened) {
        match opened {
            Some(table) => tables.push(table),
            None => missing.push(entry.key.clone()),
        }
    }
    let (count, total) = (missing.len(), chain.entries().len());
    match missing.into_iter().next() {
        Some(first) => Err(BrowseError::NoIndex { count, total, first }),
        None => Ok(IndexChain::new(tables)?),
    }
}

/// Runs work that waits for S3 on a thread that may wait.
pub async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BrowseError> + Send + 'static,
) -> Result<T, BrowseError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(BrowseError::Stopped))
}

/// Removes the slashes around a path, which mean nothing in a backup.
pub(crate) fn trimmed(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|byte| *byte == b'/');
    let segments: Vec<_> =
        segments.filter(|segment| !segment.is_empty() && *segment != b".").collect();
    segments.join(&b'/')
}

/// Calls `each` for a directory's entries, or for the file itself.
pub fn list(
    chain: &IndexChain,
    path: &[u8],
    mut each: impl FnMut(&[u8], &ChainFile) -> Result<(), BrowseError>,
) -> Result<(), BrowseError> {
    let path = trimmed(path);
    let found = chain.lookup(&path)?;
    let file = found.ok_or_else(|| BrowseError::NoFile { path: shown(&path) })?;
    if !file.is_directory() {
        return each(&path, &file);
    }
    let mut below = join(&path, b"");
    let directory_bytes = below.len();
    let mut entries = EntryReader::new(file);
    while let Some((name, file)) = entries.take(chain)? {
        below.truncate(directory_bytes);
        below.extend_from_slice(&name);
        each(&below, &file)?;
    }
    Ok(())
}

/// Calls `each` for every file below the root, directories before their entries.
pub fn walk(
    chain: &IndexChain,
    mut each: impl FnMut(&[u8], &ChainFile) -> Result<(), BrowseError>,
) -> Result<(), BrowseError> {
    let Some(root) = chain.lookup(b"")? else { return Ok(()) };
    let mut walk = TreeWalk::default();
    walk.enter(Vec::new(), root, (), Entries::All)?;
    while let Some(visit) = walk.next_visit(chain)? {
        let Visit::Entry { path, file } = visit else { continue };
        each(&path, &file)?;
        if file.is_directory() {
            walk.enter(path, file, (), Entries::All)?;
        }
    }
    Ok(())
}

/// Returns a path as text, with the bytes that are no text escaped.
pub fn shown(path: &[u8]) -> String {
    s3up_core::escape::encode(path)
}
