//! The location of a repository. What this host remembers belongs to exactly one.

use serde::{Deserialize, Serialize};

/// Identifies a repository. State files and records of another location are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryLocation {
    pub endpoint: Option<String>,
    pub bucket: String,
    pub prefix: String,
}
