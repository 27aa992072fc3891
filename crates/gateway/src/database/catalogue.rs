//! Answers for uploads from the catalogue: whether it has every file, or knows a path. Also the turns of paths.

use std::sync::atomic::Ordering;

use s3up_core::{ClientName, RemotePath};

use super::turns::Turn;
use super::{Database, DatabaseError, read};

impl Database {
    /// Takes the newest turn of a path, for an upload that begins. Gateways that share the database see it.
    pub(crate) async fn take_turn(&self, client: &ClientName, path: &RemotePath) -> Turn {
        self.0.turns.take(client, path).await
    }

    /// Returns true if the catalogue has every file of a client.
    pub(crate) async fn is_complete(&self, client: &ClientName) -> Result<bool, DatabaseError> {
        read::is_complete(&self.0.readers, client).await
    }

    /// Returns true if the catalogue has all of `paths`, or will have them once what waits is written.
    pub(crate) async fn knows_all(&self, client: &ClientName, paths: &[RemotePath]) -> bool {
        // Checked first: what is written meanwhile is then among the entries.
        let is_unwritten =
            |path: &&RemotePath| self.0.unwritten.contains(&(client.clone(), path.to_string()));
        let written: Vec<_> = paths.iter().filter(|path| !is_unwritten(path)).cloned().collect();
        let entries = self.entries(client, &written).await;
        written.iter().all(|path| entries.contains_key(path))
    }

    /// Returns true if no file is stored under a path as far as the catalogue knows, which has every
    /// file of the client. The catalogue may be older than the bucket (files that were stored by
    /// other means or by another gateway, or before a crash). So this may save a request, and must
    /// not decide whether a file may be overwritten or exists.
    pub(crate) async fn is_new(&self, client: &ClientName, path: &RemotePath) -> bool {
        let shared = &self.0;
        if shared.status.failing.load(Ordering::Relaxed)
            || shared.unwritten.contains(&(client.clone(), path.to_string()))
        {
            return false;
        }
        shared.new_paths.is_new(client, path).await
    }
}
