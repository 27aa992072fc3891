//! `s3up-server`: parses arguments, loads the configuration, runs the command.
//! Decides nothing.

mod args;
mod commands;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use s3up_cli::{Exit, LogArgs};
use s3up_server::{Config, Gateway, SHUTDOWN_GRACE, ServeOptions, keygen, serve};
use tokio::net::TcpListener;

use crate::args::{Args, Command};
use crate::commands::{SweepArgs, print, start_error};

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
            if online { commands::check_server(config, args.log) } else { Ok(Exit::Done) }
        }
        Command::Doctor { json } => commands::doctor(&args.config, args.log, json),
        Command::Sweep { older_than, dry_run, json } => {
            let older_than = Duration::from_secs(u64::from(older_than) * 3600);
            commands::sweep(&args.config, args.log, SweepArgs { older_than, dry_run, json })
        }
        Command::Keygen { name } => {
            let lines = keygen::config_lines(name.as_ref());
            print(&lines.context("generate a client key")?)
        }
    }
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
    gateway.sweep_in_background();
    let options = ServeOptions { listener, tls, connections_max, grace: SHUTDOWN_GRACE };
    serve(options, gateway, shutdown).await?;
    tracing::info!(event = "stopped");
    Ok(Exit::Done)
}
