//! The changes of files with several names, collected by file instead of by path, in a temporary
//! file: a level may change millions of files.

use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::{Arc, Mutex};

use s3up_core::Sha256Digest;

use super::error::IndexChainError;
use super::file::FileId;
use crate::codec::Decoder;
use crate::record::Node;
use crate::sort::Sorter;
use crate::table::cache::CacheLimits;
use crate::table::directory::StreamId;
use crate::table::read::Table;
use crate::table::write::TableWriter;

/// Collects changes, in any order and with bounded memory.
pub(super) struct ChangesBuilder(Sorter);

/// The changes of one level.
pub(super) struct Changes(Table);

/// The changes of each level, collected once: when the first file with several names is found.
pub(super) struct ChangesByFile(pub(super) Vec<Mutex<Option<Arc<Changes>>>>);

impl ChangesByFile {
    pub(super) fn new(levels: usize) -> ChangesByFile {
        ChangesByFile((0..levels).map(|_| Mutex::new(None)).collect())
    }
}

/// Returns the common start of the keys of the changes of a file.
fn keys_of(file: FileId) -> Vec<u8> {
    [(file.level as u64).to_be_bytes().as_slice(), &file.node.to_be_bytes()].concat()
}

impl ChangesBuilder {
    /// Temporary files are made in the directory for them, and have no name there.
    pub(super) fn new() -> ChangesBuilder {
        ChangesBuilder(Sorter::new(&std::env::temp_dir()))
    }

    pub(super) fn add(&mut self, file: FileId, node: &Node) -> Result<(), IndexChainError> {
        let key = [&keys_of(file)[..], &node.id.to_be_bytes()].concat();
        let mut value = Vec::new();
        node.put(&mut value);
        self.0.put(&key, &value).map_err(IndexChainError::Sort)
    }

    pub(super) fn finish(self) -> Result<Changes, IndexChainError> {
        let (file, directory_sha256) = write(self.0).map_err(IndexChainError::Sort)?;
        let name = "of changes by file".to_owned();
        let mut table = Table::open(name, Box::new(file), Some(directory_sha256))?;
        table.limit_cache(CacheLimits::of_lookups());
        Ok(Changes(table))
    }
}

/// Writes the records into a temporary file.
fn write(records: Sorter) -> io::Result<(File, Sha256Digest)> {
    let file = BufWriter::new(tempfile::tempfile_in(std::env::temp_dir())?);
    let stream = StreamId { bytes: 0, uuid: [0; 16], ctransid: 0, is_incremental: true };
    let mut writer = TableWriter::new(file, stream)?;
    records.finish(|key, value| writer.put(key, value))?;
    let (file, facts) = writer.finish()?;
    Ok((file.into_inner().map_err(io::IntoInnerError::into_error)?, facts.directory_sha256))
}

impl Changes {
    /// Returns the changes of a file, in the order in which the stream makes them.
    pub(super) fn of(&self, file: FileId) -> Result<Vec<Node>, IndexChainError> {
        let mut nodes: Vec<Node> = Vec::new();
        self.0.scan(&keys_of(file), |_, value| {
            nodes.push(Node::decode(&mut Decoder(value))?);
            Ok::<_, IndexChainError>(true)
        })?;
        Ok(nodes)
    }
}
