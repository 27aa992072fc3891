//! `s3up-server`: parses arguments, loads the configuration, runs the command.
//! Decides nothing.

mod args;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use s3up_cli::{Exit, LogArgs};
use s3up_server::{
    Config, Gateway, SHUTDOWN_GRACE, ServeOptions, StartError, check_online, keygen, serve,
};
use tokio::net::TcpListener;

use crate::args::{Args, Command};

/// Small uploads make many short allocations on all threads. With the allocator
/// of the system they take a sixth of the gateway's time (`bench/README.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    s3up_cli::finish("s3up-server", run(args))
}

fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command.unwrap_or(Command::Serve) {
        Command::Serve => serve_config(&args.config, args.log),
        Command::CheckConfig { online } => {
            let config = Config::load(&args.config)?;
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
async fn serve_config(path: &Path, log: LogArgs) -> anyhow::Result<Exit> {
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
    let options = ServeOptions { listener, tls, connections_max, grace: SHUTDOWN_GRACE };
    serve(options, gateway, shutdown).await?;
    tracing::info!(event = "stopped");
    Ok(Exit::Done)
}

/// A demand of the configuration that the bucket or S3 does not meet exits with
/// code 2: a repetition would fail in the same way.
fn start_error(err: StartError) -> anyhow::Error {
    match err {
        StartError::Overwrite { .. } | StartError::Versioning { .. } => Exit::Usage.with(err),
        StartError::Connect(_)
        | StartError::Probe(_)
        | StartError::Database(_)
        | StartError::Random(_) => err.into(),
    }
}
