//! The gateway's parts put together, and its addresses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use s3up_core::wire::Health;
use s3up_core::{Code, Key, KeyPrefix, RemotePath};
use s3up_store::{ConnectError, Store, StoreError, Versioning};
use tokio_util::task::TaskTracker;

use crate::client::{Caller, Client, Clients};
use crate::config::Config;
use crate::in_flight::InFlight;
use crate::refusal::{Refusal, Refused};
use crate::{download, exists, form};

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
}

impl Gateway {
    /// Connects to the store and takes a first look at the bucket.
    pub async fn start(config: Config) -> Result<Gateway, StartError> {
        let store = Store::connect(config.store).await?;
        let versioning = store.probe(&config.prefix, PROBE_RETRY_FOR).await?;
        let what = match versioning {
            Versioning::Kept => None,
            Versioning::NotKept => Some("keeps no versions"),
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
        Ok(Gateway(Arc::new(Shared {
            store,
            clients: config.clients,
            prefix: config.prefix,
            part_bytes: config.part_bytes,
            in_flight: InFlight::default(),
            detached: TaskTracker::new(),
        })))
    }

    /// All addresses.
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/upload", post(form::post))
            .route("/files/", put(crate::put::put))
            .route("/files/{*path}", put(crate::put::put))
            .route("/exists", get(exists::exists))
            .route("/download", get(download::download))
            .route("/health", get(health))
            .fallback(no_such_address)
            .method_not_allowed_fallback(no_such_method)
            .layer(middleware::from_fn(log))
            .with_state(self.clone())
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
        self.0.store.settle().await;
    }
}

async fn health() -> Json<Health> {
    Json(Health { status: "UP".to_owned() })
}

async fn no_such_address(request: Request) -> Refusal {
    Refusal::new(Code::NotFound, format!("there is nothing at {}", request.uri().path()))
}

async fn no_such_method(request: Request) -> Refusal {
    let (method, path) = (request.method(), request.uri().path());
    Refusal::new(Code::MethodNotAllowed, format!("{path} does not take {method}"))
}

/// One line for every request that was refused, and for every file that came.
async fn log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let address = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let ms = began.elapsed().as_millis() as u64;
    match response.extensions().get::<Refused>() {
        Some(Refused(code, detail, cause)) => {
            let cause = cause.as_deref().unwrap_or_default();
            let code = format!("{code:?}");
            if status >= 500 {
                tracing::error!(event = "refused", %method, address, status, code, ms, cause, "{detail}");
            } else {
                tracing::info!(event = "refused", %method, address, status, code, ms, cause, "{detail}");
            }
        }
        None => tracing::debug!(event = "answered", %method, address, status, ms),
    }
    response
}
