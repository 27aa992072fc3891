//! `s3up-server`: parses arguments, loads the configuration, runs the command.
//! Decides nothing.

mod args;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use s3up_cli::{Exit, LogArgs, ServiceState};
use s3up_server::{
    Config, ConfigFiles, Gateway, ReloadSource, SHUTDOWN_GRACE, ServeOptions, StartError,
    check_online, keygen, serve,
};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Args, Command};

/// Small uploads make many short allocations on all threads. With the allocator
/// of the system they take a sixth of the gateway's time (`bench/README.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Open files that are no connections: the database, temporary files of forms, certificates.
const OTHER_FILES: u64 = 480;

fn main() -> ExitCode {
    let args = Args::parse();
    s3up_cli::finish("s3up-server", run(args))
}

fn run(args: Args) -> anyhow::Result<Exit> {
    let files = ConfigFiles { config: args.config, env: args.env_file };
    match args.command.unwrap_or(Command::Serve) {
        Command::Serve => serve_config(files, args.log),
        Command::CheckConfig { online } => {
            let config = files.load()?;
            print(&config.summary())?;
            if online { check_server(config, args.log) } else { Ok(Exit::Done) }
        }
        Command::Keygen { name } => {
            let lines = keygen::config_lines(name.as_ref());
            print(&lines.context("generate a client key")?)
        }
    }
}

fn print(text: &str) -> anyhow::Result<Exit> {
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")?;
    Ok(Exit::Done)
}

/// Examines the S3 server of the configuration.
#[tokio::main]
async fn check_server(config: Config, log: LogArgs) -> anyhow::Result<Exit> {
    log.with_config(None, config.log_format).init()?;
    let online = check_online(config).await.map_err(start_error)?;
    print(&online.to_table())?;
    let problems = online.problems();
    if let Some(failed) = online.failed {
        let what = "check-config: an upload as the gateway makes it failed";
        return Err(anyhow::anyhow!(failed).context(what));
    }
    if problems > 0 {
        anyhow::bail!("check-config: problems found: {problems}; see the fixes above");
    }
    Ok(Exit::Done)
}

#[tokio::main]
async fn serve_config(files: ConfigFiles, log: LogArgs) -> anyhow::Result<Exit> {
    // Before anything that takes time: until then SIGHUP ends the process.
    let hangups = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    let config = files.load()?;
    log.with_config(None, config.log_format).init()?;
    warn_if_open_to_all_users(&files);
    let (listen, tls, connections_max) =
        (config.listen, config.tls.clone(), config.connections_max);
    raise_open_files(connections_max);
    let reloads = ReloadSource::new(files, &config);
    // Before the socket is open, so that every accepted request can be served.
    let gateway = Gateway::start(config).await.map_err(start_error)?;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    let address = listener.local_addr().context("get the address of the listening socket")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(event = "started", url = format!("{scheme}://{address}"));
    reloads.start(&gateway, hangups);
    s3up_cli::notify(ServiceState::Ready);
    // Until the end of the process: a stop that hangs is noticed too.
    tokio::spawn(s3up_cli::feed_watchdog());
    let shutdown = async {
        s3up_cli::wait_for_shutdown().await;
        s3up_cli::notify(ServiceState::Stopping);
    };
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

/// A demand of the configuration that the bucket or S3 does not meet exits with
/// code 2: a repetition would fail in the same way.
fn start_error(err: StartError) -> anyhow::Error {
    match err {
        StartError::Versioning { .. } => Exit::Usage.with(err),
        StartError::Connect(_)
        | StartError::Probe(_)
        | StartError::Database(_)
        | StartError::Random(_) => err.into(),
    }
}
