//! `s3up-server`: parses the arguments and runs the command.

use std::process::ExitCode;

use clap::Parser;
use s3up_server::commands;

/// Small uploads make many short allocations on all threads. With the allocator
/// of the system they take a sixth of the gateway's time (`bench/ATTEMPTS.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = commands::Args::parse();
    s3up_cli::finish("s3up-server", commands::run(args))
}
