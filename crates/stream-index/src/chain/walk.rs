//! Walks over the tree of a backup. Directories are read page by page.

use std::collections::HashMap;

use super::entry_reader::{EntryReader, release_outer};
use super::error::{IndexChainError, check_path};
use super::file::{ChainFile, FileId};
use super::tree::{IndexChain, join};
use crate::codec::Malformed;

/// Number of nodes of one page of the set, which has a bit for each.
const PAGE_NODES: u32 = 4096;

/// A walk that enters the directories that its caller chooses. `T` is what the caller notes about
/// each of them.
pub struct TreeWalk<T> {
    entered: Vec<Entered<T>>,
    /// The path of the present directory.
    path: Vec<u8>,
    seen: SeenDirectories,
}

/// A directory whose entries are being visited.
struct Entered<T> {
    /// Length of its path, with which the present path begins.
    path_bytes: usize,
    reader: EntryReader,
    note: T,
}

/// The entries of a directory that a walk visits.
pub enum Entries {
    All,
    Some(Vec<(Vec<u8>, ChainFile)>),
}

/// A step of a walk.
pub enum Visit<T> {
    Entry {
        path: Vec<u8>,
        file: ChainFile,
    },
    /// All entries of a directory were visited.
    Leave {
        path: Vec<u8>,
        directory: ChainFile,
        note: T,
    },
}

impl<T> Default for TreeWalk<T> {
    fn default() -> TreeWalk<T> {
        TreeWalk { entered: Vec::new(), path: Vec::new(), seen: SeenDirectories::default() }
    }
}

impl<T> TreeWalk<T> {
    /// Visits entries of a directory next, which is below the present one. Fails if the walk was in this
    /// directory before.
    pub fn enter(
        &mut self,
        path: Vec<u8>,
        directory: ChainFile,
        note: T,
        entries: Entries,
    ) -> Result<(), IndexChainError> {
        check_path(&path)?;
        self.seen.add(&directory)?;
        let held = self.entered.iter().map(|entered| entered.reader.held()).sum();
        release_outer(held, self.entered.iter_mut().map(|entered| &mut entered.reader));
        let reader = match entries {
            Entries::All => EntryReader::new(directory),
            Entries::Some(entries) => EntryReader::of(directory, entries),
        };
        self.entered.push(Entered { path_bytes: path.len(), reader, note });
        self.path = path;
        Ok(())
    }

    /// Returns the note about the present directory.
    pub fn note(&self) -> Option<&T> {
        self.entered.last().map(|entered| &entered.note)
    }

    /// Returns the next entry, or the directory that is left. `None` is the end.
    pub fn next_visit(&mut self, chain: &IndexChain) -> Result<Option<Visit<T>>, IndexChainError> {
        let Some(last) = self.entered.last_mut() else { return Ok(None) };
        if let Some((name, file)) = last.reader.take(chain)? {
            return Ok(Some(Visit::Entry { path: join(&self.path, &name), file }));
        }
        let left = self.entered.pop();
        let above = self.entered.last().map_or(0, |above| above.path_bytes);
        let path = self.path.clone();
        self.path.truncate(above);
        Ok(left.map(|Entered { reader, note, .. }| Visit::Leave {
            path,
            directory: reader.into_directory(),
            note,
        }))
    }
}

/// The directories that a walk was in. In a damaged index, a directory may contain itself.
#[derive(Default)]
pub struct SeenDirectories(HashMap<(usize, u32), Box<[u64; PAGE_NODES as usize / 64]>>);

impl SeenDirectories {
    /// Fails if the directory was added before.
    pub fn add(&mut self, directory: &ChainFile) -> Result<(), IndexChainError> {
        let FileId { level, node } = directory.id();
        let page = self.0.entry((level, node / PAGE_NODES));
        let page = page.or_insert_with(|| Box::new([0; PAGE_NODES as usize / 64]));
        let (word, bit) = ((node % PAGE_NODES / 64) as usize, 1 << (node % 64));
        if page[word] & bit != 0 {
            return Err(Malformed("each directory once").into());
        }
        page[word] |= bit;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Entry, FileMetadata, FileType, Node, NodeId, ROOT, base_key, entry_key};
    use crate::table::directory::StreamId;
    use crate::table::read::Table;
    use crate::table::write::TableWriter;

    /// Returns an index of these entries: directory, name and node, all of them directories.
    fn index(entries: &[(NodeId, &[u8], NodeId)]) -> IndexChain {
        let stream = StreamId { bytes: 1, uuid: [1; 16], ctransid: 2, is_incremental: false };
        let mut writer = TableWriter::new(Vec::new(), stream).unwrap();
        let file_type = Some(FileType::Directory);
        let metadata = FileMetadata { file_type, ..FileMetadata::default() };
        let node = |id| Node { id, is_linked: false, metadata: metadata.clone() };
        let mut root = Vec::new();
        node(ROOT).put(&mut root);
        writer.put(&base_key(b"", ROOT), &root).unwrap();
        for (directory, name, id) in entries {
            let entry = Entry::New(node(*id)).encode();
            writer.put(&entry_key(*directory, name), &entry).unwrap();
        }
        let (bytes, _) = writer.finish().unwrap();
        let table = Table::open("index".to_owned(), Box::new(bytes), None).unwrap();
        IndexChain::new(vec![table]).unwrap()
    }

    /// Walks over everything and returns the paths.
    fn paths(chain: &IndexChain) -> Result<Vec<Vec<u8>>, IndexChainError> {
        let (mut walk, mut paths) = (TreeWalk::default(), Vec::new());
        let root = chain.lookup(b"")?.expect("a root");
        walk.enter(Vec::new(), root, (), Entries::All)?;
        while let Some(visit) = walk.next_visit(chain)? {
            let Visit::Entry { path, file } = visit else { continue };
            paths.push(path.clone());
            walk.enter(path, file, (), Entries::All)?;
        }
        Ok(paths)
    }

    #[test]
    fn a_walk_visits_each_directory_once_and_ends_at_one_that_contains_itself() {
        let whole = index(&[(0, b"a", 1), (0, b"b", 5000), (1, b"c", 2), (5000, b"d", 3)]);
        let circle = index(&[(0, b"a", 1), (1, b"b", 2), (2, b"c", 1)]);

        assert_eq!(paths(&whole).unwrap(), [&b"a"[..], b"a/c", b"b", b"b/d"]);
        assert!(circle.lookup(b"a/b/c/b/c").unwrap().is_some());
        let damaged = paths(&circle).unwrap_err();
        let IndexChainError::Table(err) = damaged else { panic!("{damaged}") };
        assert!(err.is_damage(), "{err}");
    }
}
