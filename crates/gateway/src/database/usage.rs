//! The bytes that each client has stored, for its quota.
//!
//! The database has the totals of all gateways. What this gateway has stored and not written yet,
//! and what its uploads in progress may still store, is added here. So of two gateways on one
//! database each may miss what the other stored within the last seconds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use s3up_core::ClientName;

/// Time for which a total of the database is used again.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// The usage of all clients with a quota. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage(Arc<Mutex<HashMap<ClientName, ClientUsage>>>);

/// The usage of one client, in bytes.
#[derive(Debug, Default)]
struct ClientUsage {
    /// The total of the database, and the time at which it was read.
    total: Option<(i64, Duration)>,
    /// The change of the total by records that are not written yet.
    unwritten: i64,
    reserved: u64,
}

/// Bytes of the quota that an upload in progress may use, until it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    usage: Usage,
    client: ClientName,
    bytes: u64,
}

impl Usage {
    /// Returns true if the total of a client has to be read.
    pub(super) fn is_stale(&self, client: &ClientName, now: Duration) -> bool {
        let known = self.lock().get(client).and_then(|usage| usage.total);
        known.is_none_or(|(_, read_at)| now.saturating_sub(read_at) >= FRESH_FOR)
    }

    /// Sets the total that the database has at `now`.
    pub(super) fn set_total(&self, client: &ClientName, bytes: i64, now: Duration) {
        self.lock().entry(client.clone()).or_default().total = Some((bytes, now));
    }

    /// Sets the totals that the database has after a batch, which `changes` are a part of now.
    pub(super) fn committed(
        &self,
        totals: Vec<(ClientName, i64)>,
        changes: &BTreeMap<ClientName, i64>,
        now: Duration,
    ) {
        // At once: a request may not see a change in both numbers.
        let mut clients = self.lock();
        for (client, bytes) in totals {
            clients.entry(client).or_default().total = Some((bytes, now));
        }
        for (client, change) in changes {
            clients.entry(client.clone()).or_default().unwritten -= change;
        }
    }

    /// Adds the change of the total by a record that was handed to the writer.
    pub(super) fn add_unwritten(&self, client: &ClientName, change: i64) {
        self.lock().entry(client.clone()).or_default().unwritten += change;
    }

    /// Returns the bytes that a client may still store, or `None` if its total is not known.
    pub(crate) fn left(&self, client: &ClientName, quota_bytes: u64) -> Option<u64> {
        self.lock().get(client).and_then(|usage| usage.left(quota_bytes))
    }

    /// Reserves bytes, or returns those that are left. If the total is not known, nothing is
    /// refused.
    pub(crate) fn reserve(
        &self,
        client: &ClientName,
        quota_bytes: u64,
        bytes: u64,
    ) -> Result<Reservation, u64> {
        let mut clients = self.lock();
        let usage = clients.entry(client.clone()).or_default();
        if let Some(left) = usage.left(quota_bytes).filter(|left| bytes > *left) {
            return Err(left);
        }
        usage.reserved += bytes;
        Ok(Reservation { usage: self.clone(), client: client.clone(), bytes })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientName, ClientUsage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientUsage {
    fn left(&self, quota_bytes: u64) -> Option<u64> {
        let (total, _) = self.total?;
        let used = total.saturating_add(self.unwritten);
        let used = u64::try_from(used).unwrap_or(0).saturating_add(self.reserved);
        Some(quota_bytes.saturating_sub(used))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(usage) = self.usage.lock().get_mut(&self.client) {
            usage.reserved = usage.reserved.saturating_sub(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_counts_what_is_stored_unwritten_and_reserved() {
        let (usage, web) = (Usage::default(), ClientName::parse("web").unwrap());
        let second = Duration::from_secs(1);
        assert!(usage.reserve(&web, 1, 100).is_ok(), "the total is not known yet");
        assert!(usage.is_stale(&web, second));

        usage.set_total(&web, 40, second);
        let held = usage.reserve(&web, 100, 50).unwrap();
        usage.add_unwritten(&web, 7);

        assert!(!usage.is_stale(&web, 2 * second) && usage.is_stale(&web, 3 * second));
        assert_eq!(usage.left(&web, 100), Some(3));
        assert_eq!(usage.reserve(&web, 100, 4).err(), Some(3));
        drop(held);
        assert_eq!(usage.left(&web, 100), Some(53));
        usage.committed(vec![(web.clone(), 47)], &[(web.clone(), 7)].into(), second);
        assert_eq!(usage.left(&web, 100), Some(53), "the same after it is written");
        usage.add_unwritten(&web, -90);
        assert_eq!(usage.left(&web, 100), Some(100));
        assert_eq!(usage.left(&web, 10), Some(10), "a lower quota after a reload");
    }
}
