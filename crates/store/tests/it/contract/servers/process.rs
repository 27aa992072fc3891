//! A server of somebody else, as a child process.
//!
//! It ends with the test: asked to and waited for, or killed where the test
//! fails before that.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// For a server to start on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Process(Child);

/// The path that a variable names, if it is set to something.
pub fn path_in(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable)?);
    (!path.as_os_str().is_empty()).then_some(path)
}

/// Waits until the program has said a line on stderr in which `find` finds what
/// is looked for. What it says later is read and forgotten, so that it never
/// waits for a reader.
pub async fn start<T>(
    command: &mut Command,
    find: impl Fn(&str) -> Option<T>,
) -> Result<(Process, T), String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|err| format!("start {command:?}: {err}"))?;
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let mut said = Vec::new();
    let finding = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(found) = find(&line) {
                return Some(found);
            }
            said.push(line);
        }
        None
    };
    match tokio::time::timeout(PATIENCE, finding).await {
        Ok(Some(found)) => {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            Ok((Process(child), found))
        }
        Ok(None) | Err(_) => Err(format!("{command:?} did not start: {}", said.join("\n"))),
    }
}

/// Runs a program to its end, which has to be a good one.
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
