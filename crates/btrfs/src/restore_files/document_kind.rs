//! The kinds of documents that a restore of files may have to thaw first.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// Pointer and manifests of the subvolume: until they are read, the chain is unknown.
    Manifests,
    /// Indexes of the chain.
    Indexes,
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DocumentKind::Manifests => "manifests",
            DocumentKind::Indexes => "indexes of the chain",
        })
    }
}
