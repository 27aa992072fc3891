//! The command line of `s3up-server`: arguments, commands, and everything they print.
//!
//! Each command has a file; [`Args`] is what clap parses. Nothing outside this
//! directory prints.

mod args;
mod check_config;
mod doctor;
mod exit_code;
mod keygen;
mod serve;
mod show;
mod sweep;

use s3up_cli::Exit;

pub use self::args::Args;
use self::args::Command;
use self::sweep::SweepArgs;

/// Runs the command that `args` name.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&args.config, args.log),
        Command::CheckConfig { online } => check_config::run(&args.config, args.log, online),
        Command::Doctor { json } => doctor::run(&args.config, args.log, json),
        Command::Sweep { older_than, dry_run, json } => {
            sweep::run(&args.config, args.log, SweepArgs { older_than, dry_run, json })
        }
        Command::Keygen { name } => keygen::run(name.as_ref()),
    }
}
