//! `s3up-server`: parses arguments, loads the configuration, runs the command.
//! Decides nothing.

mod args;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use s3up_cli::{Exit, LogArgs};
use s3up_server::{Config, Gateway, SHUTDOWN_GRACE, ServeOptions, StartError, keygen, serve};
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
        Command::CheckConfig => {
            let config = Config::load(&args.config)?;
            print(&config.summary())
        }
        Command::Keygen => print(&keygen::config_lines().context("generate a client key")?),
    }
}

fn print(text: &str) -> anyhow::Result<Exit> {
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")?;
    Ok(Exit::Done)
}

#[tokio::main]
async fn serve_config(path: &Path, log: LogArgs) -> anyhow::Result<Exit> {
    let config = Config::load(path)?;
    log.with_config(None, config.log_format).init()?;
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

/// An error that a change of the configuration resolves exits with code 2.
fn start_error(err: StartError) -> anyhow::Error {
    match err {
        StartError::Overwrite { .. } => Exit::Usage.with(err),
        StartError::Connect(_)
        | StartError::Probe(_)
        | StartError::Versioning { .. }
        | StartError::Database(_)
        | StartError::Random(_) => err.into(),
    }
}
