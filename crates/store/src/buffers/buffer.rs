//! A part buffer. Its memory returns to the pool when it is dropped.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use memmap2::MmapMut;
use tokio::sync::OwnedSemaphorePermit;

use crate::buffers::idle_maps::IdleMaps;
use crate::buffers::units::HeldUnits;

/// Memory for one part: filled once, then read by the hasher and the sender, and
/// returned to its pool when both have dropped it.
#[derive(Debug)]
pub struct Buffer {
    map: Option<MmapMut>,
    len: usize,
    filled: usize,
    idle: Arc<IdleMaps>,
    // Dropped after `drop` has returned the map, so that a waiter finds it.
    _held: HeldUnits,
    _shared: Option<OwnedSemaphorePermit>,
}

impl Buffer {
    pub(crate) fn new(
        map: MmapMut,
        len: usize,
        idle: Arc<IdleMaps>,
        held: HeldUnits,
        shared: Option<OwnedSemaphorePermit>,
    ) -> Buffer {
        Buffer { map: Some(map), len, filled: 0, idle, _held: held, _shared: shared }
    }

    pub fn filled_len(&self) -> usize {
        self.filled
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.len
    }

    pub fn is_full(&self) -> bool {
        self.filled == self.len
    }

    /// Returns the part of the buffer that is not filled yet.
    pub fn unfilled(&mut self) -> &mut [u8] {
        let range = self.filled..self.len;
        &mut self.map_mut()[range]
    }

    /// Marks `count` bytes of [`Buffer::unfilled`] as filled.
    pub fn advance(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.len);
    }

    /// Copies as much of `bytes` as fits, and returns how much that was.
    pub fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let unfilled = self.unfilled();
        let count = unfilled.len().min(bytes.len());
        unfilled[..count].copy_from_slice(&bytes[..count]);
        self.advance(count);
        count
    }

    /// Marks the whole buffer as not filled.
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    pub fn into_bytes(self) -> bytes::Bytes {
        bytes::Bytes::from_owner(self)
    }

    fn map_mut(&mut self) -> &mut MmapMut {
        self.map.as_mut().expect("a buffer has its map until it is dropped")
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        let map = self.map.as_ref().expect("a buffer has its map until it is dropped");
        &map[..self.filled]
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_ref()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let filled = self.filled;
        &mut self.map_mut()[..filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Before the units are released, so that a waiter finds the map.
        if let Some(map) = self.map.take() {
            self.idle.put_back(map);
        }
    }
}
