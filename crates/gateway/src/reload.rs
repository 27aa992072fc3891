//! Puts a changed configuration into force while the gateway runs, all of it or nothing.
//!
//! SIGHUP reads the configuration again. It is not watched: a file that is half written may be
//! valid YAML with half of the clients. A configuration that is not valid, or with which S3 refuses
//! the gateway, is refused, and the previous one stays in force.
//!
//! Files that other programs renew (the certificate, credentials) are watched (`renewal`).

pub(crate) mod fixed;
pub(crate) mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use s3up_cli::ServiceState;
use s3up_cli::config::ConfigError;
use s3up_core::error_chain;
use s3up_store::{ConnectError, Store, StoreError};
use tokio::signal::unix::Signal;

use self::fixed::FixedSettings;
use crate::gateway::Gateway;
use crate::live::{Live, LiveSettings};
use crate::start::checks::check_versioning;
use crate::start::error::StartError;
use crate::start::retry::is_transient_kind;
use crate::tls::{self, TlsFiles};
use crate::uploads::admission::BUFFERS_PER_UPLOAD_MIN;

/// Time for which the first request with new settings is retried: requests are served meanwhile, but the
/// operator waits.
const RELOAD_RETRY_FOR: Duration = Duration::from_secs(2);

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
    #[error("use the files of server.tls")]
    Certificate(#[from] tls::TlsError),
    #[error("run the task that reads the configuration")]
    Task(#[from] tokio::task::JoinError),
}

/// A configuration, as it is in the file now.
pub(crate) struct LoadedConfig {
    pub live: LiveSettings,
    pub tls: Option<TlsFiles>,
    pub fixed: FixedSettings,
}

/// Reads the configuration.
pub(crate) type Load = dyn Fn() -> Result<LoadedConfig, ConfigError> + Send + Sync;

/// Reloads the configuration of a running gateway.
#[derive(Clone)]
pub(crate) struct Reloader {
    pub gateway: Gateway,
    /// The file with variables for the configuration.
    pub env_file: Option<PathBuf>,
    pub load: Arc<Load>,
    /// The settings with which the gateway was started.
    pub fixed: FixedSettings,
}

impl Reloader {
    /// Reloads at each of `hangups`.
    pub(crate) async fn reload_at(self, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            self.reload().await;
        }
    }

    /// Reads the configuration again and puts it into force, or refuses it.
    pub(crate) async fn reload(&self) {
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
                    "the new configuration is not used and the previous one stays in force; correct the \
                     file and send SIGHUP again"
                );
                reloads.set(Some(error));
            }
        }
    }

    async fn try_reload(&self) -> Result<(), ReloadError> {
        let LoadedConfig { live: config, tls, fixed } = self.load().await?;
        let needs_restart = self.fixed.differences(&fixed);
        let (before, prefix) = (self.gateway.live(), self.gateway.prefix());
        let store = before.store.reconnect(config.store).await?;
        check_store(&store, prefix, config.require_versioning).await?;
        if let Some(files) = tls.filter(|_| !needs_restart.contains(&"server.tls.enabled")) {
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
            dashboard_downloads: config.dashboard_downloads,
            part_bytes: config.part_bytes.min(part_bytes_max),
            parts_max: config.parts_max,
            require_versioning: config.require_versioning,
            accepted_rules: config.accepted_rules,
            trusted_proxies: config.trusted_proxies,
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
                "restart the gateway to apply the new values of these keys"
            );
        }
        Ok(())
    }

    /// Reads the configuration, away from the runtime.
    pub(crate) async fn load(&self) -> Result<LoadedConfig, ReloadError> {
        let load = self.load.clone();
        Ok(tokio::task::spawn_blocking(move || load()).await??)
    }
}

/// Makes the first request with new settings. If S3 does not answer, they are taken over
/// unverified: it would not answer the earlier ones either.
async fn check_store(
    store: &Store,
    prefix: &s3up_core::KeyPrefix,
    require_versioning: bool,
) -> Result<(), ReloadError> {
    let err = match store.probe(prefix, RELOAD_RETRY_FOR).await {
        Ok(versioning) => {
            return check_versioning(versioning, store.bucket(), require_versioning)
                .map_err(ReloadError::Bucket);
        }
        Err(err) => err,
    };
    if !is_transient_kind(err.kind) {
        return Err(ReloadError::Refused(err));
    }
    tracing::warn!(
        event = "config_not_verified",
        error = error_chain(&err),
        "S3 does not answer; using the new S3 settings without verifying them"
    );
    Ok(())
}
