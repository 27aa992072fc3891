//! Prints how much has changed to stdout, as a table.

use btrfs_to_s3::estimate::Estimate;
use s3up_cli::table;
use s3up_core::Size;

/// Formats a table of all subvolumes, then notes about what was not counted.
pub fn to_table(all: &[Estimate]) -> String {
    let header = ["SUBVOLUME", "CHANGED FILES", "SIZE", "ALL FILES", "SIZE"];
    let rows = all.iter().map(|estimate| {
        [
            estimate.subvolume.clone(),
            estimate.changed_files.to_string(),
            Size(estimate.changed_bytes).to_string(),
            estimate.files.to_string(),
            Size(estimate.bytes).to_string(),
        ]
    });
    let mut text = table(header, rows);
    text.push_str(&all.iter().map(notes).collect::<String>());
    if let Some(Estimate { since, .. }) = all.first() {
        text.push_str(&format!("\nChanged files are those whose ctime is {since} or later.\n"));
    }
    text
}

fn notes(estimate: &Estimate) -> String {
    let Estimate { subvolume, not_entered, unreadable, .. } = estimate;
    let mut text = String::new();
    if *not_entered > 0 {
        text.push_str(&format!(
            "{subvolume}: nested subvolumes and mounts that are not counted: {not_entered}\n"
        ));
    }
    if *unreadable > 0 {
        text.push_str(&format!("{subvolume}: entries that cannot be read: {unreadable}\n"));
    }
    text
}
