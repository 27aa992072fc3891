//! Finds nested subvolumes that are in no backup.
//!
//! `btrfs send` leaves subvolumes inside a subvolume out, and a restored tree has nothing
//! in their place. Each needs a backup of its own, unless `subvolumes.ignore_nested` says
//! that it needs none. Snapshots of this program and of common snapshot tools are copies
//! and do not count.

use std::path::PathBuf;

use btrfs_host::nested::{Nested, id_of, list};
use btrfs_host::tool::{Btrfs, ToolError};
use s3up_core::{Count, error_chain};
use s3up_repository::names::{SnapshotName, Subvolume};

use crate::forecast::is_temporary;

/// Maximum number of subvolumes that a message names.
const NAMED_MAX: usize = 5;

/// Returns the subvolumes inside `subvolume` that are in no backup, as paths from the top
/// of their filesystem. `covered` are the paths that are configured or ignored.
pub async fn not_backed_up(
    btrfs: &Btrfs,
    subvolume: &Subvolume,
    covered: &[PathBuf],
) -> Result<Vec<String>, ToolError> {
    let mut nested = list(btrfs, &subvolume.path).await?;
    nested.retain(|nested| !is_snapshot(&nested.path));
    if nested.is_empty() {
        return Ok(Vec::new());
    }
    let mut covered_ids = Vec::new();
    for path in covered.iter().filter(|path| path.is_dir()) {
        covered_ids.extend(id_of(btrfs, path).await?);
    }
    nested.retain(|Nested { id, .. }| !covered_ids.contains(id));
    Ok(nested.into_iter().map(|nested| nested.path).collect())
}

/// Warns before a backup.
pub async fn warn(btrfs: &Btrfs, subvolume: &Subvolume, covered: &[PathBuf]) {
    let name = &subvolume.name;
    match not_backed_up(btrfs, subvolume, covered).await {
        Ok(nested) if nested.is_empty() => {}
        Ok(nested) => tracing::warn!(
            event = "nested_subvolumes",
            subvolume = %name,
            count = nested.len(),
            first = named(&nested),
            "nested subvolumes are in no backup; add each to `subvolumes.paths`, or to \
             `subvolumes.ignore_nested` if it needs none"
        ),
        Err(err) => tracing::warn!(
            event = "nested_check_failed",
            subvolume = %name,
            "{}",
            error_chain(&err)
        ),
    }
}

/// Returns the problem for a monitor.
pub fn problem(nested: &[String]) -> String {
    format!("in no backup: {} ({})", Count::of(nested.len(), "nested subvolume"), named(nested))
}

fn named(nested: &[String]) -> String {
    nested[..nested.len().min(NAMED_MAX)].join(", ")
}

/// Returns true for a snapshot of this program, of snapper or of timeshift, and for the
/// subvolume in which snapper keeps them.
fn is_snapshot(path: &str) -> bool {
    let segments: Vec<_> = path.split('/').collect();
    let last = segments.last().copied().unwrap_or_default();
    let is_of_snapper = match segments[..] {
        [.., ".snapshots"] => true,
        [.., ".snapshots", number, "snapshot"] => number.parse::<u64>().is_ok(),
        _ => false,
    };
    is_of_snapper
        || segments.contains(&"timeshift-btrfs")
        || SnapshotName::parse(last).is_some()
        || is_temporary(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_do_not_count() {
        #[rustfmt::skip]
        let cases = [
            ("@/.snapshots",                              true),
            ("@/.snapshots/12/snapshot",                  true),
            ("@/.snapshots/mine/snapshot",                false),
            ("timeshift-btrfs/snapshots/2026-01-31/@",    true),
            ("@/srv/snapshots/data__20260131T235959Z__full", true),
            ("@/snapshots/.btrfs-to-s3-forecast-7-data",  true),
            ("@/var/lib/machines",                        false),
            ("data/snapshot",                             false),
            ("",                                          false),
        ];
        for (path, want) in cases {
            assert_eq!(is_snapshot(path), want, "{path}");
        }
    }

    #[test]
    fn a_monitor_sees_how_many_and_which() {
        let nested: Vec<_> = (1..=7).map(|n| format!("data/{n}")).collect();
        let want = "in no backup: 7 nested subvolumes (data/1, data/2, data/3, data/4, data/5)";
        assert_eq!(problem(&nested), want);
        assert_eq!(problem(&nested[..1]), "in no backup: 1 nested subvolume (data/1)");
    }
}
