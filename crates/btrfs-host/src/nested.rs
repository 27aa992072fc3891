//! Warns of nested subvolumes, which `btrfs send` leaves out.
//!
//! A snapshot has an empty directory in their place, so they need backups of their own.

use std::ffi::OsStr;
use std::path::Path;

use s3up_core::error_chain;

use crate::tool::Btrfs;

/// Maximum number of subvolumes that the warning names.
const NAMED_MAX: usize = 5;

pub async fn warn(btrfs: &Btrfs, name: &str, path: &Path) {
    let arguments = [OsStr::new("subvolume"), OsStr::new("list"), OsStr::new("-o"), path.as_ref()];
    match btrfs.run(&arguments).await {
        Ok(text) => {
            let nested = paths(&text);
            if !nested.is_empty() {
                tracing::warn!(
                    event = "nested_subvolumes",
                    subvolume = %name,
                    count = nested.len(),
                    first = nested[..nested.len().min(NAMED_MAX)].join(", "),
                    "nested subvolumes are not part of this backup; add each to `subvolumes.paths`"
                );
            }
        }
        Err(err) => {
            tracing::warn!(
                event = "nested_check_failed",
                subvolume = %name,
                "{}",
                error_chain(&err)
            );
        }
    }
}

/// Returns the paths in lines like `ID 258 gen 9 top level 257 path data/nested`.
fn paths(listed: &str) -> Vec<&str> {
    listed.lines().filter_map(|line| Some(line.split_once(" path ")?.1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        let text = "ID 258 gen 9 top level 257 path data/nested\nID 259 gen 9 top level 257 path data/a b\n";
        assert_eq!(paths(text), ["data/nested", "data/a b"]);
        assert!(paths("").is_empty());
    }
}
