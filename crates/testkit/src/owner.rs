//! Whom files belong to that a person may have to remove.
//!
//! Tests that run by sudo make them as root; after a crash the person who
//! typed the command could not even look at them. So they are given to the
//! user that sudo names.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::lchown;
use std::path::Path;

use tempfile::TempDir;

/// The name of every temporary folder of the tests starts with this.
const PREFIX: &str = "s3up-test-";

/// A temporary folder that the user who called sudo may remove.
pub fn temp_dir() -> TempDir {
    temp_dir_named(PREFIX)
}

pub(crate) fn temp_dir_named(prefix: &str) -> TempDir {
    let dir = tempfile::Builder::new().prefix(prefix).tempdir().expect("a temporary folder");
    hand_over(dir.path());
    dir
}

/// Gives one file or folder to the user who called sudo, if one did.
pub(crate) fn hand_over(path: &Path) {
    if let Some((uid, gid)) = caller() {
        lchown(path, Some(uid), Some(gid)).expect("root may give a file away");
    }
}

/// Who called sudo: the user and group that our files go to.
pub(crate) fn caller() -> Option<(u32, u32)> {
    let is_root = rustix::process::geteuid().is_root();
    let id = |name| env::var_os(name);
    named(is_root, id("SUDO_UID").as_deref(), id("SUDO_GID").as_deref())
}

fn named(is_root: bool, uid: Option<&OsStr>, gid: Option<&OsStr>) -> Option<(u32, u32)> {
    let number = |id: Option<&OsStr>| id?.to_str()?.parse().ok();
    is_root.then_some((number(uid)?, number(gid)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_to_whom_sudo_names() {
        #[rustfmt::skip]
        let cases = [
            // situation       root   uid           gid           owner
            ("sudo",           true,  Some("1000"), Some("100"),  Some((1000, 100))),
            ("root's shell",   true,  None,         None,         None),
            ("half a name",    true,  Some("1000"), None,         None),
            ("not a number",   true,  Some("anna"), Some("100"),  None),
            ("a mere user",    false, Some("1000"), Some("100"),  None),
        ];
        for (situation, is_root, uid, gid, want) in cases {
            assert_eq!(
                named(is_root, uid.map(OsStr::new), gid.map(OsStr::new)),
                want,
                "{situation}"
            );
        }
    }
}
