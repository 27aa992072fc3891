//! Asks before a thaw, which S3 charges for, if a person is at the terminal.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, anyhow};
use s3up_cli::{Exit, ShutdownSignal};

use super::stopped_by;

/// Returns true if a person can answer a question.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks whether to thaw `what`. Fails unless the answer is yes.
pub async fn confirm_thaw(what: &str, shutdown: &ShutdownSignal) -> anyhow::Result<()> {
    let question = format!("S3 charges for a thaw. Thaw {what}? [y/N] ");
    io::stderr().write_all(question.as_bytes()).context("write to standard error")?;
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    let answer = tokio::select! {
        answer = answer => answer?.context("read the answer")?,
        stop = shutdown.wait() => return Err(stopped_by(stop)),
    };
    if is_yes(&answer) {
        return Ok(());
    }
    Err(Exit::Failed.with(anyhow!(
        "no thaw was requested, because the answer was not yes; --yes thaws without a question"
    )))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, want) in
            [("y\n", true), ("Yes\n", true), ("\n", false), ("", false), ("no\n", false)]
        {
            assert_eq!(is_yes(answer), want, "{answer:?}");
        }
    }
}
