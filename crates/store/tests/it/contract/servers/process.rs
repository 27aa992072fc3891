//! A server that runs as a child process.
//!
//! It ends with the test: the test stops it and waits for it, and if the test fails
//! before that, it is killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Time for a server to start on a busy machine.
pub const START_TIME_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Process(Child);

/// Returns the path in an environment variable, if it is set.
pub fn path_in(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable)?);
    (!path.as_os_str().is_empty()).then_some(path)
}

/// Starts a program and waits until `find` finds something in a line on its stderr.
/// Later lines are read and dropped, so that the program never blocks on a full
/// pipe.
pub async fn start<T>(
    command: &mut Command,
    find: impl Fn(&str) -> Option<T>,
) -> Result<(Process, T), String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|err| format!("start {command:?}: {err}"))?;
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let mut printed = Vec::new();
    let searching = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(found) = find(&line) {
                return Some(found);
            }
            printed.push(line);
        }
        None
    };
    match tokio::time::timeout(START_TIME_MAX, searching).await {
        Ok(Some(found)) => {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            Ok((Process(child), found))
        }
        Ok(None) | Err(_) => Err(format!("{command:?} did not start: {}", printed.join("\n"))),
    }
}

/// Runs a program to its end; a failure is an error.
pub async fn run(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().await;
    let output = output.map_err(|err| format!("run {}: {err}", program.display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{} {arguments:?}: {}", program.display(), text(&output.stderr)))
}

impl Process {
    pub async fn stop(mut self) {
        self.0.kill().await.expect("a child that can be killed and waited for");
    }
}
