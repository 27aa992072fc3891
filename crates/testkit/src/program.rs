//! Finds and runs programs of the system.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

/// Searched after `PATH`, which often lacks directories with programs for root.
const MORE_DIRS: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"];

/// Returns the absolute path of a program.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(MORE_DIRS.map(PathBuf::from));
    dirs.filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Runs a program that must succeed, and returns its stdout.
pub fn run<A: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = A>) -> Vec<u8> {
    try_run(name, args).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Runs a program. The error contains the command and its stderr.
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
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed: {}: {}", output.status, stderr.trim_end()))
}
