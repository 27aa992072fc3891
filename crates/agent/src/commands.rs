//! The command line of `s3up`: arguments, commands, and everything they print.
//!
//! Each command has a file; [`Args`] is what clap parses. Nothing outside this
//! directory prints or draws a progress bar.

mod args;
mod at_arg;
mod check_config;
mod cleanup;
mod drill;
mod file_lines;
mod find;
mod gateway_args;
mod get;
mod headings;
mod init;
mod list;
mod output;
mod output_args;
mod restore;
mod retry;
mod run;
mod scan;
mod show;
mod start;
mod status;
mod verify;

use std::time::Duration;

use anyhow::Context;
use clap::CommandFactory;
use s3up_cli::Exit;
use s3up_cli::config::LoadedConfig;

pub use self::args::Args;
use self::args::{Command, RemoteCommand};
use crate::config::{Config, Raw};
use crate::gateway::client::{GatewayAccess, GatewayClient};

/// Time that threads get at the end, to finish a read or to resolve a name.
const RUNTIME_GRACE: Duration = Duration::from_secs(1);

/// Runs the command that `args` name.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    let command = args.command.unwrap_or(Command::Run);
    if let Command::Remote(command) = &command
        && let Some(access) = command.gateway().access()?
    {
        args.log.init()?;
        return on_runtime(remote(&access, command));
    }
    if let Command::ShellFiles(command) = &command {
        return command.run(Args::command());
    }
    if let Command::Init(init) = &command {
        args.log.init()?;
        return on_runtime(init::run(init.clone(), &args.config));
    }
    let loaded: LoadedConfig<Raw> = s3up_cli::config::load(&args.config)?;
    let raw = loaded.raw.clone();
    let config = Config::check(loaded)?;
    args.log.with_config(None, raw.log.format).init()?;
    on_runtime(async {
        match command {
            Command::Run => run::run(config, &args.config).await,
            Command::Scan { output } => scan::run(config, &args.config, output).await,
            Command::Remote(command) => remote(&config.server, &command).await,
            Command::Status { path, check, max_age, json } => {
                let request = status::Request { path, check: check.then_some(max_age), json };
                status::run(config, request).await
            }
            Command::Verify(args) => verify::run(&config, &args).await,
            Command::Cleanup(args) => cleanup::run(&config, &args).await,
            Command::Drill(args) => drill::run(&config, &args).await,
            Command::Retry { path, output } => retry::run(config, path.as_deref(), output).await,
            Command::CheckConfig { output } => check_config::run(&raw, output),
            Command::Init(init) => init::run(init, &args.config).await,
            Command::ShellFiles(command) => command.run(Args::command()),
        }
    })
}

async fn remote(access: &GatewayAccess, command: &RemoteCommand) -> anyhow::Result<Exit> {
    let gateway = GatewayClient::new(access)?;
    match command {
        RemoteCommand::List(args) => list::run(gateway, args).await,
        RemoteCommand::Find(args) => find::run(gateway, args).await,
        RemoteCommand::Get(args) => get::run(gateway, args).await,
        RemoteCommand::Restore(args) => restore::run(gateway, args).await,
    }
}

fn on_runtime(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let exit = runtime.block_on(command);
    // A thread that hashes a file, or waits for a hanging disk, must not delay the end.
    runtime.shutdown_timeout(RUNTIME_GRACE);
    exit
}
