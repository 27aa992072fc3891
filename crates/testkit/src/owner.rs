//! The owner of temporary files.
//!
//! Tests that run under sudo create them as root. After a crash, the user who ran
//! the command could not even list them. So they are given to the user who called
//! sudo.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::lchown;
use std::path::Path;

use tempfile::TempDir;

/// Prefix of the names of all temporary directories of the tests.
const PREFIX: &str = "s3up-test-";

/// Creates a temporary directory that the user who called sudo can remove.
pub fn temp_dir() -> TempDir {
    temp_dir_named(PREFIX)
}

pub(crate) fn temp_dir_named(prefix: &str) -> TempDir {
    let dir = tempfile::Builder::new().prefix(prefix).tempdir().expect("a temporary directory");
    give_to_sudo_caller(dir.path());
    dir
}

/// Gives one file or directory to the user who called sudo, if one did.
pub(crate) fn give_to_sudo_caller(path: &Path) {
    if let Some((uid, gid)) = sudo_caller() {
        lchown(path, Some(uid), Some(gid)).expect("root may give a file away");
    }
}

/// Returns user and group of the caller of sudo, if there is one.
pub(crate) fn sudo_caller() -> Option<(u32, u32)> {
    let is_root = rustix::process::geteuid().is_root();
    let id = |name| env::var_os(name);
    owner_from_ids(is_root, id("SUDO_UID").as_deref(), id("SUDO_GID").as_deref())
}

fn owner_from_ids(is_root: bool, uid: Option<&OsStr>, gid: Option<&OsStr>) -> Option<(u32, u32)> {
    let number = |id: Option<&OsStr>| id?.to_str()?.parse().ok();
    is_root.then_some((number(uid)?, number(gid)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_the_caller_of_sudo() {
        #[rustfmt::skip]
        let cases = [
            // situation       root   uid           gid           owner
            ("sudo",           true,  Some("1000"), Some("100"),  Some((1000, 100))),
            ("root's shell",   true,  None,         None,         None),
            ("half a name",    true,  Some("1000"), None,         None),
            ("not a number",   true,  Some("anna"), Some("100"),  None),
            ("not root",       false, Some("1000"), Some("100"),  None),
        ];
        for (situation, is_root, uid, gid, want) in cases {
            assert_eq!(
                owner_from_ids(is_root, uid.map(OsStr::new), gid.map(OsStr::new)),
                want,
                "{situation}"
            );
        }
    }
}
