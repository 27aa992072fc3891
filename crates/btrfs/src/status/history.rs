//! Lists the backups of one subvolume from their manifests in the bucket.

use std::time::Duration;

use s3up_core::{Key, Throughput, error_chain};
use s3up_repository::chain::Chain;
use s3up_repository::documents::{Bucket, ReadChainError};
use s3up_repository::layout::Layout;
use s3up_repository::manifest::Manifest;
use s3up_repository::names::{Kind, SubvolumeName};
use s3up_repository::published::Published;
use s3up_repository::stamp::{Stamp, stamp_of};
use s3up_store::StoreError;

/// One manifest.
#[derive(Debug)]
pub struct Entry {
    pub key: Key,
    pub kind: Kind,
    pub created_at: Stamp,
    pub publication: Publication,
    /// The manifest, or why it cannot be read.
    pub manifest: Result<Manifest, String>,
}

/// Relation of a backup to the published chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// Part of the chain that the pointer leads to.
    Current,
    /// Older than the newest published backup, and not in its chain.
    Earlier,
    /// Newer than the published chain: its run was killed or is still running.
    Unpublished,
    /// The published chain cannot be read.
    Unknown,
}

/// Returns the newest `count` backups, newest first.
pub async fn history(
    bucket: &Bucket,
    layout: &Layout,
    subvolume: &SubvolumeName,
    published: &Published,
    count: usize,
) -> Result<Vec<Entry>, StoreError> {
    let mut found = Vec::new();
    for kind in [Kind::Full, Kind::Incremental] {
        let prefix = layout.manifests(subvolume, kind);
        let mut listing = bucket.store.list(&prefix, bucket.retry_for);
        while let Some(page) = listing.next_page().await? {
            let stamps = page.iter().filter_map(|listed| stamp_of(&prefix, &listed.key));
            found.extend(stamps.map(|(stamp, key)| (stamp, kind, key)));
            // Names are short, and backups beyond the newest `count` are not needed.
            found.sort_unstable_by(|one, other| other.cmp(one));
            found.truncate(count);
        }
    }
    let mut entries = Vec::new();
    for (created_at, kind, key) in found {
        let manifest = match bucket.entry(key.clone()).await {
            Ok(entry) => Ok(entry.manifest),
            Err(ReadChainError::Store(err)) => return Err(err),
            Err(ReadChainError::Chain(err)) => Err(error_chain(&err)),
        };
        let publication = publication(published, &key, created_at);
        entries.push(Entry { key, kind, created_at, publication, manifest });
    }
    Ok(entries)
}

fn publication(published: &Published, key: &Key, created_at: Stamp) -> Publication {
    let chain: &Chain = match published {
        Published::Chain(chain) => chain,
        Published::Nothing => return Publication::Unpublished,
        Published::ManifestMissing { .. } | Published::Broken { .. } => {
            return Publication::Unknown;
        }
    };
    if chain.entries().iter().any(|entry| entry.key == *key) {
        Publication::Current
    } else if created_at > chain.newest().manifest.created_at {
        Publication::Unpublished
    } else {
        Publication::Earlier
    }
}

impl Publication {
    pub fn word(self) -> &'static str {
        match self {
            Publication::Current => "current",
            Publication::Earlier => "earlier",
            Publication::Unpublished => "unpublished",
            Publication::Unknown => "unknown",
        }
    }
}

/// Returns the rate of a backup, if its manifest says how long it took.
pub fn throughput(manifest: &Manifest) -> Option<Throughput> {
    let elapsed = Duration::try_from_secs_f64(manifest.elapsed_seconds?).ok()?;
    Some(Throughput { bytes: manifest.total_bytes, elapsed })
}

#[cfg(test)]
mod tests {
    use s3up_repository::chain::{Next, Partial};
    use s3up_repository::testing::entry;

    use super::*;

    #[test]
    fn a_backup_is_current_earlier_or_unpublished() {
        let key = |text| Key::parse(text).unwrap();
        let stamp = |text| Stamp::parse(text).unwrap();
        let chain = || match Partial::default().with(entry(0, None)) {
            Ok((_, Next::Whole(chain))) => Published::Chain(chain),
            other => panic!("{other:?}"),
        };
        let broken = || Published::Broken { reason: "gone".to_owned() };
        #[rustfmt::skip]
        let cases = [
            (chain(),            "m0", "20010909T014640Z", Publication::Current),
            (chain(),            "m9", "20010909T014639Z", Publication::Earlier),
            (chain(),            "m9", "20010909T014641Z", Publication::Unpublished),
            (Published::Nothing, "m0", "20010909T014640Z", Publication::Unpublished),
            (broken(),           "m0", "20010909T014640Z", Publication::Unknown),
        ];
        for (published, name, at, want) in cases {
            assert_eq!(publication(&published, &key(name), stamp(at)), want, "{name} {at}");
        }
    }
}
