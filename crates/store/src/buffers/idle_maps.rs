//! Memory maps that no buffer uses now, kept for the next one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use memmap2::MmapMut;

#[derive(Debug, Default)]
pub(crate) struct IdleMaps(Mutex<Maps>);

#[derive(Debug, Default)]
struct Maps {
    by_bytes: BTreeMap<u64, Vec<MmapMut>>,
    bytes: u64,
}

impl IdleMaps {
    /// Returns an idle map of exactly `map_bytes`. If there is none, unmaps idle
    /// maps until at most `idle_bytes_max` bytes are idle.
    pub(crate) fn take(&self, map_bytes: u64, idle_bytes_max: u64) -> Option<MmapMut> {
        let mut maps = self.maps();
        if let Some(map) = maps.by_bytes.get_mut(&map_bytes).and_then(Vec::pop) {
            maps.bytes -= map_bytes;
            return Some(map);
        }
        while maps.bytes > idle_bytes_max && maps.unmap_largest() {}
        None
    }

    pub(crate) fn put_back(&self, map: MmapMut) {
        let map_bytes = map.len() as u64;
        let mut maps = self.maps();
        maps.bytes += map_bytes;
        maps.by_bytes.entry(map_bytes).or_default().push(map);
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.maps().bytes
    }

    fn maps(&self) -> MutexGuard<'_, Maps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maps {
    fn unmap_largest(&mut self) -> bool {
        let Some(mut entry) = self.by_bytes.last_entry() else { return false };
        let map_bytes = *entry.key();
        if entry.get_mut().pop().is_some() {
            self.bytes -= map_bytes;
        } else {
            entry.remove();
        }
        true
    }
}
