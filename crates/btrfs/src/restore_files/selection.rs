//! Selects files of a backup: paths, which stand for all that is below them, and patterns. Walks
//! over the selected files in an order that is always the same.

use btrfs_stream_index::chain::{
    ChainFile, Entries, IndexChain, IndexChainError, TreeWalk, Visit, join,
};

use super::target::STAGING_NAME;
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

    /// Returns the entries of a directory that a walk visits.
    fn entries(
        &self,
        chain: &IndexChain,
        path: &[u8],
        is_selected: bool,
    ) -> Result<Entries, IndexChainError> {
        let names = if is_selected { None } else { self.names_towards(path) };
        let Some(names) = names else { return Ok(Entries::All) };
        let mut found = Vec::new();
        for name in names {
            found.extend(chain.lookup(&join(path, &name))?.map(|file| (name, file)));
        }
        Ok(Entries::Some(found))
    }

    /// Visits all selected files, and the directories above them.
    pub fn walk<E: From<IndexChainError>>(
        &self,
        chain: &IndexChain,
        mut visit: impl FnMut(Step<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(root) = chain.lookup(b"")? else { return Ok(()) };
        // For each directory, whether it is selected.
        let mut walk = TreeWalk::<bool>::default();
        let enter =
            |walk: &mut TreeWalk<bool>, path: Vec<u8>, directory: ChainFile, is_selected| {
                let entries = self.entries(chain, &path, is_selected)?;
                walk.enter(path, directory, is_selected, entries)
            };
        let is_selected = self.is_named(b"");
        visit(Step::Enter { path: b"", directory: &root, is_selected })?;
        enter(&mut walk, Vec::new(), root, is_selected)?;
        while let Some(next) = walk.next_visit(chain)? {
            let (path, file) = match next {
                Visit::Entry { path, file } => (path, file),
                Visit::Leave { path, directory, note: is_selected } => {
                    visit(Step::Leave { path: &path, directory: &directory, is_selected })?;
                    continue;
                }
            };
            // Its name is in use at the target. The backup was made while a restore ran.
            if path.as_slice() == STAGING_NAME {
                continue;
            }
            let is_selected = walk.note() == Some(&true) || self.is_named(&path);
            if file.is_directory() {
                visit(Step::Enter { path: &path, directory: &file, is_selected })?;
                enter(&mut walk, path, file, is_selected)?;
            } else if is_selected {
                visit(Step::File { path: &path, file: &file })?;
            }
        }
        Ok(())
    }
}
