//! The server: opens the folder and listens. `serve` does the rest.
//!
//! Stopping cuts off what is in flight, as a crash would; what was answered is
//! on disk. Clients must cope with that anyway, and tests want it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use s3s::auth::SecretKey;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::api::Api;
use crate::control::Control;
use crate::faults::Faults;
use crate::gate::{Credentials, Gate};
use crate::serve::{Serving, serve};
use crate::store::{BucketError, Limits, Store};
use crate::{OpenError, Options, Versioning};

/// A running server. Dropping it stops it too, without waiting.
pub struct DevStore {
    pub(crate) store: Arc<Store>,
    faults: Faults,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("start on the folder")]
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
            conditions,
            clock_behind,
        } = options;
        let limits = Limits { part_bytes_min, restore_delay, conditions, clock_behind };
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
        builder.set_access(Gate { faults: faults.clone() });
        let control = Control::new(Arc::clone(&store), faults.clone());
        let serving = Serving { service: builder.build(), control, faults: faults.clone() };
        let serving = tokio::spawn(serve(listener, serving));
        Ok(DevStore { store, faults, address, serving })
    }

    /// `http://ADDRESS`, without a slash at its end.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes sure that a bucket exists. `Versioning::Off` leaves the versioning
    /// of one that exists as it is: S3 has no way back to `Off`.
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

    /// What time it is for the objects in here.
    pub fn now(&self) -> SystemTime {
        self.store.clock.time()
    }

    /// Moves the clock of this server ahead; restores end and expire by it. It
    /// stays ahead when the server starts again.
    pub async fn advance(&self, by: Duration) -> io::Result<()> {
        let store = Arc::clone(&self.store);
        let advancing = tokio::task::spawn_blocking(move || store.advance(by));
        advancing.await.expect("moving the clock does not panic")
    }

    /// How long restores take that are asked for from now on.
    pub fn set_restore_delay(&self, delay: Duration) {
        self.store.set_restore_delay(delay);
    }

    /// Stops listening, breaks every connection, and lets go of the folder.
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
