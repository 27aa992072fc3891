//! Reads the indexes of a chain: the tree as it is in one of its backups.
//!
//! Each index says what changed against its parent, by the paths of the parent. A lookup begins in
//! the newest index and continues in older ones only with the path that a file has there. A
//! directory that an index does not touch is read from the older index as a whole.
//!
//! A file with several names is changed under one of them. Once a lookup meets such a file, the
//! changes of each index are collected by file instead of by path.

mod changes_by_file;
pub mod content;
mod entry_reader;
mod error;
mod file;
mod listing;
mod other_names;
mod tree;
mod walk;

pub use self::entry_reader::{EntryReader, HELD_ENTRIES_MAX, release_outer};
pub use self::error::{IndexChainError, check_path};
pub use self::file::{ChainFile, FileId};
pub use self::listing::Page;
pub use self::tree::{IndexChain, join};
pub use self::walk::{Entries, SeenDirectories, TreeWalk, Visit};
