//! `s3up-server serve`: runs the gateway until a signal stops it.

use std::path::Path;

use anyhow::Context;
use s3up_cli::{Exit, LogArgs};
use tokio::net::TcpListener;

use super::exit_code::start_error;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::server::{SHUTDOWN_GRACE, ServeOptions, serve};

#[tokio::main]
pub(super) async fn run(path: &Path, log: LogArgs) -> anyhow::Result<Exit> {
    let config = Config::load(path)?;
    log.with_config(None, config.log_format).init()?;
    if s3up_cli::is_open_to_all_users(path) {
        tracing::warn!(
            event = "config_world_readable",
            path = %path.display(),
            "every user of this host can read or change this file, which may hold client keys and \
             S3 credentials; run chmod 600 on it",
        );
    }
    let (listen, tls, connections_max) =
        (config.listen, config.tls.clone(), config.connections_max);
    // Before the socket is open, so that every accepted request can be served.
    let gateway = Gateway::start(config).await.map_err(start_error)?;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    let address = listener.local_addr().context("get the address of the listening socket")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(event = "started", url = format!("{scheme}://{address}"));
    let shutdown = async {
        s3up_cli::wait_for_shutdown().await;
    };
    gateway.sweep_in_background();
    let options = ServeOptions { listener, tls, connections_max, grace: SHUTDOWN_GRACE };
    serve(options, gateway, shutdown).await?;
    tracing::info!(event = "stopped");
    Ok(Exit::Done)
}
