//! Starts an agent: takes the lock, opens the database, records the watches.

use std::sync::Arc;

use crate::clock;
use crate::config::Config;
use crate::daemon::log_watch_history;
use crate::database::{self, Change, Database, DatabaseError, Lock, LockError, marker};
use crate::files::watch::Watch;
use crate::gateway::bandwidth::BandwidthLimit;
use crate::gateway::client::GatewayClient;
use crate::gateway::error::ClientError;
use crate::states::existing_files::WatchState;
use crate::states::watch_history::{LossEvidence, decide_watch_history};

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
    pub states: Vec<WatchState>,
    pub database: Database,
    pub gateway: GatewayClient,
    pub lock: Lock,
}

impl Agent {
    pub async fn start(config: Config) -> Result<Agent, StartError> {
        // Read before anything is watched: files written from now on are new.
        let known_since_ns = clock::file_clock_ns().await;
        let bandwidth = BandwidthLimit::new(config.upload_bytes_per_second);
        let gateway = GatewayClient::new(&config.server)?.with_bandwidth(bandwidth);
        database::create_dir(&config.database)?;
        let lock = Lock::take(&config.database).await?;
        let was_used = marker::exists(&config.database)?;
        let mut database = database::open(&config.database).await?;
        let is_lost = was_used && database.reader.is_empty().await?;
        let watches: Vec<_> = config.watches.iter().cloned().map(Arc::new).collect();
        let mut changes = Vec::new();
        for watch in &watches {
            let root = watch.local_prefix();
            changes.push(Change::WatchSeen { root: root.clone(), known_since_ns });
            if is_lost {
                log_watch_history::watch_history_decided(watch, &LossEvidence::Marker);
                changes.push(Change::WatchHistory {
                    root,
                    history: decide_watch_history(&LossEvidence::Marker),
                });
            }
        }
        database.writer.apply(&changes).await?;
        // Only now: a marker without rows would look like a lost database.
        marker::create(&config.database)?;
        let mut states = Vec::new();
        for watch in &watches {
            let state = database.reader.watch_state(&watch.local_prefix()).await?;
            states.push(state.expect("each watch has a row, which was just written"));
        }
        Ok(Agent { config, watches, states, database, gateway, lock })
    }
}
