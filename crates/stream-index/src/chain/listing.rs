//! Lists directories, page by page, so that the memory of a listing does not depend on the length of
//! a directory.

use std::collections::{BTreeMap, BTreeSet};

use super::error::IndexChainError;
use super::file::{ChainFile, FileSource};
use super::tree::{IndexChain, join};
use crate::codec::{Decoder, Malformed};
use crate::record::{Entry, Node, NodeId, base_keys_below, entry_key, entry_keys};

/// Length of the key of an entry before its name.
const ENTRY_KEY_BYTES: usize = 1 + size_of::<NodeId>();

/// Number of entries that are read at once, at some 300 bytes each: few enough for the cache of the
/// processor.
pub const PAGE_ENTRIES: usize = 1024;

/// Length of a name in btrfs. A page of longer ones would take all memory.
const NAME_BYTES_MAX: usize = 255;

/// Number of records below one directory after which a scan skips the others.
const BELOW_MAX: usize = 32;

/// Some entries of a directory, sorted by name.
#[derive(Debug)]
pub struct Page {
    pub entries: Vec<(Vec<u8>, ChainFile)>,
    /// The name after which the next page begins; `None` if this is the last one.
    pub next: Option<Vec<u8>>,
}

/// Entries of one level, complete up to a name; `None` is the end.
struct Partial<T> {
    names: Vec<(Vec<u8>, T)>,
    until: Option<Vec<u8>>,
}

/// The paths of the parent below a directory that a level changes.
#[derive(Default)]
struct Touched {
    /// Changed files, by their names in the directory.
    nodes: BTreeMap<Vec<u8>, Vec<Node>>,
    /// Names of directories below which something changes.
    deeper: BTreeSet<Vec<u8>>,
}

