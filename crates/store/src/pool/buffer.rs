//! A part buffer: a map that is lent, and comes back when it is dropped.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use memmap2::MmapMut;
use tokio::sync::OwnedSemaphorePermit;

use super::Inner;

/// Memory for one part: filled once, then read by hasher and sender, and given
/// back to its pool when the last of them lets go.
#[derive(Debug)]
pub struct Buffer {
    pub(super) map: Option<MmapMut>,
    pub(super) len: usize,
    filled: usize,
    home: Arc<Inner>,
    // After the map: it is idle before its permits are free, so a waiter finds it.
    _permit: OwnedSemaphorePermit,
    _shared: Option<OwnedSemaphorePermit>,
}

impl Buffer {
    pub(super) fn new(
        map: MmapMut,
        len: usize,
        home: Arc<Inner>,
        permit: OwnedSemaphorePermit,
        shared: Option<OwnedSemaphorePermit>,
    ) -> Buffer {
        Buffer { map: Some(map), len, filled: 0, home, _permit: permit, _shared: shared }
    }

    pub fn filled_len(&self) -> usize {
        self.filled
    }

    pub fn is_full(&self) -> bool {
        self.filled == self.len
    }

    /// What is not filled yet.
    pub fn unfilled(&mut self) -> &mut [u8] {
        let range = self.filled..self.len;
        &mut self.map_mut()[range]
    }

    /// Says that `count` bytes of [`Buffer::unfilled`] were written.
    pub fn advance(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.len);
    }

    /// Copies as much of `bytes` as fits, and says how much that was.
    pub fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let unfilled = self.unfilled();
        let count = unfilled.len().min(bytes.len());
        unfilled[..count].copy_from_slice(&bytes[..count]);
        self.advance(count);
        count
    }

    /// Forgets what was filled in.
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
        // The map is idle before its permit is free, so a waiter finds it.
        if let Some(map) = self.map.take() {
            let class = map.len() as u64;
            let mut idle = self.home.idle();
            idle.bytes += class;
            idle.maps.entry(class).or_default().push(map);
        }
    }
}
