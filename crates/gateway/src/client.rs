//! Who may call, and what each caller may do.
//!
//! Keys are kept as SHA-256 only: they are long and random, so a slow hash
//! would protect nothing more. A presented key is compared with every known
//! one, in constant time, and an unknown key takes the same path.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use s3up_core::{ClientName, Code, Sha256Digest};
use s3up_store::Share;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    Upload,
    Exists,
    Download,
    List,
}

/// What a second upload of a changed file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overwrite {
    Versioned,
    Never,
}

/// The policy of one client.
#[derive(Clone, Debug)]
pub struct Client {
    pub name: ClientName,
    /// `None`: what S3 can hold.
    pub file_bytes_max: Option<u64>,
    pub rights: Vec<Right>,
    pub overwrite: Overwrite,
    /// Lower case, without the dot; `None`: any.
    pub extensions: Option<Vec<String>>,
    pub uploads_max: usize,
}

/// A client and its places for uploads.
#[derive(Debug)]
pub(crate) struct Caller {
    pub client: Client,
    uploads: Arc<Semaphore>,
    /// What it may hold of the gateway's buffers.
    pub share: Share,
}

impl Caller {
    /// A place among the uploads that the client may have at once.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.uploads.clone().try_acquire_owned().map_err(|_| {
            let what = format!("{} uploads of this client are under way", self.client.uploads_max);
            Refusal::new(Code::RateLimited, what)
        })
    }
}

/// All clients, by the digests of their keys.
pub struct Clients {
    callers: Vec<Arc<Caller>>,
    keys: Vec<(Sha256Digest, usize)>,
}

impl Clients {
    /// Each client may hold `share_bytes` of the gateway's buffers.
    pub(crate) fn new(
        clients: Vec<Client>,
        by_key: BTreeMap<Sha256Digest, usize>,
        share_bytes: u64,
    ) -> Clients {
        let caller = |client: Client| {
            let uploads = Arc::new(Semaphore::new(client.uploads_max));
            Arc::new(Caller { client, uploads, share: Share::new(share_bytes) })
        };
        Clients {
            callers: clients.into_iter().map(caller).collect(),
            keys: by_key.into_iter().collect(),
        }
    }

    pub fn policies(&self) -> impl Iterator<Item = &Client> {
        self.callers.iter().map(|caller| &caller.client)
    }

    /// The client that this key belongs to.
    pub(crate) fn find(&self, api_key: &str) -> Option<Arc<Caller>> {
        let presented = Sha256Digest::of(api_key.as_bytes());
        let mut found = None;
        for (known, n) in &self.keys {
            if bool::from(known.0.ct_eq(&presented.0)) {
                found = self.callers.get(*n);
            }
        }
        found.cloned()
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.policies()).finish()
    }
}
