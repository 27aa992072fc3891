//! The part of the configuration that a reload replaces, as a whole.
//!
//! A request takes the parts that it needs when it begins, so an upload in progress keeps its
//! limits and its connection to S3. Its key is checked once more before it completes.

use std::sync::{Arc, PoisonError, RwLock};

use s3up_store::Store;

use crate::clients::{AdminKeys, Clients};
use crate::config::Config;
use crate::start_error::StartError;
use crate::webhook::Alerts;

pub(crate) struct Live {
    pub store: Store,
    pub clients: Clients,
    pub admin_keys: AdminKeys,
    pub alerts: Alerts,
    pub part_bytes: u64,
    pub parts_max: u64,
    pub require_versioning: bool,
}

impl Live {
    /// Creates the connection to S3, and sends no request yet.
    pub(crate) async fn connect(config: Config) -> Result<Live, StartError> {
        Ok(Live {
            store: Store::connect(config.store).await?,
            clients: config.clients,
            admin_keys: config.admin_keys,
            alerts: config.alerts,
            part_bytes: config.part_bytes,
            parts_max: config.parts_max,
            require_versioning: config.require_versioning,
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
            alerts: now.alerts.clone(),
            ..*now
        });
    }
}
