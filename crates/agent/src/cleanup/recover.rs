//! Completes or undoes deletions that a run did not bring to their end.
//!
//! A file that still has its temporary name gets its own back, unless a new file has that name.

use std::path::Path;
use std::sync::Arc;

use crate::database::{CleanupChange, InterruptedDeletion};
use crate::files::confined_fs::{Dir, Root, is_gone};
use crate::files::watch::Watch;

/// The result for one deletion.
#[derive(Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The change that brings the row up to date.
    Record(CleanupChange),
    /// It stays as it is, for this reason; a later run tries again.
    Later(String),
}

/// A watch with the filesystem that its last scan found.
#[derive(Clone, Debug)]
pub struct ScannedWatch {
    pub watch: Arc<Watch>,
    pub filesystem: Option<String>,
}

/// Returns the result for each of `deletions`. Blocking.
pub fn recover(watches: &[ScannedWatch], deletions: &[InterruptedDeletion]) -> Vec<Recovery> {
    deletions.iter().map(|deletion| recover_one(watches, deletion)).collect()
}

fn recover_one(watches: &[ScannedWatch], deletion: &InterruptedDeletion) -> Recovery {
    let found = watches.iter().find_map(|it| Some((it, it.watch.path_of(&deletion.local_path)?)));
    let Some((scanned, path)) = found else {
        return Recovery::Later("its watch is not in the configuration".to_owned());
    };
    let root = match open_root(scanned) {
        Ok(root) => root,
        Err(reason) => return Recovery::Later(reason),
    };
    let directory = Dir::of(&root, &path);
    let (directory, name) = match (directory, path.file_name()) {
        (Ok(directory), Some(name)) => (directory, Path::new(name)),
        (Err(err), _) => return Recovery::Later(format!("cannot open its directory: {err}")),
        (Ok(_), None) => return Recovery::Later("it has no name".to_owned()),
    };
    let removed_name = Path::new(&deletion.deleting_as);
    let exists = |name| match directory.stat_of(name) {
        Ok(_) => Ok(true),
        Err(err) if is_gone(&err) => Ok(false),
        Err(err) => Err(err),
    };
    match (exists(name), exists(removed_name)) {
        (Ok(true), Ok(false)) => Recovery::Record(CleanupChange::NotDeleted),
        (Ok(false), Ok(false)) => Recovery::Record(CleanupChange::Deleted),
        (Ok(false), Ok(true)) => match directory.rename_new(removed_name, name) {
            Ok(()) => Recovery::Record(CleanupChange::NotDeleted),
            Err(err) => Recovery::Later(format!("cannot rename {removed_name:?} back: {err}")),
        },
        (Ok(true), Ok(true)) => Recovery::Later(format!(
            "another file has its name now; the earlier one is in the same directory as {:?}; compare \
             the two, then rename the earlier one",
            deletion.deleting_as
        )),
        (Err(err), _) | (_, Err(err)) => Recovery::Later(format!("cannot examine it: {err}")),
    }
}

/// Opens the root of a watch. Fails if it is on another filesystem than the last scan found, because a
/// file that is missing there may still be on the other one.
fn open_root(scanned: &ScannedWatch) -> Result<Root, String> {
    let opened = Root::open(&scanned.watch.root);
    let opened = opened.and_then(|root| Ok((root.filesystem_id()?, root)));
    let (filesystem, root) = opened.map_err(|err| format!("cannot open its watch: {err}"))?;
    if scanned.filesystem.as_ref() != Some(&filesystem) {
        let what = "expected the filesystem of the last scan, found another one; check whether it is mounted";
        return Err(what.to_owned());
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ignore::gitignore::Gitignore;
    use s3up_core::KeyPrefix;

    use super::*;

    #[test]
    fn a_file_gets_its_name_back_unless_a_new_one_has_it() {
        #[rustfmt::skip]
        let cases = [
            // the file, its temporary name -> row
            (true,  false, Some(CleanupChange::NotDeleted)),
            (false, false, Some(CleanupChange::Deleted)),
            (false, true,  Some(CleanupChange::NotDeleted)),
            (true,  true,  None),
        ];
        for (has_name, has_removed_name, want) in cases {
            let dir = tempfile::tempdir().unwrap();
            let (name, removed) = (dir.path().join("a"), dir.path().join(".s3up-cleanup-1"));
            for (path, exists) in [(&name, has_name), (&removed, has_removed_name)] {
                if exists {
                    fs::write(path, path.to_str().unwrap()).unwrap();
                }
            }
            let watch = watch(dir.path());
            let deletion = InterruptedDeletion {
                local_path: watch.local_path(Path::new("a")),
                deleting_as: ".s3up-cleanup-1".to_owned(),
            };

            let recovered = recover(&[scanned(watch)], &[deletion]).remove(0);

            match want {
                Some(change) => assert_eq!(recovered, Recovery::Record(change)),
                None => assert!(matches!(recovered, Recovery::Later(_)), "{recovered:?}"),
            }
            assert_eq!(name.exists(), has_name || has_removed_name);
            assert_eq!(removed.exists(), has_name && has_removed_name);
        }
    }

    #[test]
    fn nothing_is_concluded_from_another_filesystem_than_the_one_of_the_last_scan() {
        let dir = tempfile::tempdir().unwrap();
        let removed = dir.path().join(".s3up-cleanup-1");
        for is_there in [false, true] {
            if is_there {
                fs::write(&removed, "content").unwrap();
            }
            let watch = watch(dir.path());
            let deletion = InterruptedDeletion {
                local_path: watch.local_path(Path::new("a")),
                deleting_as: ".s3up-cleanup-1".to_owned(),
            };
            for filesystem in [None, Some("another one".to_owned())] {
                let scanned = ScannedWatch { watch: watch.clone(), filesystem };
                let recovered = recover(&[scanned], std::slice::from_ref(&deletion)).remove(0);
                assert!(matches!(recovered, Recovery::Later(_)), "{recovered:?}");
                assert_eq!(removed.exists(), is_there);
            }
        }
    }

    fn scanned(watch: Arc<Watch>) -> ScannedWatch {
        let filesystem = Root::open(&watch.root).unwrap().filesystem_id().unwrap();
        ScannedWatch { watch, filesystem: Some(filesystem) }
    }

    fn watch(root: &Path) -> Arc<Watch> {
        Arc::new(Watch {
            index: 0,
            root: root.to_owned(),
            prefix: KeyPrefix::parse("uploads").unwrap(),
            recursive: true,
            poll: false,
            excludes: Gitignore::empty(),
        })
    }
}
