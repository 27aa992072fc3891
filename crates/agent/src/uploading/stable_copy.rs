//! Copies a file that changes more often than an upload takes, so that one of its
//! versions can be uploaded.
//!
//! A copy that shares the blocks of the file (`FICLONE`: btrfs, xfs) is made in one
//! step and costs nothing; it is possible where the spool is on the filesystem of the
//! file. Elsewhere the content is copied, up to a limit, which is still many times
//! faster than an upload. Either way the identity of the file is the same before
//! and after, or the copy is not used.
//!
//! The copy has no name: it is gone with its descriptor, also after a crash.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use rustix::fs::{fstat, ioctl_ficlone};
use s3up_core::Size;

use crate::files::identity::Identity;

/// Directory for copies, and their limit.
#[derive(Clone, Debug)]
pub struct Spool {
    pub dir: PathBuf,
    pub bytes_max: u64,
}

#[derive(Debug)]
pub(super) enum CopyError {
    /// The file changed while it was copied.
    Changed,
    /// The copy cannot be made here; the text says why and what to do.
    Impossible(String),
}

impl Spool {
    /// Returns a copy of `file`, which has this identity before and after.
    pub(super) fn copy(&self, file: &mut File, identity: Identity) -> Result<File, CopyError> {
        let copy = self.create().and_then(|mut copy| {
            if ioctl_ficlone(&copy, &*file).is_ok() {
                return Ok(Some(copy));
            }
            if identity.size > self.bytes_max {
                return Ok(None);
            }
            io::copy(&mut file.by_ref().take(identity.size), &mut copy)?;
            file.rewind()?;
            copy.rewind()?;
            Ok(Some(copy))
        });
        let copy = copy.map_err(|err| {
            CopyError::Impossible(format!("cannot copy it into {:?}: {err}", self.dir))
        })?;
        let copy = copy.ok_or_else(|| {
            let (size, limit) = (Size(identity.size), Size(self.bytes_max));
            CopyError::Impossible(format!(
                "cannot copy it into {:?}: expected at most {limit} (stability.spool_max_mb), found \
                 {size}; raise the limit, or put the database on the filesystem of the file",
                self.dir
            ))
        })?;
        let is_same = fstat(&*file).is_ok_and(|stat| Identity::of(&stat) == identity);
        if is_same { Ok(copy) } else { Err(CopyError::Changed) }
    }

    fn create(&self) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        tempfile::tempfile_in(&self.dir)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_copy_has_the_content_and_a_file_over_the_limit_or_of_another_version_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "content").unwrap();
        let mut file = File::open(&path).unwrap();
        let identity = Identity::of(&fstat(&file).unwrap());
        let spool = |bytes_max| Spool { dir: dir.path().join("spool"), bytes_max };

        let mut content = String::new();
        let mut copy = spool(7).copy(&mut file, identity).unwrap();
        copy.read_to_string(&mut content).unwrap();
        assert_eq!(content, "content");
        assert_eq!(std::fs::read_dir(dir.path().join("spool")).unwrap().count(), 0, "a name");

        File::options().append(true).open(&path).unwrap().write_all(b"!").unwrap();
        let changed = spool(7).copy(&mut file, identity);
        assert!(matches!(changed, Err(CopyError::Changed)), "{changed:?}");
    }
}
