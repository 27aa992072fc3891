//! The commands `completions` and `man` of each program: files for shells and for `man`, which a package
//! installs.
//!
//! Both are made from the arguments that the program parses, so they are never stale. They are hidden
//! from the help, because a person rarely needs them.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;

use crate::Exit;

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

impl ShellFilesCommand {
    /// Prints or writes the files for a program.
    pub fn run(&self, mut program: Command) -> anyhow::Result<Exit> {
        match self {
            ShellFilesCommand::Completions { shell } => {
                let name = program.get_name().to_owned();
                let mut script = Vec::new();
                clap_complete::generate(*shell, &mut program, name, &mut script);
                std::io::stdout().write_all(&script).context("write to standard output")?;
            }
            ShellFilesCommand::Man { dir } => write_pages(program, dir)?,
        }
        Ok(Exit::Done)
    }
}

fn write_pages(program: Command, dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("create {dir:?}"))?;
    clap_mangen::generate_to(program, dir)
        .with_context(|| format!("write manual pages into {dir:?}"))
}
