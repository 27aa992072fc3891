//! The location of a repository. What this host remembers belongs to exactly one.

use serde::{Deserialize, Serialize};

use crate::config::BucketConfig;

/// Identifies a repository. State files and records of another location are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryLocation {
    pub endpoint: Option<String>,
    pub bucket: String,
    pub prefix: String,
}

impl RepositoryLocation {
    pub fn of(bucket: &BucketConfig) -> RepositoryLocation {
        let settings = &bucket.settings;
        RepositoryLocation {
            endpoint: settings.endpoint.clone(),
            bucket: settings.bucket.clone(),
            prefix: bucket.layout.prefix().as_str().to_owned(),
        }
    }
}
