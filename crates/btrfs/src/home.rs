//! Where backups go: what this host remembers is of one home.

use serde::{Deserialize, Serialize};

use crate::config::BucketConfig;

/// What is of another home is none of ours.
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
