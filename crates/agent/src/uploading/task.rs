//! One file to upload, as the queue hands it over.

use std::path::Path;
use std::sync::Arc;

use crate::files::confined_fs::RootId;
use crate::files::identity::Identity;
use crate::files::watch::Watch;
use crate::files::writes::Writes;
use crate::states::decide::FilePolicy;

#[derive(Clone, Debug)]
pub struct UploadTask {
    pub watch: Arc<Watch>,
    pub path: Arc<Path>,
    /// Identity of the file when it settled.
    pub identity: Identity,
    pub writes: Writes,
    pub policy: FilePolicy,
    pub mode: UploadMode,
    /// Number of failed attempts.
    pub failures: u32,
    /// The root that the last scan opened; `None` before the first one.
    pub root: Option<RootId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadMode {
    /// Uploads the version that settled, and no other.
    Settled,
    /// Uploads a copy of the version that settled, because the file keeps changing
    /// while it is uploaded.
    Copy,
    /// Uploads the file as it is, because it never settles. It is copied first where
    /// that is possible.
    Hot,
}
