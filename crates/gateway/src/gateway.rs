//! The state that all requests share, and how it is set up at start.
//!
//! Not here: routes and sockets (`server`), the calls (`handlers`).

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use s3up_core::{ClientName, Code, Key, KeyPrefix, RemotePath};
use s3up_store::{Conditions, ConnectError, Store, StoreError, Versioning};

use crate::clients::{Client, ClientPolicy, Clients, Overwrite, Right};
use crate::config::Config;
use crate::refusal::Refusal;
use crate::uploads::Uploads;
use crate::uploads::admission::{Admission, AnnouncedLength, BUFFERS_PER_UPLOAD_MIN, admit};

/// Time for which the first requests to the bucket are retried at start.
const PROBE_RETRY_FOR: Duration = Duration::from_secs(5);

/// A running gateway; clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

struct Shared {
    store: Store,
    uploads: Uploads,
    clients: Clients,
    prefix: KeyPrefix,
    part_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("connect to S3")]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Probe(#[from] StoreError),
    #[error(
        "bucket {bucket}: versioning is {state}, but `s3.require_versioning` is true; \
         enable versioning on the bucket"
    )]
    Versioning { bucket: String, state: &'static str },
    #[error(
        "client {client}: `overwrite: never` cannot be enforced: this S3 server ignores \
         If-None-Match, so the later of two uploads to one path would win; \
         set `overwrite: versioned`, or use a server that supports conditional writes \
         (docs/s3-compatibility.md)"
    )]
    Overwrite { client: ClientName },
}

impl Gateway {
    /// Connects to S3 and checks the bucket.
    pub async fn start(config: Config) -> Result<Gateway, StartError> {
        let store = Store::connect(config.store).await?;
        let versioning = store.probe(&config.prefix, PROBE_RETRY_FOR).await?;
        check_versioning(versioning, store.bucket(), config.require_versioning)?;
        check_overwrite(&store, &config.clients, &config.prefix).await?;
        Ok(Gateway(Arc::new(Shared {
            uploads: Uploads::new(store.clone()),
            store,
            clients: config.clients,
            prefix: config.prefix,
            part_bytes: config.part_bytes,
        })))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn uploads(&self) -> &Uploads {
        &self.0.uploads
    }

    /// Returns the configured part length.
    pub(crate) fn part_bytes(&self) -> u64 {
        self.0.part_bytes
    }

    /// Returns the client whose key the request carries.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Client>, Refusal> {
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

    /// Returns the key of a file of `client`.
    pub(crate) fn key(&self, client: &Client, path: &RemotePath) -> Result<Key, Refusal> {
        Ok(Key::of_file(&self.0.prefix, &client.policy.name, path)?)
    }

    /// Decides whether an upload may begin, and under which key.
    pub(crate) fn admit(
        &self,
        client: &Client,
        path: &RemotePath,
        announced: AnnouncedLength,
    ) -> Result<(Key, Admission), Refusal> {
        let key = self.key(client, path)?;
        let part_bytes_max = self.0.store.pool().budget_bytes() / BUFFERS_PER_UPLOAD_MIN;
        let admission = admit(&client.policy, path, announced, self.0.part_bytes, part_bytes_max)?;
        Ok((key, admission))
    }

    /// Waits until detached commits and clean-ups are done.
    pub(crate) async fn finish_background_work(&self) {
        self.0.uploads.finish_commits().await;
        self.0.store.wait_for_aborts().await;
    }
}

/// Warns if the bucket keeps no versions, or refuses to start if they are
/// required.
fn check_versioning(
    versioning: Versioning,
    bucket: &str,
    required: bool,
) -> Result<(), StartError> {
    let (state, consequence) = match versioning {
        Versioning::Enabled => return Ok(()),
        Versioning::Off => ("off", "overwritten files cannot be recovered"),
        Versioning::Unknown => {
            ("unknown", "S3 did not report it, so overwritten files may not be recoverable")
        }
    };
    let bucket = bucket.to_owned();
    if required {
        return Err(StartError::Versioning { bucket, state });
    }
    tracing::warn!(event = "versioning_off", bucket, "bucket versioning is {state}: {consequence}");
    Ok(())
}

/// Refuses to start if `overwrite: never` is configured and S3 would not enforce
/// it. The probe may write a small object, so it runs only if a client needs it.
async fn check_overwrite(
    store: &Store,
    clients: &Clients,
    prefix: &KeyPrefix,
) -> Result<(), StartError> {
    let needs_condition = |policy: &&ClientPolicy| {
        policy.overwrite == Overwrite::Never && policy.rights.contains(&Right::Upload)
    };
    let Some(policy) = clients.policies().find(needs_condition) else { return Ok(()) };
    match store.probe_conditions(prefix, PROBE_RETRY_FOR).await {
        Conditions::Honoured | Conditions::IfNoneMatchOnly => Ok(()),
        Conditions::Ignored => Err(StartError::Overwrite { client: policy.name.clone() }),
        Conditions::Unknown => {
            tracing::warn!(
                event = "overwrite_never_not_verified",
                client = %policy.name,
                "cannot verify that this S3 server honours If-None-Match; \
                 if it does not, `overwrite: never` is not enforced"
            );
            Ok(())
        }
    }
}
