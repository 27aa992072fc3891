//! The command line of `s3up`: arguments, commands, and everything they print.
//!
//! Each command has a file; [`Args`] is what clap parses. Nothing outside this
//! directory prints or draws a progress bar.

mod args;
mod check_config;
mod get;
mod retry;
mod run;
mod scan;
mod show;
mod start;
mod status;

use std::time::Duration;

use anyhow::Context;
use s3up_cli::Exit;
use s3up_cli::config::LoadedConfig;

pub use self::args::Args;
use self::args::Command;
use crate::config::{Config, Raw};
use crate::download::Existing;

/// Time that threads get at the end, to finish a read or to resolve a name.
const RUNTIME_GRACE: Duration = Duration::from_secs(1);

/// Runs the command that `args` name.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    let loaded: LoadedConfig<Raw> = s3up_cli::config::load(&args.config)?;
    let raw = loaded.raw.clone();
    let config = Config::check(loaded)?;
    args.log.with_config(None, raw.log.format).init()?;
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let exit = runtime.block_on(async {
        match args.command.unwrap_or(Command::Run) {
            Command::Run => run::run(config, &args.config).await,
            Command::Scan => scan::run(config, &args.config).await,
            Command::Get { path, output, overwrite } => {
                let existing = if overwrite { Existing::Overwrite } else { Existing::Keep };
                get::run(config, &path, output, existing).await
            }
            Command::Status { path, check, max_age, json } => {
                let request = status::Request { path, check: check.then_some(max_age), json };
                status::run(config, request).await
            }
            Command::Retry { path } => retry::run(config, path.as_deref()).await,
            Command::CheckConfig => check_config::run(&raw),
        }
    });
    // A thread that hashes a file, or waits for a hanging disk, must not delay the end.
    runtime.shutdown_timeout(RUNTIME_GRACE);
    exit
}
