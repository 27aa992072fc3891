//! Clients: their keys, and what each of them may do.
//!
//! Only the SHA-256 of a key is kept. Keys are long and random, so a slow hash
//! would add no protection. A presented key is compared with every known one in
//! constant time, and an unknown key takes the same steps.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use s3up_core::{ClientName, Code, Sha256Digest};
use s3up_store::Share;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// A group of calls that a client may be allowed to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    Upload,
    Exists,
    Download,
    /// `GET /list` and `GET /versions`.
    List,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Right::Upload => "upload",
            Right::Exists => "exists",
            Right::Download => "download",
            Right::List => "list",
        })
    }
}

/// Says if an upload may replace a file that has other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overwrite {
    Versioned,
    Never,
}

impl fmt::Display for Overwrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Overwrite::Versioned => "versioned",
            Overwrite::Never => "never",
        })
    }
}

/// The rights and limits of one client.
#[derive(Clone, Debug)]
pub struct ClientPolicy {
    pub name: ClientName,
    /// The limit of S3 applies if this is `None`.
    pub file_bytes_max: Option<u64>,
    pub rights: Vec<Right>,
    pub overwrite: Overwrite,
    /// Extensions in lower case, without the dot. `None` allows any.
    pub extensions: Option<Vec<String>>,
    pub uploads_max: usize,
}

/// A client and the resources that its requests share.
#[derive(Debug)]
pub(crate) struct Client {
    pub policy: ClientPolicy,
    upload_slots: Arc<Semaphore>,
    /// The part of the buffer budget that this client may hold.
    pub buffer_share: Share,
}

/// Counts as one of the concurrent uploads of a client until it is dropped.
pub(crate) type UploadSlot = OwnedSemaphorePermit;

impl Client {
    /// Refuses the request if the client lacks `right`.
    pub(crate) fn require(&self, right: Right) -> Result<(), Refusal> {
        self.policy.require(right)
    }

    /// Takes one of the upload slots of the client. It never waits for one.
    pub(crate) fn upload_slot(&self) -> Result<UploadSlot, Refusal> {
        self.upload_slots.clone().try_acquire_owned().map_err(|_| {
            let limit = self.policy.uploads_max;
            let what =
                format!("this client has {limit} uploads in progress, the limit; try again later");
            Refusal::new(Code::RateLimited, what)
        })
    }
}

impl ClientPolicy {
    /// Refuses the request if the client lacks `right`.
    pub(crate) fn require(&self, right: Right) -> Result<(), Refusal> {
        if self.rights.contains(&right) {
            return Ok(());
        }
        let what = format!("this client key lacks the right `{right}`");
        Err(Refusal::new(Code::Forbidden, what))
    }
}

/// All clients, by the digests of their keys.
pub struct Clients {
    clients: Vec<Arc<Client>>,
    keys: Vec<(Sha256Digest, usize)>,
}

impl Clients {
    /// Gives each client a share of the buffer budget of up to `share_bytes`.
    pub(crate) fn new(
        policies: Vec<ClientPolicy>,
        by_key: BTreeMap<Sha256Digest, usize>,
        share_bytes: u64,
    ) -> Clients {
        let client = |policy: ClientPolicy| {
            let upload_slots = Arc::new(Semaphore::new(policy.uploads_max));
            Arc::new(Client { policy, upload_slots, buffer_share: Share::new(share_bytes) })
        };
        Clients {
            clients: policies.into_iter().map(client).collect(),
            keys: by_key.into_iter().collect(),
        }
    }

    pub fn policies(&self) -> impl Iterator<Item = &ClientPolicy> {
        self.clients.iter().map(|client| &client.policy)
    }

    /// Returns the name of the client of each key, with the digest of the key.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&ClientName, Sha256Digest)> {
        self.keys.iter().filter_map(|(key, n)| Some((&self.clients.get(*n)?.policy.name, *key)))
    }

    /// Returns the client to which this key belongs, and the digest of the key.
    pub(crate) fn find(&self, api_key: &str) -> Option<(Arc<Client>, Sha256Digest)> {
        let presented = Sha256Digest::of(api_key.as_bytes());
        let mut found = None;
        for (known, n) in &self.keys {
            if bool::from(known.0.ct_eq(&presented.0)) {
                found = self.clients.get(*n);
            }
        }
        found.cloned().map(|client| (client, presented))
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.policies()).finish()
    }
}
