//! Finds the prefixes in a bucket below which there are backups, for a person who gave
//! another one.

use std::collections::BTreeSet;

use s3up_store::StoreError;

use crate::documents::Bucket;

/// Every repository has this directory, and one object of this name for each subvolume.
const SUBVOLUMES: &str = "subvol/";
const POINTER: &str = "/current.json";
/// Each page is a request, and has 1,000 keys at most.
const PAGES_MAX: usize = 100;
/// A person reads no more.
const PREFIXES_MAX: usize = 20;

/// The prefixes that were found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    pub found: BTreeSet<String>,
    /// True if the whole bucket was listed.
    pub is_complete: bool,
}

/// Lists the bucket, up to a limit.
pub async fn prefixes(bucket: &Bucket) -> Result<Prefixes, StoreError> {
    let mut prefixes = Prefixes::default();
    let mut listing = bucket.store.list("", bucket.retry_for);
    for _ in 0..PAGES_MAX {
        let Some(page) = listing.next_page().await? else {
            prefixes.is_complete = true;
            return Ok(prefixes);
        };
        let found = page.iter().filter_map(|listed| prefix_of(&listed.key));
        prefixes.found.extend(found.map(str::to_owned));
        if prefixes.found.len() >= PREFIXES_MAX {
            return Ok(prefixes);
        }
    }
    Ok(prefixes)
}

/// Returns the prefix of the repository whose pointer this key is.
fn prefix_of(key: &str) -> Option<&str> {
    let (prefix, name) = key.strip_suffix(POINTER)?.rsplit_once(SUBVOLUMES)?;
    let is_prefix = prefix.is_empty() || prefix.ends_with('/');
    (is_prefix && !name.is_empty() && !name.contains('/')).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_read_from_the_key_of_a_pointer() {
        #[rustfmt::skip]
        let cases = [
            ("nas/subvol/data/current.json",        Some("nas/")),
            ("subvol/data/current.json",            Some("")),
            ("a/subvol/b/subvol/c/current.json",    Some("a/subvol/b/")),
            ("nas/subvol/data/full/manifest-1.json", None),
            ("nas/subvol/current.json",             None),
            ("nas/xsubvol/data/current.json",       None),
            ("nas/subvol/a/b/current.json",         None),
        ];
        for (key, want) in cases {
            assert_eq!(prefix_of(key), want, "{key}");
        }
    }
}
