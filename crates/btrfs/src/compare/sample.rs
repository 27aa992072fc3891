//! Picks the files of a sample: those whose paths have the smallest hashes. Pure.
//!
//! This spreads the sample evenly over a tree of any shape, and the same tree always has the same
//! sample.

use std::collections::BinaryHeap;
use std::path::Path;

use s3up_core::Sha256Digest;

/// The files whose content is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    All,
    /// The files whose hash is at most this.
    UpTo(u64),
}

pub struct Sample {
    max: u64,
    /// The smallest hashes so far, the greatest of them on top.
    least: BinaryHeap<u64>,
    files: u64,
}

impl Sample {
    /// `max` is at least 1.
    pub fn new(max: u64) -> Sample {
        Sample { max, least: BinaryHeap::new(), files: 0 }
    }

    pub fn add(&mut self, path: &Path) {
        self.files += 1;
        self.least.push(hash(path));
        if self.least.len() as u64 > self.max {
            self.least.pop();
        }
    }

    /// Returns the number of files that are picked.
    pub fn count(&self) -> u64 {
        self.least.len() as u64
    }

    pub fn pick(self) -> Pick {
        match self.least.peek() {
            Some(greatest) if self.files > self.max => Pick::UpTo(*greatest),
            Some(_) | None => Pick::All,
        }
    }
}

impl Pick {
    pub fn takes(self, path: &Path) -> bool {
        match self {
            Pick::All => true,
            Pick::UpTo(limit) => hash(path) <= limit,
        }
    }
}

fn hash(path: &Path) -> u64 {
    let digest = Sha256Digest::of(path.as_os_str().as_encoded_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest.0[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_the_requested_size_is_stable_and_spread() {
        let paths: Vec<_> = (0..1000).map(|n| format!("{}/{n}", n / 100)).collect();
        let taken = |max| {
            let mut sample = Sample::new(max);
            paths.iter().for_each(|path| sample.add(Path::new(path)));
            let pick = sample.pick();
            paths.iter().filter(|path| pick.takes(Path::new(path))).collect::<Vec<_>>()
        };
        assert_eq!(taken(100).len(), 100);
        assert_eq!(taken(100), taken(100));
        for directory in 0..10 {
            let of_dir =
                taken(100).iter().filter(|path| path.starts_with(&format!("{directory}/"))).count();
            assert!((2..=25).contains(&of_dir), "{directory}: {of_dir}");
        }
        assert_eq!(taken(1000).len(), 1000);
        assert_eq!(taken(5000).len(), 1000);
        assert_eq!(Sample::new(1).pick(), Pick::All, "an empty tree");
    }
}
