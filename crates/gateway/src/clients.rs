//! Clients: their keys, and what each of them may do.
//!
//! Only the SHA-256 of a key is kept. Keys are long and random, so a slow hash
//! would add no protection. A presented key is compared with every known one in
//! constant time, and an unknown key takes the same steps.
//!
//! A reload replaces all clients at once. The [`Resources`] of a client stay, so that its limits
//! also count the requests that began before.

mod admin_keys;
mod policy;
mod request_rate;
mod resources;
mod slots;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use s3up_core::{ClientName, Code, Count, Sha256Digest};
use s3up_store::Share;
use subtle::ConstantTimeEq;
use tokio::sync::SemaphorePermit;

pub use self::admin_keys::AdminKeys;
pub use self::policy::{ClientPolicy, OverwritePolicy, Right};
use self::resources::REQUESTS_MAX;
pub(crate) use self::resources::Resources;
pub(crate) use self::slots::Slot;
use crate::refusal::Refusal;

/// A client as one of its requests sees it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub policy: Arc<ClientPolicy>,
    pub key_rights: KeyRights,
    /// SHA-256 of the key of the request.
    pub key: Sha256Digest,
    pub resources: Arc<Resources>,
}

impl Client {
    /// Refuses the request if the client lacks `right`.
    pub(crate) fn require(&self, right: Right) -> Result<(), Refusal> {
        self.policy.require(right)
    }

    /// Takes one of the upload slots of the client. It waits for one for a short time.
    pub(crate) async fn upload_slot(&self) -> Result<Slot, Refusal> {
        let limit = self.policy.uploads_max;
        self.resources.upload_slot(limit).await.ok_or_else(|| {
            let what = format!(
                "this client has {} in progress, the limit of `max_concurrent_uploads`; try again later",
                Count::of(limit, "upload")
            );
            Refusal::new(Code::RateLimited, what)
        })
    }

    /// Takes one of the request slots of the client, which a request that is no upload keeps until its response
    /// begins. It waits for one for a short time.
    pub(crate) async fn request_slot(&self) -> Result<Slot, Refusal> {
        self.resources.request_slot().await.ok_or_else(|| {
            let found = Count::of(REQUESTS_MAX, "request");
            let what = format!(
                "this client has {found} in progress, the limit of a client; try again later"
            );
            Refusal::new(Code::RateLimited, what)
        })
    }

    /// Waits until the client may ask S3 about one more of the files that its requests name. One request names up to a
    /// thousand.
    pub(crate) async fn file_query_permit(&self) -> SemaphorePermit<'_> {
        self.resources.file_queries.acquire().await.expect("the semaphore is never closed")
    }

    /// Returns the permit to record a report of the client, or refuses at once.
    pub(crate) fn report_permit(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.resources.report.try_acquire().map_err(|_| {
            let what = "another report of this client is being recorded; send this one again later";
            Refusal::new(Code::RateLimited, what)
        })
    }

    /// Refuses facts about a host that come with a key which only reads files.
    pub(crate) fn require_own_key(&self) -> Result<(), Refusal> {
        match self.key_rights {
            KeyRights::OfClient => Ok(()),
            KeyRights::Restore => {
                let what =
                    "expected a key of the client, found a restore key, which only reads files";
                Err(Refusal::new(Code::Forbidden, what))
            }
        }
    }

    /// Refuses the request if the client made too many within the last second.
    pub(crate) fn count_request(&self) -> Result<(), Refusal> {
        let Some(limit) = self.policy.requests_per_second_max else { return Ok(()) };
        self.resources.count_request(limit).map_err(|wait| {
            let what = format!(
                "expected at most {limit} requests per second of this client \
                 (`max_requests_per_second`), found more; try again later"
            );
            Refusal::new(Code::RateLimited, what).retry_after(wait)
        })
    }

    /// Waits until the client may make one more request, and counts it.
    pub(crate) async fn wait_for_request(&self) {
        let Some(limit) = self.policy.requests_per_second_max else { return };
        while let Err(wait) = self.resources.count_request(limit) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Returns the part of the buffer budget that this client may hold.
    pub(crate) fn buffer_share(&self) -> Share {
        self.resources.buffer_share.clone()
    }
}

/// All clients, by the digests of their keys.
#[derive(Clone)]
pub struct Clients {
    clients: Vec<(Arc<ClientPolicy>, Arc<Resources>)>,
    keys: Vec<(Sha256Digest, KeyOwner)>,
}

/// The client to which a key belongs, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyOwner {
    pub client: usize,
    pub rights: KeyRights,
}

/// The rights of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyRights {
    /// Those of its client (`allow`).
    OfClient,
    /// All that read. Such a key restores the files of a client that may only upload.
    Restore,
}

