//! Starts an agent: takes the lock, opens the database, records the watches.

use std::sync::Arc;

use crate::clock;
use crate::config::Config;
use crate::database::{self, Change, Database, DatabaseError, Lock, LockError};
use crate::files::watch::Watch;
use crate::gateway::client::GatewayClient;
use crate::gateway::error::ClientError;
use crate::states::decide::UploadExisting;
use crate::states::existing_files::upload_existing;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// An agent that is ready to run. It holds the lock of its database.
#[derive(Debug)]
pub struct Agent {
    pub config: Config,
    pub watches: Vec<Arc<Watch>>,
    /// The rule of each watch for files that existed before.
    pub existing: Vec<UploadExisting>,
    pub database: Database,
    pub gateway: GatewayClient,
    pub lock: Lock,
}

impl Agent {
    pub async fn start(config: Config) -> Result<Agent, StartError> {
        // Read before anything is watched: files written from now on are new.
        let known_since_ns = clock::file_clock_ns().await;
        let gateway = GatewayClient::new(&config.server)?;
        database::create_dir(&config.database)?;
        let lock = Lock::take(&config.database).await?;
        let database = database::open(&config.database).await?;
        let watches: Vec<_> = config.watches.iter().cloned().map(Arc::new).collect();
        let first_seen: Vec<_> = watches
            .iter()
            .map(|watch| Change::WatchSeen { root: watch.local_prefix(), known_since_ns })
            .collect();
        database.writer.apply(&first_seen).await?;
        let mut existing = Vec::new();
        for watch in &watches {
            existing.push(existing_of(watch, &config, &database).await?);
        }
        Ok(Agent { config, watches, existing, database, gateway, lock })
    }
}

async fn existing_of(
    watch: &Watch,
    config: &Config,
    database: &Database,
) -> Result<UploadExisting, DatabaseError> {
    let state = database.reader.watch_state(&watch.local_prefix()).await?;
    Ok(upload_existing(config.upload_existing, state.as_ref()))
}
