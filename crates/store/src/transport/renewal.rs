//! Renews the credentials of a store that is in use.

use std::path::PathBuf;

use crate::settings::Credentials;
use crate::transport::connect::Store;

impl Store {
    /// Takes over the credentials of `other`, for this store and all its clones.
    pub fn adopt_credentials(&self, other: &Store) {
        self.credentials.adopt(&other.credentials);
    }

    /// Returns the files from which the credentials of the default chain may come. They need not
    /// exist.
    pub fn credential_files(&self) -> Vec<PathBuf> {
        if matches!(self.settings.credentials, Credentials::Explicit { .. }) {
            return Vec::new();
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let file = |variable: &str, name: &str| {
            let named = std::env::var_os(variable).map(PathBuf::from);
            named.or_else(|| Some(home.as_ref()?.join(".aws").join(name)))
        };
        let shared = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        shared.into_iter().chain(file("AWS_CONFIG_FILE", "config")).collect()
    }
}
