//! Where backups go: what this host remembers is of one home.

use serde::{Deserialize, Serialize};

/// What is of another home is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryLocation {
    pub endpoint: Option<String>,
    pub bucket: String,
    pub prefix: String,
}
