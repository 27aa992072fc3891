//! `s3up`: reads arguments, builds the parts, runs them. Decides nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use s3up::agent::{Agent, StartError};
use s3up::client::Gateway;
use s3up::config::{self, Config, Raw};
use s3up::daemon::{self, Summary};
use s3up::db::LockError;
use s3up::get::{self, Target};
use s3up::status;
use s3up_cli::config::Loaded;
use s3up_cli::{Exit, LogArgs};
use s3up_core::Size;

/// What still reads a file or resolves a name when all is done.
const RUNTIME_GRACE: Duration = Duration::from_secs(1);

/// Watch folders and upload settled files through the gateway
#[derive(Parser)]
#[command(version, name = "s3up")]
struct Args {
    /// Configuration file (YAML or TOML)
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/s3up/client.yaml")]
    config: PathBuf,
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Watch and upload until stopped (the default)
    Run,
    /// Scan once, upload everything pending, then exit
    Scan,
    /// Download one file, checked
    Get {
        /// Remote path, as in the client's own namespace
        path: String,
        /// File to write, replaced when the download is complete (- for standard output)
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show in which state every file is
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the configuration file and print what is in force, then exit
    CheckConfig,
}

fn main() -> ExitCode {
    let args = Args::parse();
    s3up_cli::finish("s3up", run(args))
}

fn run(args: Args) -> anyhow::Result<Exit> {
    let loaded: Loaded<Raw> = s3up_cli::config::load(&args.config)?;
    let raw = loaded.raw.clone();
    let config = Config::check(loaded)?;
    args.log.with_config(None, raw.log.format).init()?;
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let exit = runtime.block_on(async {
        match args.command.unwrap_or(Command::Run) {
            Command::Run => watch(config, &args.config).await,
            Command::Scan => scan(config).await,
            Command::Get { path, output } => download(config, &path, output).await,
            Command::Status { json } => show_status(config, json).await,
            Command::CheckConfig => print(&raw.to_yaml()),
        }
    });
    // A file that is being hashed, or a disk that hangs, does not hold up the end.
    runtime.shutdown_timeout(RUNTIME_GRACE);
    exit
}

async fn watch(config: Config, file: &Path) -> anyhow::Result<Exit> {
    if config::is_readable_by_all(file) {
        tracing::warn!(
            event = "config_readable",
            file = %file.display(),
            "every user of this host can read the API key; chmod 0640 it",
        );
    }
    let agent = start(config).await?;
    daemon::run(agent, s3up_cli::wait_for_shutdown()).await;
    Ok(Exit::Done)
}

async fn scan(config: Config) -> anyhow::Result<Exit> {
    let agent = start(config).await?;
    let mut stopped = None;
    let stop = async { stopped = Some(s3up_cli::wait_for_shutdown().await) };
    let summary = daemon::scan_once(agent, stop).await;
    print(&summary.to_string())?;
    Ok(stopped.map_or_else(|| exit_of(&summary), Exit::from))
}

fn exit_of(summary: &Summary) -> Exit {
    if summary.is_clean() {
        Exit::Done
    } else if summary.is_partial() {
        Exit::Partial
    } else {
        Exit::Failed
    }
}

async fn start(config: Config) -> anyhow::Result<Agent> {
    Agent::start(config).await.map_err(|err| match err {
        StartError::Lock(LockError::Held { .. }) => Exit::Locked.with(err),
        StartError::Lock(_) | StartError::Db(_) | StartError::Client(_) => err.into(),
    })
}

async fn download(config: Config, path: &str, output: Option<PathBuf>) -> anyhow::Result<Exit> {
    let path = get::parse_path(path)?;
    let gateway = Gateway::new(&config.server)?;
    let target = Target::of(output.as_deref(), &path);
    let got = get::get(&gateway, &path, &target, &mut tokio::io::stdout()).await?;
    let checked = if got.verified { "SHA-256" } else { "length only" };
    let size = Size(got.bytes);
    tracing::info!(event = "get_done", path = path.as_str(), bytes = got.bytes, checked, "{size}");
    Ok(Exit::Done)
}

async fn show_status(config: Config, json: bool) -> anyhow::Result<Exit> {
    let status = status::status(&config).await?;
    if json {
        let json = serde_json::to_string_pretty(&status).context("write the status as JSON")?;
        print(&format!("{json}\n"))?;
    } else {
        print(&status.to_string())?;
    }
    Ok(Exit::Done)
}

fn print(text: &str) -> anyhow::Result<Exit> {
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")?;
    Ok(Exit::Done)
}
