//! Who may call, and what each caller may do.
//!
//! Keys are kept as SHA-256 only: they are long and random, so a slow hash
//! would protect nothing more. A presented key is compared with every known
//! one, in constant time, and an unknown key takes the same path.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use s3up_core::{ClientName, Sha256Digest};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

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
    pub uploads: Arc<Semaphore>,
}

/// All clients, by the digests of their keys.
pub struct Clients {
    callers: Vec<Arc<Caller>>,
    keys: Vec<(Sha256Digest, usize)>,
}

impl Clients {
    pub(crate) fn new(clients: Vec<Client>, by_key: BTreeMap<Sha256Digest, usize>) -> Clients {
        let caller = |client: Client| {
            let uploads = Arc::new(Semaphore::new(client.uploads_max));
            Arc::new(Caller { client, uploads })
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
