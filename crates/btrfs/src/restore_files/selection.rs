//! Selects files of a backup: paths, which stand for all that is below them, and patterns. Walks
//! over the selected files in an order that is always the same.

use std::collections::HashSet;

use btrfs_stream_index::Malformed;
use btrfs_stream_index::chain::{ChainFile, IndexChain, IndexChainError, join};

use super::staging::STAGING_NAME;
use crate::browse::{BrowseError, shown, trimmed};
use crate::path_pattern::PathPattern;

/// The selected paths, relative to the subvolume.
#[derive(Clone, Debug, Default)]
pub struct PathSelection {
    /// Files and directories. An empty path is the whole subvolume.
    paths: Vec<Vec<u8>>,
    patterns: Vec<PathPattern>,
}

#[derive(Debug, thiserror::Error)]
#[error("--path {text:?}")]
pub struct PatternError {
    text: String,
    source: globset::Error,
}

/// A text of `--path`: a path if the backup has it, or else a pattern.
#[derive(Clone, Debug)]
pub struct WantedPath {
    path: Vec<u8>,
    pattern: Option<PathPattern>,
}

impl WantedPath {
    pub fn parse(text: &str) -> Result<WantedPath, PatternError> {
        let pattern = PathPattern::is_pattern(text).then(|| PathPattern::parse(text));
        let fail = |source| PatternError { text: text.to_owned(), source };
        let pattern = pattern.transpose().map_err(fail)?;
        Ok(WantedPath { path: trimmed(text.as_bytes()), pattern })
    }

    pub fn whole_subvolume() -> WantedPath {
        WantedPath { path: Vec::new(), pattern: None }
    }
}

/// A step of a walk. A directory that is not selected itself leads to selected files.
pub enum Step<'s> {
    Enter { path: &'s [u8], directory: &'s ChainFile, is_selected: bool },
    File { path: &'s [u8], file: &'s ChainFile },
    Leave { path: &'s [u8], directory: &'s ChainFile, is_selected: bool },
}

/// A directory whose entries are being visited.
struct Entered {
    path: Vec<u8>,
    directory: ChainFile,
    is_selected: bool,
    entries: std::vec::IntoIter<(Vec<u8>, ChainFile)>,
}

impl PathSelection {
    /// Looks the paths up. Fails if the backup has no file of one of them.
    pub fn find(chain: &IndexChain, wanted: &[WantedPath]) -> Result<PathSelection, BrowseError> {
        let mut selection = PathSelection::default();
        for WantedPath { path, pattern } in wanted {
            match (chain.lookup(path)?, pattern) {
                (Some(_), _) => selection.paths.push(path.clone()),
                (None, Some(pattern)) => selection.patterns.push(pattern.clone()),
                (None, None) => return Err(BrowseError::NoFile { path: shown(path) }),
            }
        }
        Ok(selection)
    }

    /// Returns true if the whole subvolume is selected.
    pub fn is_whole(&self) -> bool {
        self.is_named(b"")
    }

    /// Returns true if a path is selected by itself.
    fn is_named(&self, path: &[u8]) -> bool {
        self.paths.iter().any(|wanted| wanted == path)
            || self.patterns.iter().any(|pattern| !path.is_empty() && pattern.is_match(path))
    }

    /// Returns the names in a directory that lead to selected paths; `None` if any may.
    fn names_towards(&self, directory: &[u8]) -> Option<Vec<Vec<u8>>> {
        if !self.patterns.is_empty() {
            return None;
        }
        let below = |path: &Vec<u8>| {
            let rest = match directory {
                [] => &path[..],
                _ => path.strip_prefix(directory)?.strip_prefix(b"/")?,
            };
            Some(rest.split(|byte| *byte == b'/').next()?.to_vec()).filter(|it| !it.is_empty())
        };
        let mut names: Vec<_> = self.paths.iter().filter_map(below).collect();
        names.sort();
        names.dedup();
        Some(names)
    }

    fn enter(
        &self,
        chain: &IndexChain,
        path: Vec<u8>,
        directory: ChainFile,
        is_selected: bool,
    ) -> Result<Entered, IndexChainError> {
        let names = if is_selected { None } else { self.names_towards(&path) };
        let entries = match names {
            None => chain.list(&directory)?,
            Some(names) => {
                let mut found = Vec::new();
                for name in names {
                    found.extend(chain.lookup(&join(&path, &name))?.map(|file| (name, file)));
                }
                found
            }
        };
        Ok(Entered { path, directory, is_selected, entries: entries.into_iter() })
    }

    /// Visits all selected files, and the directories above them.
    pub fn walk<E: From<IndexChainError>>(
        &self,
        chain: &IndexChain,
        mut visit: impl FnMut(Step<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(root) = chain.lookup(b"")? else { return Ok(()) };
        let is_selected = self.is_named(b"");
        visit(Step::Enter { path: b"", directory: &root, is_selected })?;
        let mut seen = HashSet::new();
        let mut entered = vec![self.enter(chain, Vec::new(), root, is_selected)?];
        while let Some(last) = entered.last_mut() {
            let Some((name, file)) = last.entries.next() else {
                let Some(Entered { path, directory, is_selected, .. }) = entered.pop() else {
                    break;
                };
                visit(Step::Leave { path: &path, directory: &directory, is_selected })?;
                continue;
            };
            let path = join(&last.path, &name);
            // Its name is in use at the target. The backup was made while a restore ran.
            if path.as_slice() == STAGING_NAME {
                continue;
            }
            let is_selected = last.is_selected || self.is_named(&path);
            if file.is_directory() {
                // In a damaged index a directory may contain itself.
                if !seen.insert(file.id()) {
                    return Err(IndexChainError::from(Malformed("each directory once")).into());
                }
                visit(Step::Enter { path: &path, directory: &file, is_selected })?;
                entered.push(self.enter(chain, path, file, is_selected)?);
            } else if is_selected {
                visit(Step::File { path: &path, file: &file })?;
            }
        }
        Ok(())
    }
}