impl KeyRights {
    const RESTORE: [Right; 3] = [Right::Exists, Right::Download, Right::List];

    fn apply_to(self, policy: &Arc<ClientPolicy>) -> Arc<ClientPolicy> {
        match self {
            KeyRights::OfClient => policy.clone(),
            KeyRights::Restore => {
                Arc::new(ClientPolicy { rights: KeyRights::RESTORE.to_vec(), ..(**policy).clone() })
            }
        }
    }
}

impl Clients {
    /// Gives each client a share of the buffer budget of up to `share_bytes`.
    pub(crate) fn new(
        policies: Vec<ClientPolicy>,
        by_key: BTreeMap<Sha256Digest, KeyOwner>,
        share_bytes: u64,
    ) -> Clients {
        let client = |policy| (Arc::new(policy), Arc::new(Resources::new(share_bytes)));
        Clients {
            clients: policies.into_iter().map(client).collect(),
            keys: by_key.into_iter().collect(),
        }
    }

    pub fn policies(&self) -> impl Iterator<Item = &ClientPolicy> {
        self.clients.iter().map(|(policy, _)| &**policy)
    }

    /// Returns the name of the client of each key, with the digest of the key.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&ClientName, Sha256Digest, KeyRights)> {
        self.keys.iter().filter_map(|(key, owner)| {
            Some((&self.clients.get(owner.client)?.0.name, *key, owner.rights))
        })
    }

    /// Returns the part of the buffer budget that a client may hold.
    pub(crate) fn buffer_share_of(&self, name: &ClientName) -> Option<Share> {
        let mut known = self.clients.iter().filter(|(policy, _)| policy.name == *name);
        known.next().map(|(_, resources)| resources.buffer_share.clone())
    }

    /// Returns the client to which this key belongs.
    pub(crate) fn find(&self, api_key: &str) -> Option<Client> {
        let presented = Sha256Digest::of(api_key.as_bytes());
        let mut found = None;
        for (known, owner) in &self.keys {
            if bool::from(known.0.ct_eq(&presented.0)) {
                found = Some(owner);
            }
        }
        let owner = found?;
        let (policy, resources) = self.clients.get(owner.client)?;
        let (policy, key_rights) = (owner.rights.apply_to(policy), owner.rights);
        Some(Client { policy, key_rights, key: presented, resources: resources.clone() })
    }

    /// Refuses to complete an upload whose key was removed since it began, or whose client may not
    /// upload any more.
    pub(crate) fn check_commit(&self, client: &Client) -> Result<(), Refusal> {
        let mut known = self.keys.iter().filter(|(key, _)| *key == client.key);
        let owner = known.next().and_then(|(_, owner)| {
            let (policy, _) = self.clients.get(owner.client)?;
            Some(owner.rights.apply_to(policy))
        });
        match owner.filter(|policy| policy.name == client.policy.name) {
            Some(policy) => policy.require(Right::Upload),
            None => {
                let what = "this client key was removed while the upload was in progress; nothing \
                            was stored";
                Err(Refusal::new(Code::Unauthorized, what))
            }
        }
    }

    /// Takes over the resources of those clients that `earlier` has too.
    pub(crate) fn with_resources_of(mut self, earlier: &Clients) -> Clients {
        for (policy, resources) in &mut self.clients {
            let same = earlier.clients.iter().find(|(other, _)| other.name == policy.name);
            if let Some((_, same)) = same {
                *resources = same.clone();
            }
        }
        self
    }

    /// Returns what differs from `earlier`.
    pub(crate) fn changes_since(&self, earlier: &Clients) -> ClientChanges {
        let names = |clients: &Clients| -> BTreeSet<ClientName> {
            clients.policies().map(|policy| policy.name.clone()).collect()
        };
        let keys = |clients: &Clients| -> BTreeSet<Sha256Digest> {
            clients.keys().map(|(_, key, _)| key).collect()
        };
        let (names_now, names_before) = (names(self), names(earlier));
        let (keys_now, keys_before) = (keys(self), keys(earlier));
        let changed = self.policies().filter(|policy| {
            let before = earlier.policies().find(|other| other.name == policy.name);
            before.is_some_and(|before| before != *policy)
        });
        ClientChanges {
            added: names_now.difference(&names_before).cloned().collect(),
            removed: names_before.difference(&names_now).cloned().collect(),
            changed: changed.map(|policy| policy.name.clone()).collect(),
            keys_added: keys_now.difference(&keys_before).count(),
            keys_removed: keys_before.difference(&keys_now).count(),
        }
    }
}

