//! A path in a configuration. It must be absolute, because a relative path would
//! depend on the directory in which a daemon is started.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A path that starts at the root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "PathBuf")]
pub struct AbsolutePath(PathBuf);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an absolute path, found {0:?}")]
pub struct RelativePathError(PathBuf);

impl AbsolutePath {
    pub fn into_inner(self) -> PathBuf {
        self.0
    }
}

impl TryFrom<PathBuf> for AbsolutePath {
    type Error = RelativePathError;

    fn try_from(path: PathBuf) -> Result<AbsolutePath, RelativePathError> {
        if path.is_absolute() { Ok(AbsolutePath(path)) } else { Err(RelativePathError(path)) }
    }
}

impl Deref for AbsolutePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for AbsolutePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}