/// Returns the earlier of two ends.
fn earlier(a: Option<Vec<u8>>, b: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl<T> Partial<T> {
    /// Leaves out names after `until`.
    fn cut(&mut self, until: &Option<Vec<u8>>) {
        if let Some(until) = until {
            self.names.truncate(self.names.partition_point(|(name, _)| name <= until));
        }
    }
}

impl IndexChain {
    /// Returns up to `limit` entries of a directory whose names are after this one, at least one if
    /// there are any. A page may be empty although another one follows.
    pub fn list_page(
        &self,
        directory: &ChainFile,
        after: &[u8],
        limit: usize,
    ) -> Result<Page, IndexChainError> {
        let Partial { names: mut entries, until: next } =
            self.by_path(directory, after, limit.max(1))?;
        for (_, file) in &mut entries {
            self.add_changes_by_other_names(self.top(), file)?;
        }
        Ok(Page { entries, next })
    }

    fn by_path(
        &self,
        directory: &ChainFile,
        after: &[u8],
        limit: usize,
    ) -> Result<Partial<ChainFile>, IndexChainError> {
        let level = directory.level;
        let (path, nodes, below) = match &directory.at {
            FileSource::New(id) => {
                return self.entries(level, *id, after, limit, |name, entry| {
                    let file = self.follow(level, entry)?;
                    Ok(file.map(|file| (name.to_vec(), file)))
                });
            }
            FileSource::Parent { path, nodes, below } => (path, nodes, below),
        };
        let mut inherited = self.by_path(below, after, limit)?;
        let mut own = self.entries_of_all(level, nodes, after, limit)?;
        let until = earlier(inherited.until.take(), own.until.take());
        inherited.cut(&until);
        own.cut(&until);
        let is_inherited = |name: &[u8]| {
            inherited
                .names
                .binary_search_by(|(inherited, _)| inherited.as_slice().cmp(name))
                .is_ok()
        };
        let range = (after, until.as_deref());
        let touched = self.touched_below(level, path, range, is_inherited)?;
        let mut names = Vec::with_capacity(inherited.names.len() + own.names.len());
        let mut own = own.names.into_iter().peekable();
        for (name, below) in inherited.names {
            while let Some((earlier, entry)) = own.next_if(|(own, _)| *own < name) {
                names.extend(self.follow(level, entry)?.map(|file| (earlier, file)));
            }
            if let Some((name, entry)) = own.next_if(|(own, _)| *own == name) {
                names.extend(self.follow(level, entry)?.map(|file| (name, file)));
                continue;
            }
            let found = match touched.nodes.get(&name) {
                Some(nodes) => self.patched(level, join(path, &name), nodes.clone(), below),
                None if touched.deeper.contains(&name) => {
                    self.patched(level, join(path, &name), Vec::new(), below)
                }
                None => below,
            };
            names.push((name, found));
        }
        for (name, entry) in own {
            names.extend(self.follow(level, entry)?.map(|file| (name, file)));
        }
        Ok(Partial { names, until })
    }

    /// Returns the entries that a level writes for a directory of the parent. If it has several nodes
    /// there, those of the last one count.
    fn entries_of_all(
        &self,
        level: usize,
        nodes: &[NodeId],
        after: &[u8],
        limit: usize,
    ) -> Result<Partial<Entry>, IndexChainError> {
        let mut all: Option<Partial<Entry>> = None;
        for node in nodes {
            let own = |name: &[u8], entry| Ok(Some((name.to_vec(), entry)));
            let mut found = self.entries(level, *node, after, limit, own)?;
            all = Some(match all.take() {
                None => found,
                Some(mut earlier_nodes) => {
                    let until = earlier(earlier_nodes.until.take(), found.until.take());
                    earlier_nodes.cut(&until);
                    found.cut(&until);
                    let mut names: BTreeMap<_, _> = earlier_nodes.names.into_iter().collect();
                    names.extend(found.names);
                    Partial { names: names.into_iter().collect(), until }
                }
            });
        }
        Ok(all.unwrap_or(Partial { names: Vec::new(), until: None }))
    }

    /// Reads up to `limit` entries of one node, and returns what `found` makes of them.
    fn entries<T>(
        &self,
        level: usize,
        node: NodeId,
        after: &[u8],
        limit: usize,
        mut found: impl FnMut(&[u8], Entry) -> Result<Option<(Vec<u8>, T)>, IndexChainError>,
    ) -> Result<Partial<T>, IndexChainError> {
        let mut page = Partial { names: Vec::new(), until: None };
        let (mut last, mut count) = (Vec::new(), 0);
        let from = entry_key(node, after);
        self.levels[level].scan_from(&entry_keys(node), &from, |key, value| {
            let name = &key[ENTRY_KEY_BYTES..];
            if name <= after {
                return Ok(true);
            }
            if name.len() > NAME_BYTES_MAX {
                return Err(Malformed("a name of at most 255 bytes").into());
            }
            if count == limit {
                page.until = Some(std::mem::take(&mut last));
                return Ok(false);
            }
            count += 1;
            if count == limit {
                last = name.to_vec();
            }
            page.names.extend(found(name, Entry::decode(value)?)?);
            Ok::<_, IndexChainError>(true)
        })?;
        Ok(page)
    }

    /// Returns what a level changes below a directory, of the names after `after` up to `until` that
    /// the parent has there. A damaged index may have any number of others.
    fn touched_below(
        &self,
        level: usize,
        path: &[u8],
        (after, until): (&[u8], Option<&[u8]>),
        is_inherited: impl Fn(&[u8]) -> bool,
    ) -> Result<Touched, IndexChainError> {
        let mut touched = Touched::default();
        let prefix = base_keys_below(path);
        let is_wanted = |name: &[u8]| {
            name > after && until.is_none_or(|until| name <= until) && is_inherited(name)
        };
        // All paths below `until` sort before this.
        let end = until.map(|until| [until, &[b'/' + 1]].concat());
        let mut next = Some([&prefix[..], after].concat());
        while let Some(from) = next.take() {
            // Number of records in a row that are below one directory.
            let mut below = 0;
            self.levels[level].scan_from(&prefix, &from, |key, value| {
                let rest = &key[prefix.len()..];
                if end.as_ref().is_some_and(|end| rest >= &end[..]) {
                    return Ok(false);
                }
                let name_end = rest.iter().position(|byte| matches!(byte, 0 | b'/'));
                // The root itself is below no directory.
                let Some(name_end) = name_end.filter(|end| *end > 0) else { return Ok(true) };
                let name = &rest[..name_end];
                if !is_wanted(name) {
                    return Ok(true);
                }
                if rest[name_end] == 0 {
                    let node = Node::decode(&mut Decoder(value))?;
                    touched.nodes.entry(name.to_vec()).or_default().push(node);
                    return Ok(true);
                }
                if !touched.deeper.contains(name) {
                    touched.deeper.insert(name.to_vec());
                    below = 0;
                }
                below += 1;
                if below == BELOW_MAX {
                    next = Some([&prefix[..], name, &[b'/' + 1]].concat());
                }
                Ok::<_, IndexChainError>(below < BELOW_MAX)
            })?;
        }
        // Paths below a name that `until` begins with may sort after that end: `a/b` after `a b0`.
        for bytes in 1..until.map_or(0, <[u8]>::len) {
            let name = &until.unwrap_or_default()[..bytes];
            let is_below = || self.levels[level].has_prefix(&[&prefix[..], name, b"/"].concat());
            if is_wanted(name) && is_below()? {
                touched.deeper.insert(name.to_vec());
            }
        }
        Ok(touched)
    }
}

#[cfg(test)]
mod tests;
