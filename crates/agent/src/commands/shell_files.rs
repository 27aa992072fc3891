//! `s3up completions` and `s3up man`: files for shells and for `man`, which a package installs.
//!
//! Both are made from the arguments that the program parses, so they are never stale. They are hidden
//! from the help, because a person rarely needs them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap_complete::Shell;
use s3up_cli::Exit;

use super::show;

const PROGRAM: &str = "s3up";

#[derive(Clone, Debug, clap::Subcommand)]
pub enum ShellFilesCommand {
    /// Print the completions for a shell
    #[command(hide = true)]
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: Shell,
    },
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man { dir: PathBuf },
}

/// `program` is what the program parses.
pub(super) fn run(command: &ShellFilesCommand, mut program: clap::Command) -> anyhow::Result<Exit> {
    match command {
        ShellFilesCommand::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut program, PROGRAM, &mut script);
            show::print(&String::from_utf8_lossy(&script))?;
        }
        ShellFilesCommand::Man { dir } => write_pages(program, dir)?,
    }
    Ok(Exit::Done)
}

fn write_pages(program: clap::Command, dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("create {dir:?}"))?;
    clap_mangen::generate_to(program, dir)
        .with_context(|| format!("write manual pages into {dir:?}"))
}
