//! Puts a changed configuration into force while the gateway runs, all of it or nothing.
//!
//! SIGHUP reads the configuration again. It is not watched: a file that is half written may be
//! valid YAML with half of the clients. A configuration that is not valid, or with which S3 refuses
//! the gateway, is refused, and the one before stays in force.
//!
//! Files that other programs renew (the certificate, credentials) are watched (`renewal`).

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use s3up_cli::ServiceState;
use s3up_cli::config::ConfigError;
use s3up_core::error_chain;
use s3up_core::wire::Part;
use s3up_store::{ConnectError, Store, StoreError};
use tokio::signal::unix::Signal;

use crate::bucket;
use crate::config::{Config, ConfigFiles, FixedSettings};
use crate::gateway::Gateway;
use crate::live::Live;
use crate::renewal;
use crate::start_checks::check_versioning;
use crate::start_error::StartError;
use crate::tls;
use crate::uploads::admission::BUFFERS_PER_UPLOAD_MIN;

/// Time for which the first request with new settings is retried.
const PROBE_RETRY_FOR: Duration = Duration::from_secs(2);

/// The state of reloads, as `/ready` tells it.
#[derive(Debug, Default)]
pub(crate) struct ReloadStatus {
    /// The reason why the last configuration was refused.
    refused: Mutex<Option<String>>,
    /// Number of configurations that were refused since the start.
    refusals: AtomicU64,
    /// One reload or renewal at a time.
    pub turn: tokio::sync::Mutex<()>,
}

impl ReloadStatus {
    pub(crate) fn part(&self) -> Part {
        match *self.lock() {
            None => Part::Ok,
            Some(_) => Part::Failing,
        }
    }

    fn set(&self, refused: Option<String>) {
        if refused.is_some() {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        *self.lock() = refused;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The reason why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("connect to S3")]
    Connect(#[from] ConnectError),
    #[error("S3 refuses the new settings")]
    Refused(#[source] StoreError),
    #[error(transparent)]
    Bucket(StartError),
    #[error("server.tls: {0}")]
    Certificate(#[from] tls::TlsError),
    #[error("read the configuration")]
    Task(#[from] tokio::task::JoinError),
}

/// Reloads the configuration of a running gateway.
#[derive(Clone)]
pub struct Reloader {
    pub(crate) gateway: Gateway,
    pub(crate) files: ConfigFiles,
    fixed: FixedSettings,
}

/// Creates a [`Reloader`] from the configuration with which a gateway is started.
#[derive(Debug)]
pub struct ReloadSource {
    files: ConfigFiles,
    fixed: FixedSettings,
}

impl ReloadSource {
    pub fn new(files: ConfigFiles, config: &Config) -> ReloadSource {
        ReloadSource { files, fixed: config.fixed_settings() }
    }

    /// Reloads at each of `hangups` until the gateway stops, and watches the files that are renewed.
    pub fn start(self, gateway: &Gateway, mut hangups: Signal) {
        let ReloadSource { files, fixed } = self;
        let reloader = Reloader { gateway: gateway.clone(), files, fixed };
        let watching = reloader.clone();
        gateway.spawn(async move { renewal::watch(watching).await });
        gateway.spawn(async move {
            while hangups.recv().await.is_some() {
                reloader.reload().await;
            }
        });
    }
}

impl Reloader {
    /// Reads the configuration again and puts it into force, or refuses it.
    async fn reload(&self) {
        let reloads = self.gateway.reloads();
        let _turn = reloads.turn.lock().await;
        s3up_cli::notify(ServiceState::Reloading);
        let outcome = self.try_reload().await;
        s3up_cli::notify(ServiceState::Ready);
        match outcome {
            Ok(()) => reloads.set(None),
            Err(err) => {
                let error = error_chain(&err);
                tracing::error!(
                    event = "config_refused",
                    error,
                    "the new configuration is not used; the one before stays in force: correct it \
                     and send SIGHUP again"
                );
                reloads.set(Some(error));
            }
        }
    }

    async fn try_reload(&self) -> Result<(), ReloadError> {
        let config = self.load().await?;
        let needs_restart = self.fixed.differences(&config.fixed_settings());
        let (before, prefix) = (self.gateway.live(), self.gateway.prefix());
        let store = before.store.reconnect(config.store).await?;
        check_store(&store, prefix, config.require_versioning).await?;
        if let Some(files) = config.tls.filter(|_| !needs_restart.contains(&"server.tls.enabled")) {
            let loading = files.clone();
            let key = tokio::task::spawn_blocking(move || tls::load(&loading)).await??;
            self.gateway.certificate().replace(files, key);
        }
        // From here on nothing fails.
        before.store.adopt_credentials(&store);
        let changes = config.clients.changes_since(&before.clients);
        let part_bytes_max = store.pool().budget_bytes() / BUFFERS_PER_UPLOAD_MIN;
        self.gateway.live_config().replace(Live {
            store,
            clients: config.clients.with_resources_of(&before.clients),
            admin_keys: config.admin_keys,
            alerts: config.alerts,
            part_bytes: config.part_bytes.min(part_bytes_max),
            parts_max: config.parts_max,
            require_versioning: config.require_versioning,
        });
        self.gateway.record_keys();
        let names = |clients: &[s3up_core::ClientName]| {
            clients.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        tracing::info!(
            event = "config_reloaded",
            clients_added = names(&changes.added),
            clients_removed = names(&changes.removed),
            clients_changed = names(&changes.changed),
            keys_added = changes.keys_added,
            keys_removed = changes.keys_removed,
        );
        if !needs_restart.is_empty() {
            tracing::warn!(
                event = "config_needs_restart",
                keys = needs_restart.join(","),
                "these keys keep their value until the gateway is restarted"
            );
        }
        Ok(())
    }

    /// Reads the configuration, away from the runtime.
    pub(crate) async fn load(&self) -> Result<Config, ReloadError> {
        let files = self.files.clone();
        Ok(tokio::task::spawn_blocking(move || files.load()).await??)
    }
}

/// Makes the first request with new settings. If S3 does not answer, they are taken over
/// unverified: it would not answer the earlier ones either.
async fn check_store(
    store: &Store,
    prefix: &s3up_core::KeyPrefix,
    require_versioning: bool,
) -> Result<(), ReloadError> {
    let err = match store.probe(prefix, PROBE_RETRY_FOR).await {
        Ok(versioning) => {
            return check_versioning(versioning, store.bucket(), require_versioning)
                .map_err(ReloadError::Bucket);
        }
        Err(err) => err,
    };
    if !bucket::may_recover(err.kind) {
        return Err(ReloadError::Refused(err));
    }
    tracing::warn!(
        event = "config_not_verified",
        error = error_chain(&err),
        "S3 does not answer, so the new settings are used without a test"
    );
    Ok(())
}
