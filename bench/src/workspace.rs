//! The environment of one case: a temporary directory, the settings of the run,
//! our programs and the servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use tempfile::TempDir;

use crate::clients;
use crate::server::Server;

/// A temporary directory, which is removed when this is dropped, and the settings
/// of the run. Programs are taken from the directory of the running one.
pub struct Workspace {
    pub rounds: usize,
    /// Length of the long streams in GiB.
    pub gib: u64,
    directory: TempDir,
    programs: PathBuf,
}

impl Workspace {
    pub fn new(parent: &Path, rounds: usize, gib: u64) -> anyhow::Result<Workspace> {
        let directory = TempDir::with_prefix_in("s3up-bench-", parent);
        let directory = directory.with_context(|| format!("create a directory in {parent:?}"))?;
        let this = std::env::current_exe().context("find the path of this program")?;
        let programs = this.parent().context("find the directory of this program")?.to_owned();
        let workspace = Workspace { rounds, gib, directory, programs };
        let aws_config = workspace.path("aws-config");
        fs::write(aws_config, clients::AWS_CONFIG).context("write the configuration of aws")?;
        Ok(workspace)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("write {path:?}"))?;
        Ok(path)
    }

    /// Returns a command that runs one of our programs against the S3 server at
    /// `url`.
    pub fn command(&self, name: &str, url: &str) -> Command {
        let mut command = clients::command(self.program(name), url, self.directory());
        command.stdout(Stdio::null());
        command
    }

    pub fn null_server(&self, arguments: &[&str]) -> anyhow::Result<Server> {
        let mut command = Command::new(self.program("s3up-bench"));
        Server::start(command.arg("null-server").args(arguments), "listening on ")
    }

    pub fn devstore(&self, arguments: &[&str]) -> anyhow::Result<Server> {
        let mut command = Command::new(self.program("s3up-devstore"));
        command.arg("--root").arg(self.path("devstore")).args(["--bucket", clients::BUCKET]);
        command.args(["--access-key-id", clients::KEY_ID]).args(arguments);
        command.env("S3UP_DEVSTORE_SECRET_ACCESS_KEY", clients::SECRET);
        Server::start(&mut command, "listening on ")
    }

    /// Returns the path of one of our programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }
}
