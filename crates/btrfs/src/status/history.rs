//! Lists the newest backups of one subvolume from its catalogue. Pure.

use std::time::Duration;

use s3up_core::Throughput;
use s3up_repository::catalogue::{Catalogue, Publication};
use s3up_repository::manifest::Manifest;

/// One backup: its index in the catalogue, and how it relates to the published chain.
#[derive(Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    pub n: usize,
    pub publication: Publication,
}

/// Returns the newest `count` backups, newest first.
pub fn history(catalogue: &Catalogue, count: usize) -> Vec<HistoryEntry> {
    let publications = catalogue.publications().into_iter().enumerate();
    let entries = publications.map(|(n, publication)| HistoryEntry { n, publication });
    let mut entries: Vec<_> = entries.collect();
    entries
        .sort_by_key(|entry| std::cmp::Reverse((catalogue.backups[entry.n].listed.stamp, entry.n)));
    entries.truncate(count);
    entries
}

/// Returns the rate of a backup, if its manifest says how long it took.
pub fn throughput(manifest: &Manifest) -> Option<Throughput> {
    let elapsed = Duration::try_from_secs_f64(manifest.elapsed_seconds?).ok()?;
    Some(Throughput { bytes: manifest.total_bytes, elapsed })
}
