//! Programs of the system: where they are, and running one that has to succeed.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

/// Looked at after `PATH`: a user's own often lacks what only root needs.
const MORE_DIRS: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"];

/// The absolute path of a program.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(MORE_DIRS.map(PathBuf::from));
    dirs.filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Runs a program that has to succeed, and returns what it printed.
pub fn run<A: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = A>) -> Vec<u8> {
    try_run(name, args).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The same for one that may fail; the error is the command and what it said.
pub fn try_run<A: AsRef<OsStr>>(
    name: &str,
    args: impl IntoIterator<Item = A>,
) -> Result<Vec<u8>, String> {
    let program = find(name).ok_or_else(|| format!("{name} is not installed"))?;
    let mut command = Command::new(program);
    command.args(args);
    let output = command.output().map_err(|err| format!("run {command:?}: {err}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed: {}: {}", output.status, said.trim_end()))
}
