//! `s3up`: parses the arguments and runs the command.

use std::process::ExitCode;

use clap::Parser;
use s3up::commands;

fn main() -> ExitCode {
    let args = commands::Args::parse();
    s3up_cli::finish("s3up", commands::run(args))
}
