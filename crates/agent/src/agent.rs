//! Starts an agent: lock, database, client, and what it knows of its watches.

use std::sync::Arc;

use crate::client::{ClientError, Gateway};
use crate::clock;
use crate::config::Config;
use crate::db::{self, Change, Database, DbError, Lock, LockError};
use crate::decide::UploadExisting;
use crate::watch::Watch;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Ready to run: it alone uses its database.
#[derive(Debug)]
pub struct Agent {
    pub config: Config,
    pub watches: Vec<Arc<Watch>>,
    /// For each watch, what becomes of files that were there before.
    pub existing: Vec<UploadExisting>,
    pub database: Database,
    pub gateway: Gateway,
    pub lock: Lock,
}

impl Agent {
    pub async fn start(config: Config) -> Result<Agent, StartError> {
        // Before anything is watched: what is written from now on is new.
        let known_since_ns = clock::file_clock_ns().await;
        let gateway = Gateway::new(&config.server)?;
        db::create_folder(&config.database)?;
        let lock = Lock::take(&config.database).await?;
        let database = db::open(&config.database).await?;
        let watches: Vec<_> = config.watches.iter().cloned().map(Arc::new).collect();
        let seen: Vec<_> = watches
            .iter()
            .map(|watch| Change::WatchSeen { root: watch.local_prefix(), known_since_ns })
            .collect();
        database.writer.apply(&seen).await?;
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
) -> Result<UploadExisting, DbError> {
    let state = database.reader.watch_state(&watch.local_prefix()).await?;
    Ok(upload_existing(config.upload_existing, state.as_ref()))
}

/// The rule for files without a row.
pub fn upload_existing(configured: bool, state: Option<&db::WatchState>) -> UploadExisting {
    match state {
        _ if configured => UploadExisting::Yes,
        None => UploadExisting::NotBefore { wall_ns: i64::MAX },
        Some(db::WatchState { first_scan_at: Some(_), .. }) => UploadExisting::BaselineIsComplete,
        Some(state) => UploadExisting::NotBefore { wall_ns: state.known_since_ns },
    }
}
