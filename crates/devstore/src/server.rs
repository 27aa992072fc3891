//! The server: opens the directory, listens and stops.
//!
//! Stopping breaks all connections, as a crash would. Everything that was
//! answered is on disk. Clients must cope with crashes anyway, and tests need
//! them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use s3s::auth::SecretKey;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::access::{AccessCheck, Credentials};
use crate::api::Api;
use crate::control::Control;
use crate::faults::Faults;
use crate::model::record::Versioning;
use crate::options::Options;
use crate::storage::disk::OpenError;
use crate::storage::store::{BucketError, Limits, Store};
use crate::transport::connection::{ConnectionContext, serve};

/// A running server. Dropping it stops it without waiting for the end.
pub struct DevStore {
    pub(crate) store: Arc<Store>,
    faults: Faults,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

/// Reason why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("open the data directory")]
    Open(#[source] OpenError),
    #[error("listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
}

impl DevStore {
    pub async fn start(options: Options) -> Result<DevStore, StartError> {
        let Options {
            root,
            listen,
            access_key_id,
            secret_access_key,
            part_bytes_min,
            restore_delay,
            behaviours,
            clock_behind,
        } = options;
        let limits = Limits { part_bytes_min, restore_delay, behaviours, clock_behind };
        let opening = tokio::task::spawn_blocking(move || Store::open(root, limits));
        let store = opening.await.expect("opening does not panic").map_err(StartError::Open)?;
        let store = Arc::new(store);
        let cannot_listen = |source| StartError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let faults = Faults::default();
        let mut builder = S3ServiceBuilder::new(Api::new(Arc::clone(&store)));
        let secret_access_key = SecretKey::from(secret_access_key);
        builder.set_auth(Credentials { access_key_id, secret_access_key });
        builder.set_access(AccessCheck { faults: faults.clone() });
        let control = Control::new(Arc::clone(&store), faults.clone());
        let context =
            ConnectionContext { service: builder.build(), control, faults: faults.clone() };
        let serving = tokio::spawn(serve(listener, context));
        Ok(DevStore { store, faults, address, serving })
    }

    /// Returns `http://ADDRESS`, without a trailing slash.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Creates a bucket unless it exists. `Versioning::Off` does not change the
    /// versioning of an existing one, since S3 has no way back to `Off`.
    pub async fn create_bucket(
        &self,
        name: &str,
        versioning: Versioning,
    ) -> Result<(), BucketError> {
        let (store, name) = (Arc::clone(&self.store), name.to_owned());
        let creating = tokio::task::spawn_blocking(move || store.ensure_bucket(&name, versioning));
        creating.await.expect("creating a bucket does not panic")
    }

    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Returns the time of the server's clock.
    pub fn now(&self) -> SystemTime {
        self.store.clock.time()
    }

    /// Advances the clock of this server, by which restores finish and expire. The
    /// clock stays advanced when the server restarts.
    pub async fn advance(&self, by: Duration) -> io::Result<()> {
        let store = Arc::clone(&self.store);
        let advancing = tokio::task::spawn_blocking(move || store.advance(by));
        advancing.await.expect("moving the clock does not panic")
    }

    /// Sets the duration of restores that are requested from now on.
    pub fn set_restore_delay(&self, delay: Duration) {
        self.store.set_restore_delay(delay);
    }

    /// Stops listening, breaks every connection and releases the directory.
    pub async fn stop(mut self) {
        self.serving.abort();
        let aborted = (&mut self.serving).await;
        debug_assert!(aborted.is_err(), "serving ends only when it is aborted");
    }
}

impl Drop for DevStore {
    fn drop(&mut self) {
        self.serving.abort();
        self.store.close();
    }
}
