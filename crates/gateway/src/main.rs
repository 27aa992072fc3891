//! `s3up-server`: reads arguments, builds the parts, runs them. Decides nothing.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use s3up_cli::{Exit, LogArgs};
use s3up_server::{Config, Front, GRACE, Gateway, StartError, keygen, serve};
use tokio::net::TcpListener;

/// Small uploads are many short allocations on all threads: with the system's a
/// sixth of the gateway's time (`bench/README.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Take files from clients over HTTP and store them in S3
#[derive(Parser)]
#[command(version, name = "s3up-server")]
struct Args {
    /// Configuration file (YAML or TOML)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/s3up-server/server.yaml"
    )]
    config: PathBuf,
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway (the default)
    Serve,
    /// Check the configuration file, then exit
    CheckConfig,
    /// Print a new API key and the lines for both configuration files
    Keygen,
}

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
        Command::Keygen => print(&keygen::lines().context("make an API key")?),
    }
}

fn print(text: &str) -> anyhow::Result<Exit> {
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")?;
    Ok(Exit::Done)
}

#[tokio::main]
async fn serve_config(path: &std::path::Path, log: LogArgs) -> anyhow::Result<Exit> {
    let config = Config::load(path)?;
    log.with_config(None, config.log_format).init()?;
    let (listen, tls, connections_max) =
        (config.listen, config.tls.clone(), config.connections_max);
    // Before the socket is open, so that whoever can connect is served.
    let gateway = Gateway::start(config).await.map_err(not_started)?;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    let address = listener.local_addr().context("ask for the listening address")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(event = "started", url = format!("{scheme}://{address}"));
    let stopped = async {
        s3up_cli::wait_for_shutdown().await;
    };
    serve(Front { listener, tls, connections_max, grace: GRACE }, gateway, stopped).await?;
    tracing::info!(event = "stopped");
    Ok(Exit::Done)
}

fn not_started(err: StartError) -> anyhow::Error {
    match err {
        StartError::Overwrite { .. } => Exit::Usage.with(err),
        StartError::Connect(_) | StartError::Probe(_) | StartError::Versioning { .. } => err.into(),
    }
}
