//! How much has changed, on stdout, for people.

use btrfs_to_s3::estimate::Estimate;
use s3up_cli::table;
use s3up_core::Size;

/// For people.
pub fn to_table(all: &[Estimate]) -> String {
    let header = ["SUBVOLUME", "SINCE", "CHANGED FILES", "CHANGED", "FILES", "ALL", "UNREADABLE"];
    let rows = all.iter().map(|estimate| {
        [
            estimate.subvolume.clone(),
            estimate.since.clone(),
            estimate.changed_files.to_string(),
            Size(estimate.changed_bytes).to_string(),
            estimate.files.to_string(),
            Size(estimate.bytes).to_string(),
            estimate.unreadable.to_string(),
        ]
    });
    table(header, rows)
}
