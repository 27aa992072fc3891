//! The part of the configuration that a reload replaces, as a whole.
//!
//! A request takes the parts that it needs when it begins, so an upload in progress keeps its
//! limits and its connection to S3. Its key is checked once more before it completes.

use std::sync::{Arc, PoisonError, RwLock};

use s3up_store::{AcceptedRule, Settings, Store};

use crate::clients::{AdminKeys, Clients};
use crate::network::Network;
use crate::start::error::StartError;
use crate::webhook::Alerts;

pub(crate) struct Live {
    pub store: Store,
    pub clients: Clients,
    pub admin_keys: AdminKeys,
    pub alerts: Alerts,
    /// True if an admin key may download files in the dashboard.
    pub dashboard_downloads: bool,
    pub part_bytes: u64,
    pub parts_max: u64,
    pub require_versioning: bool,
    /// Lifecycle rules that may delete files, or old versions early.
    pub accepted_rules: Vec<AcceptedRule>,
    pub trusted_proxies: Vec<Network>,
}

/// The same part before it is in force.
#[derive(Debug)]
pub(crate) struct LiveSettings {
    pub store: Settings,
    pub clients: Clients,
    pub admin_keys: AdminKeys,
    pub alerts: Alerts,
    /// True if an admin key may download files in the dashboard.
    pub dashboard_downloads: bool,
    pub part_bytes: u64,
    pub parts_max: u64,
    pub require_versioning: bool,
    /// Lifecycle rules that may delete files, or old versions early.
    pub accepted_rules: Vec<AcceptedRule>,
    pub trusted_proxies: Vec<Network>,
}

impl Live {
    /// Creates the connection to S3, and sends no request yet.
    pub(crate) async fn connect(settings: LiveSettings) -> Result<Live, StartError> {
        Ok(Live {
            store: Store::connect(settings.store).await?,
            clients: settings.clients,
            part_bytes: settings.part_bytes,
            parts_max: settings.parts_max,
            require_versioning: settings.require_versioning,
            accepted_rules: settings.accepted_rules,
            trusted_proxies: settings.trusted_proxies,
            admin_keys: settings.admin_keys,
            alerts: settings.alerts,
            dashboard_downloads: settings.dashboard_downloads,
        })
    }
}

/// The live configuration; clones share it.
#[derive(Clone)]
pub(crate) struct LiveConfig(Arc<RwLock<Arc<Live>>>);

impl LiveConfig {
    pub(crate) fn new(live: Live) -> LiveConfig {
        LiveConfig(Arc::new(RwLock::new(Arc::new(live))))
    }

    pub(crate) fn get(&self) -> Arc<Live> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn replace(&self, live: Live) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }

    /// Replaces the connection to S3 only.
    pub(crate) fn replace_store(&self, store: Store) {
        let now = self.get();
        self.replace(Live {
            store,
            clients: now.clients.clone(),
            admin_keys: now.admin_keys.clone(),
            accepted_rules: now.accepted_rules.clone(),
            alerts: now.alerts.clone(),
            trusted_proxies: now.trusted_proxies.clone(),
            ..*now
        });
    }
}
