//! The command line of `s3up-server`: arguments, commands, and everything they print.
//!
//! Each command has a file; [`Args`] is what clap parses. Nothing outside this
//! directory prints.

mod args;
mod check_config;
mod doctor;
mod exit_code;
mod fleet;
mod freeze;
mod init;
mod keygen;
mod rebuild;
mod serve;
mod show;
mod sweep;

use clap::CommandFactory;
use s3up_cli::Exit;

pub use self::args::Args;
use self::args::Command;
use self::rebuild::RebuildArgs;
use self::sweep::SweepArgs;
use crate::config::ConfigFiles;

/// Returns the effective configuration as `check-config` prints it.
#[cfg(test)]
pub(crate) fn effective_yaml(config: &crate::config::Config) -> String {
    show::config::to_yaml(config)
}

/// Runs the command that `args` name.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    let files = ConfigFiles { config: args.config, env: args.env_file };
    match args.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(files, args.log),
        Command::CheckConfig { online } => check_config::run(&files, args.log, online),
        Command::Doctor { json } => doctor::run(&files, args.log, json),
        Command::Fleet { check, json } => fleet::run(&files, args.log, check, json),
        Command::Freeze { client, reason } => freeze::freeze(&files, args.log, &client, reason),
        Command::Release { client } => freeze::release(&files, args.log, &client),
        Command::Sweep { older_than, dry_run, json } => {
            sweep::run(&files, args.log, SweepArgs { older_than, dry_run, json })
        }
        Command::Rebuild { client, dry_run, json } => {
            rebuild::run(&files, args.log, RebuildArgs { client, dry_run, json })
        }
        Command::Init(init) => init::run(&files, args.log, init),
        Command::Keygen { name } => keygen::run(name.as_ref()),
        Command::ShellFiles(command) => command.run(Args::command()),
    }
}
