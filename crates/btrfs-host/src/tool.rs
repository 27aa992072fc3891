//! Finds and calls the programs of this host: `btrfs`, and those that a drill needs.
//!
//! All calls go through [`Tool`], so that all use the same program and none leaves a
//! process behind: a short call is killed when it is dropped, a long one is a
//! [`Running`](crate::child::Running).

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::exit_report::{ExitReport, StderrText};

/// Directories where Debian and others install `btrfs`. The PATH of a service or of an
/// ordinary user may lack them.
const DIRS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// A program that was found.
#[derive(Clone, Debug)]
pub struct Tool {
    name: &'static str,
    program: PathBuf,
}

/// The program `btrfs`.
#[derive(Clone, Debug)]
pub struct Btrfs(Tool);

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error(
        "the program `{name}` is neither on PATH nor in {}; install {package}",
        DIRS.join(" or ")
    )]
    NotFound { name: &'static str, package: &'static str },
    #[error("start `{command}`")]
    Start { command: String, source: io::Error },
    #[error("`{command}` failed: {outcome}")]
    Failed { command: String, outcome: ExitReport },
    #[error(
        "`{command}` failed: {outcome}; the kernel makes no snapshot of a subvolume with a swap file \
         in use: move the file to a subvolume of its own that is not backed up (`swapon --show` \
         names it)"
    )]
    SwapFile { command: String, outcome: ExitReport },
}

impl Tool {
    /// Searches the directories of `path` (the variable PATH) and [`DIRS`].
    /// `package` is the package that contains the program.
    pub fn find(
        name: &'static str,
        package: &'static str,
        path: Option<&OsStr>,
    ) -> Result<Tool, ToolError> {
        let listed = path.map(env::split_paths).into_iter().flatten();
        // An empty entry would mean the current directory.
        let dirs = listed.filter(|directory| directory.is_absolute());
        dirs.chain(DIRS.map(PathBuf::from))
            .map(|directory| directory.join(name))
            .find(|program| is_executable(program))
            .map(|program| Tool { name, program })
            .ok_or(ToolError::NotFound { name, package })
    }

    /// Prepares a call, with nothing to read and no terminal signals: this program
    /// handles Ctrl-C.
    pub fn command(&self, arguments: &[&OsStr]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Runs a short call to its end and returns its stdout.
    pub async fn run(&self, arguments: &[&OsStr]) -> Result<String, ToolError> {
        let command = || shown_as(self.name, arguments);
        let start = |source| ToolError::Start { command: command(), source };
        let output = self.command(arguments).output().await.map_err(start)?;
        if !output.status.success() {
            let stderr = StderrText::of(&output.stderr).to_line();
            let outcome = ExitReport { status: output.status, stderr };
            return Err(ToolError::Failed { command: command(), outcome });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Btrfs {
    /// See [`Tool::find`].
    pub fn find(path: Option<&OsStr>) -> Result<Btrfs, ToolError> {
        Tool::find("btrfs", "btrfs-progs", path).map(Btrfs)
    }

    pub fn program(&self) -> &Path {
        &self.0.program
    }

    /// See [`Tool::command`].
    pub fn command(&self, arguments: &[&OsStr]) -> Command {
        self.0.command(arguments)
    }

    /// See [`Tool::run`].
    pub async fn run(&self, arguments: &[&OsStr]) -> Result<String, ToolError> {
        self.0.run(arguments).await
    }

    /// Returns the version, for example `6.2`, from `btrfs --version`.
    pub async fn version(&self) -> Result<String, ToolError> {
        let text = self.run(&[OsStr::new("--version")]).await?;
        let first = text.lines().next().unwrap_or_default();
        Ok(first.trim_start_matches("btrfs-progs").trim().trim_start_matches('v').to_owned())
    }
}

fn is_executable(program: &Path) -> bool {
    let metadata = std::fs::metadata(program);
    metadata.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Formats a call of `btrfs` as a person would type it.
pub fn shown(arguments: &[&OsStr]) -> String {
    shown_as("btrfs", arguments)
}

fn shown_as(name: &str, arguments: &[&OsStr]) -> String {
    let mut text = OsString::from(name);
    for argument in arguments {
        text.push(" ");
        text.push(argument);
    }
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_executable_on_the_path_is_found() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let text = one.path().join("btrfs");
        fs::write(&text, "no program").unwrap();
        fs::set_permissions(&text, fs::Permissions::from_mode(0o644)).unwrap();
        let program = two.path().join("btrfs");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = env::join_paths([Path::new(""), one.path(), two.path()]).unwrap();

        assert_eq!(Btrfs::find(Some(&path)).unwrap().program(), program);
    }

    #[tokio::test]
    async fn a_failed_call_is_named_with_its_stderr() {
        let btrfs = Btrfs(Tool { name: "btrfs", program: PathBuf::from("/bin/sh") });
        let script = ["-c", "echo first >&2; echo last >&2; exit 3"].map(OsStr::new);

        let err = btrfs.run(&script).await.unwrap_err().to_string();

        assert!(err.ends_with("failed: exit status: 3: first; last"), "{err}");
        let silent = btrfs.run(&["-c", "exit 4"].map(OsStr::new)).await.unwrap_err().to_string();
        assert!(silent.ends_with("exit status: 4, its stderr is empty"), "{silent}");
    }

    #[tokio::test]
    async fn a_program_that_cannot_be_started_is_named() {
        let btrfs = Btrfs(Tool { name: "btrfs", program: PathBuf::from("/no/such/btrfs") });
        let err = btrfs.run(&["version"].map(OsStr::new)).await.unwrap_err();
        assert_eq!(err.to_string(), "start `btrfs version`");
    }
}
