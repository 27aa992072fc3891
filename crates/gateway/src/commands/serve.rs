//! `s3up-server serve`: runs the gateway until a signal stops it.

use std::sync::Arc;

use anyhow::Context;
use s3up_cli::{Exit, LogArgs, ServiceState, ShutdownSignal};
use tokio::signal::unix::{SignalKind, signal};

use super::exit_code::start_error;
use crate::config::{Config, ConfigFiles};
use crate::dashboard;
use crate::fleet;
use crate::gateway::Gateway;
use crate::reload::Reloader;
use crate::renewal;
use crate::s3_outage;
use crate::server::{self, SHUTDOWN_GRACE, ServeOptions, serve};

/// Open files that are no connections: the database, temporary files of forms, certificates.
const OTHER_FILES: u64 = 480;

#[tokio::main]
pub(super) async fn run(files: ConfigFiles, log: LogArgs) -> anyhow::Result<Exit> {
    // Before anything that takes time: until then SIGHUP ends the process.
    let hangups = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    let config = files.load()?;
    log.with_config(None, config.log_format).init()?;
    warn_if_open_to_all_users(&files);
    let (listen, tls, connections_max) =
        (config.listen, config.tls.clone(), config.connections_max);
    raise_open_files(connections_max);
    let (env_file, fixed) = (files.env.clone(), config.fixed_settings());
    let load = Arc::new(move || files.load().map(Config::into_loaded));
    // Before the socket is open, so that every accepted request can be served.
    let gateway = Gateway::start(config).await.map_err(start_error)?;
    let listener = server::listen(listen).with_context(|| format!("listen on {listen}"))?;
    // Before the start is announced: from then on, a signal may stop the gateway.
    let signals = ShutdownSignal::listen();
    let address = listener.local_addr().context("get the address of the listening socket")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(event = "started", url = format!("{scheme}://{address}"));
    let reloader = Reloader { gateway: gateway.clone(), env_file, load, fixed };
    gateway.spawn(renewal::watch(reloader.clone()));
    gateway.spawn(reloader.reload_at(hangups));
    s3up_cli::notify(ServiceState::Ready);
    // Until the end of the process: a stop that hangs is noticed too.
    tokio::spawn(s3up_cli::feed_watchdog());
    let shutdown = async {
        signals.wait().await;
        s3up_cli::notify(ServiceState::Stopping);
    };
    gateway.spawn(s3_outage::watch(gateway.clone()));
    gateway.sweep_in_background();
    fleet::run_in_background(&gateway);
    dashboard::run_in_background(&gateway);
    let options = ServeOptions { listener, tls, connections_max, grace: SHUTDOWN_GRACE };
    serve(options, gateway, shutdown).await?;
    tracing::info!(event = "stopped");
    Ok(Exit::Done)
}

/// Raises the limit of open files to what the connections need, and warns if it cannot: the gateway
/// would then accept connections that it cannot serve.
fn raise_open_files(connections_max: usize) {
    // Each connection of a client may need one to S3.
    let needed = 2 * connections_max as u64 + OTHER_FILES;
    let limit = s3up_cli::raise_open_files(needed);
    if limit < needed {
        tracing::warn!(
            event = "open_files_limited",
            limit,
            needed,
            "the limit of open files is too low for `server.max_connections`; raise LimitNOFILE= of \
             the service, or lower `server.max_connections`"
        );
    }
}

fn warn_if_open_to_all_users(files: &ConfigFiles) {
    for path in std::iter::once(&files.config).chain(&files.env) {
        if s3up_cli::is_open_to_all_users(path) {
            tracing::warn!(
                event = "config_world_readable",
                path = %path.display(),
                "every user of this host can read or change this file, which may hold client keys \
                 and S3 credentials; run chmod 600 on it",
            );
        }
    }
}
