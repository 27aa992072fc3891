//! The changes of files with several names, collected by file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::file::FileId;
use crate::record::Node;

/// The changes of one level, by the file that they change.
pub(super) type Changes = HashMap<FileId, Vec<Node>>;

/// Collected once, when the first file with several names is found.
pub(super) struct ChangesByFile(pub(super) Vec<Mutex<Option<Arc<Changes>>>>);

impl ChangesByFile {
    pub(super) fn new(levels: usize) -> ChangesByFile {
        ChangesByFile((0..levels).map(|_| Mutex::new(None)).collect())
    }
}
