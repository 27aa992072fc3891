//! The gateway's parts put together: what every call works with.
//!
//! Not here: the addresses (`router`), the sockets (`serve`).

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use s3up_core::{ClientName, Code, Key, KeyPrefix, RemotePath};
use s3up_store::{Conditions, ConnectError, Store, StoreError, Versioning};
use tokio_util::task::TaskTracker;

use crate::client::{Caller, Client, Clients, Overwrite, Right};
use crate::config::Config;
use crate::in_flight::InFlight;
use crate::refusal::Refusal;

/// How long the first look at the bucket is repeated at start.
const PROBE_RETRY_FOR: Duration = Duration::from_secs(5);

/// A running gateway; clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

struct Shared {
    store: Store,
    clients: Clients,
    prefix: KeyPrefix,
    part_bytes: u64,
    in_flight: InFlight,
    /// Commits that no request may interrupt.
    detached: TaskTracker,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("connect to the store")]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Probe(#[from] StoreError),
    #[error(
        "bucket {bucket}: `s3.require_versioning` is set and the bucket {what}; \
         enable versioning on the bucket"
    )]
    Versioning { bucket: String, what: &'static str },
    #[error(
        "client {client}: `overwrite: never` cannot be kept: the store ignores If-None-Match, so \
         that of two uploads of one path the last wins; set `overwrite: versioned`, or use a store \
         that honours it (docs/s3-compatibility.md)"
    )]
    Overwrite { client: ClientName },
}

impl Gateway {
    /// Connects to the store and takes a first look at the bucket.
    pub async fn start(config: Config) -> Result<Gateway, StartError> {
        let store = Store::connect(config.store).await?;
        let versioning = store.probe(&config.prefix, PROBE_RETRY_FOR).await?;
        let what = match versioning {
            Versioning::Enabled => None,
            Versioning::Off => Some("keeps no versions"),
            Versioning::Unknown => Some("does not say whether it keeps versions"),
        };
        if let Some(what) = what {
            let bucket = store.bucket().to_owned();
            if config.require_versioning {
                return Err(StartError::Versioning { bucket, what });
            }
            tracing::warn!(
                event = "versioning_off",
                bucket,
                "the bucket {what}: what is overwritten is not recoverable"
            );
        }
        check_overwrite(&store, &config.clients, &config.prefix).await?;
        Ok(Gateway(Arc::new(Shared {
            store,
            clients: config.clients,
            prefix: config.prefix,
            part_bytes: config.part_bytes,
            in_flight: InFlight::default(),
            detached: TaskTracker::new(),
        })))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.0.in_flight
    }

    pub(crate) fn detached(&self) -> &TaskTracker {
        &self.0.detached
    }

    /// The part length that is configured, and the longest that the buffers
    /// allow: a long upload holds one while it fills the next.
    pub(crate) fn part_bytes(&self) -> (u64, u64) {
        (self.0.part_bytes, self.0.store.pool().budget_bytes() / 2)
    }

    /// The client whose key the request carries.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Refusal> {
        let field = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = field.and_then(|field| {
            let (scheme, key) = field.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
        });
        let unknown = || {
            let what = "expected `Authorization: Bearer KEY` with a key that the gateway knows";
            Refusal::new(Code::Unauthorized, what)
        };
        self.0.clients.find(key.unwrap_or_default()).ok_or_else(unknown)
    }

    /// Where the file of a client lives.
    pub(crate) fn key(&self, client: &Client, path: &RemotePath) -> Result<Key, Refusal> {
        Ok(Key::of_file(&self.0.prefix, &client.name, path)?)
    }

    /// Waits until detached commits and clean-ups are over.
    pub(crate) async fn settle(&self) {
        self.0.detached.close();
        self.0.detached.wait().await;
        self.0.store.wait_for_aborts().await;
    }
}

/// A promise that the store would break is not given. It is asked only where
/// there is one, since that may write a small object.
async fn check_overwrite(
    store: &Store,
    clients: &Clients,
    prefix: &KeyPrefix,
) -> Result<(), StartError> {
    let is_promised = |client: &&Client| {
        client.overwrite == Overwrite::Never && client.rights.contains(&Right::Upload)
    };
    let Some(client) = clients.policies().find(is_promised) else { return Ok(()) };
    match store.probe_conditions(prefix, PROBE_RETRY_FOR).await {
        Conditions::Honoured | Conditions::IfNoneMatchOnly => Ok(()),
        Conditions::Ignored => Err(StartError::Overwrite { client: client.name.clone() }),
        Conditions::Unknown => {
            tracing::warn!(
                event = "overwrite_never_unproven",
                client = %client.name,
                "`overwrite: never` holds only where the store honours If-None-Match"
            );
            Ok(())
        }
    }
}
