//! `s3up run`: watches and uploads until a signal stops it. SIGHUP reloads the configuration.
//!
//! A new configuration starts the daemon again in the same process: uploads get some seconds to
//! end, and the scan at the start finds the rest. A broken one changes nothing.

use std::path::Path;

use anyhow::{Context, bail};
use s3up_cli::{Exit, ServiceState, ShutdownSignal, notify};
use s3up_core::error_chain;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::start::start;
use crate::config::Config;
use crate::daemon::{self, Cause};
use crate::gateway::client::GatewayClient;

/// Reason for stopping the daemon.
enum Stop {
    Shutdown,
    Reload(Box<Config>),
}

pub(super) async fn run(mut config: Config, file: &Path) -> anyhow::Result<Exit> {
    let shutdown = ShutdownSignal::listen();
    let mut hangups = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    loop {
        let agent = start(config.clone(), file).await?;
        notify(ServiceState::Ready);
        let stop = async {
            tokio::select! {
                _ = shutdown.wait() => Stop::Shutdown,
                new = next_config(&mut hangups, &config, file) => Stop::Reload(new),
            }
        };
        match daemon::run(agent, stop).await.cause {
            Cause::Stopped(Stop::Shutdown) | Cause::Done => {
                notify(ServiceState::Stopping);
                return Ok(Exit::Done);
            }
            Cause::Stopped(Stop::Reload(new)) => {
                notify(ServiceState::Reloading);
                config = *new;
                tracing::info!(
                    event = "config_reloaded",
                    path = %file.display(),
                    watches = config.watches.len()
                );
            }
            Cause::DatabaseLost => {}
            Cause::DatabaseStillOpen => {
                bail!(
                    "the removed database is still in use and cannot be closed; start the agent again"
                )
            }
        }
    }
}

/// Returns the configuration that the next SIGHUPs find, once it is valid.
async fn next_config(hangups: &mut Signal, old: &Config, file: &Path) -> Box<Config> {
    loop {
        if hangups.recv().await.is_none() {
            // No more signals can arrive.
            std::future::pending::<()>().await;
        }
        match reload(old, file) {
            Ok(new) => return Box::new(new),
            Err(err) => tracing::error!(
                event = "config_refused",
                error = format!("{err:#}"),
                "the previous configuration stays in force; correct the file and send SIGHUP again"
            ),
        }
    }
}

/// Loads the configuration, and checks what the start of the daemon would otherwise fail on.
fn reload(old: &Config, file: &Path) -> anyhow::Result<Config> {
    let new = Config::check(s3up_cli::config::load(file)?)?;
    GatewayClient::new(&new.server).map_err(|err| anyhow::anyhow!(error_chain(&err)))?;
    if new.database != old.database {
        bail!(
            "database.path: expected {:?}, found {:?}; restart the agent to change it",
            old.database,
            new.database
        );
    }
    Ok(new)
}