/// The differences between two lists of clients.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientChanges {
    pub added: Vec<ClientName>,
    pub removed: Vec<ClientName>,
    /// Clients with other rights or limits.
    pub changed: Vec<ClientName>,
    pub keys_added: usize,
    pub keys_removed: usize,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.policies()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reload_keeps_the_resources_and_tells_what_changed() {
        let before = clients(&[("a", 1, "a1"), ("b", 1, "b1"), ("c", 1, "c1")]);
        let slot = before.find("a1").unwrap().upload_slot().await.unwrap();

        let after = clients(&[("a", 1, "a2"), ("b", 2, "b1"), ("d", 1, "d1")]);
        let changes = after.changes_since(&before);
        let after = after.with_resources_of(&before);

        let names = |texts: &[&str]| -> Vec<_> {
            texts.iter().map(|text| ClientName::parse(text).unwrap()).collect()
        };
        let want = ClientChanges {
            added: names(&["d"]),
            removed: names(&["c"]),
            changed: names(&["b"]),
            keys_added: 2,
            keys_removed: 2,
        };
        assert_eq!(changes, want);
        let code = async || {
            let slot = after.find("a2").unwrap().upload_slot().await;
            slot.err().map(|refusal| refusal.code)
        };
        assert_eq!(code().await, Some(Code::RateLimited));
        drop(slot);
        assert_eq!(code().await, None);
    }

    #[test]
    fn a_restore_key_reads_what_its_client_may_only_upload() {
        let digest = |key: &str| Sha256Digest::of(key.as_bytes());
        let owner = |rights| KeyOwner { client: 0, rights };
        let by_key = [
            (digest("client"), owner(KeyRights::OfClient)),
            (digest("restore"), owner(KeyRights::Restore)),
        ];
        let clients = Clients::new(vec![policy("a", 1)], by_key.into(), 1 << 20);
        let (client, restorer) =
            (clients.find("client").unwrap(), clients.find("restore").unwrap());
        #[rustfmt::skip]
        let cases = [
            (Right::Upload,   true,  false),
            (Right::Exists,   false, true),
            (Right::Download, false, true),
            (Right::List,     false, true),
        ];
        for (right, of_client, of_restorer) in cases {
            let may = (client.require(right).is_ok(), restorer.require(right).is_ok());
            assert_eq!(may, (of_client, of_restorer), "{right}");
        }
        assert_eq!(client.policy.name, restorer.policy.name);
        let refused = clients.check_commit(&restorer).err().map(|refusal| refusal.code);
        assert_eq!(refused, Some(Code::Forbidden));
    }

    #[test]
    fn an_upload_completes_only_with_a_key_that_is_still_valid() {
        let before = clients(&[("a", 1, "a1"), ("b", 1, "b1")]);
        let (a, b) = (before.find("a1").unwrap(), before.find("b1").unwrap());
        let mut reader = policy("a", 1);
        reader.rights = vec![Right::Download];
        #[rustfmt::skip]
        let cases = [
            (clients(&[("a", 1, "a1"), ("b", 9, "b1")]), None,                     None),
            (clients(&[("a", 1, "a2"), ("b", 1, "b1")]), Some(Code::Unauthorized), None),
            (clients(&[("b", 1, "b1")]),                 Some(Code::Unauthorized), None),
            (clients(&[("a", 1, "b1"), ("b", 1, "a1")]), Some(Code::Unauthorized), Some(Code::Unauthorized)),
            (with_keys(vec![reader], &["a1"]),           Some(Code::Forbidden),    Some(Code::Unauthorized)),
        ];
        for (after, of_a, of_b) in cases {
            let code = |client| after.check_commit(client).err().map(|refusal| refusal.code);
            assert_eq!((code(&a), code(&b)), (of_a, of_b), "{after:?}");
        }
    }

    /// Returns clients with a name, a limit of uploads and one key each.
    fn clients(list: &[(&str, usize, &str)]) -> Clients {
        let policies = list.iter().map(|(name, uploads_max, _)| policy(name, *uploads_max));
        let keys: Vec<_> = list.iter().map(|(_, _, key)| *key).collect();
        with_keys(policies.collect(), &keys)
    }

    fn with_keys(policies: Vec<ClientPolicy>, keys: &[&str]) -> Clients {
        let owner = |client| KeyOwner { client, rights: KeyRights::OfClient };
        let keys = keys.iter().enumerate();
        let by_key = keys.map(|(n, key)| (Sha256Digest::of(key.as_bytes()), owner(n)));
        Clients::new(policies, by_key.collect(), 1 << 20)
    }

    fn policy(name: &str, uploads_max: usize) -> ClientPolicy {
        ClientPolicy {
            uploads_max,
            ..ClientPolicy::unlimited(ClientName::parse(name).unwrap(), vec![Right::Upload])
        }
    }
}
