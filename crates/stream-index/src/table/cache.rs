//! The decoded blocks of an index that are kept in memory, and the scans that continue each other.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::block::Block;

/// Number of decoded blocks of one index that are kept, of some 200 KiB each.
const BLOCKS_MAX: usize = 32;
/// Maximum length of these blocks in memory. A longer block is kept alone.
const BYTES_MAX: usize = 16 << 20;
/// Number of decoded blocks of all indexes of a chain that are kept, however long it is.
const CHAIN_BLOCKS_MAX: usize = 640;
/// Maximum length of these blocks in memory.
const CHAIN_BYTES_MAX: usize = 128 << 20;
/// Number of blocks that are kept of an index of the longest chains: a scan begins where the one before
/// it ended, and a lookup is in another place.
const BLOCKS_MIN: usize = 2;
/// Length of that number of blocks.
const BYTES_MIN: usize = 512 << 10;
/// Number of runs of scans that are followed.
const RUNS_MAX: usize = 4;

/// Limits of the blocks of one index that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    blocks: usize,
    /// Length in memory.
    bytes: usize,
}

impl CacheLimits {
    /// Returns the limits of an index that is read alone.
    pub fn of_one() -> CacheLimits {
        CacheLimits::of_chain(1)
    }

    /// Returns the limits of each index of a chain with this number of backups. Together they do not
    /// depend on it, up to 256 backups.
    pub fn of_chain(backups: usize) -> CacheLimits {
        CacheLimits {
            blocks: (CHAIN_BLOCKS_MAX / backups.max(1)).clamp(BLOCKS_MIN, BLOCKS_MAX),
            bytes: (CHAIN_BYTES_MAX / backups.max(1)).clamp(BYTES_MIN, BYTES_MAX),
        }
    }

    /// Returns the limits of an index of which single records are looked up.
    pub fn of_lookups() -> CacheLimits {
        CacheLimits { blocks: BLOCKS_MIN, bytes: BYTES_MIN }
    }
}

pub(super) struct BlockCache {
    limits: CacheLimits,
    blocks: HashMap<usize, Arc<Block>>,
    order: VecDeque<usize>,
    /// Length of the blocks in memory.
    bytes: usize,
    /// Ends of the last reads of scans, and the number of blocks that each has read.
    runs: VecDeque<(usize, usize)>,
}

impl BlockCache {
    pub(super) fn new(limits: CacheLimits) -> BlockCache {
        let (blocks, order, runs) = (HashMap::new(), VecDeque::new(), VecDeque::new());
        BlockCache { limits, blocks, order, bytes: 0, runs }
    }

    pub(super) fn get(&self, n: usize) -> Option<Arc<Block>> {
        self.blocks.get(&n).cloned()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of blocks that are read at once by scans that continue each other, such as
    /// the pages of a directory. They are kept, since the next scan begins with them.
    pub(super) fn kept_ahead_max(&self) -> usize {
        self.limits.blocks / 2
    }

    pub(super) fn add(&mut self, n: usize, block: &Arc<Block>) {
        self.bytes += block.memory_bytes();
        while self.order.len() == self.limits.blocks || self.bytes > self.limits.bytes {
            let Some(oldest) = self.order.pop_front() else { break };
            let removed = self.blocks.remove(&oldest);
            self.bytes -= removed.map_or(0, |block| block.memory_bytes());
        }
        match self.blocks.insert(n, Arc::clone(block)) {
            None => self.order.push_back(n),
            // Another thread has read it, too.
            Some(same) => self.bytes -= same.memory_bytes(),
        }
    }

    /// Returns how many blocks a scan reads from number `n` on, if it continues an earlier one.
    pub(super) fn ahead(&mut self, n: usize) -> usize {
        let run = self.runs.iter().position(|(next, _)| *next == n);
        let read = run.and_then(|run| self.runs.remove(run));
        read.map_or(1, |(_, count)| (count * 2).min(self.kept_ahead_max()))
    }

    pub(super) fn note_read(&mut self, next: usize, count: usize) {
        if self.runs.len() == RUNS_MAX {
            self.runs.pop_front();
        }
        self.runs.push_back((next, count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indexes_of_a_chain_keep_no_more_than_those_of_a_short_one() {
        #[rustfmt::skip]
        let cases = [
            (1,   32, 16 << 20),
            (8,   32, 16 << 20),
            (20,  32, (128 << 20) / 20),
            (64,  10, 2 << 20),
            (256, 2,  512 << 10),
            (365, 2,  512 << 10),
        ];
        for (backups, blocks, bytes) in cases {
            let limits = CacheLimits::of_chain(backups);
            assert_eq!(limits, CacheLimits { blocks, bytes }, "{backups}");
            assert!(backups > 256 || backups * limits.bytes <= CHAIN_BYTES_MAX);
        }
    }
}
