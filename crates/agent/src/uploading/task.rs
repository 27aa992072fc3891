//! One file to upload, as the queue hands it over.

use std::path::Path;
use std::sync::Arc;

use crate::files::identity::Identity;
use crate::files::watch::Watch;
use crate::states::decide::FilePolicy;

#[derive(Clone, Debug)]
pub struct UploadTask {
    pub watch: Arc<Watch>,
    pub path: Arc<Path>,
    /// Identity of the file when it settled.
    pub identity: Identity,
    pub policy: FilePolicy,
    pub mode: UploadMode,
    pub failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadMode {
    /// Uploads the version that settled, and no other.
    Settled,
    /// Uploads the file as it is, because it never settles.
    Hot,
}
