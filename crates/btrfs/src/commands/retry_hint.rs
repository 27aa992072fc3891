//! The hint at the end of an error: the command to run again later, as it was typed.

use std::ffi::OsString;

use s3up_cli::Exit;

/// Is left out of the hint, because the next run should wait.
const NO_WAIT: &str = "--no-wait-restore";

/// Returns the error of a command that has to wait for a thaw. It ends with the command to run
/// later.
pub fn later(what: &str) -> anyhow::Error {
    let command = quoted(std::env::args_os());
    Exit::WaitingForThaw.with(anyhow::anyhow!("{what}; run again later: {command}"))
}

/// Returns the error of a command that found archived objects and may not thaw them. It ends with
/// the command that does.
pub fn thaw_with(what: &str, option: &str) -> anyhow::Error {
    let command = quoted(std::env::args_os().chain([OsString::from(option)]));
    Exit::WaitingForThaw
        .with(anyhow::anyhow!("{what}; to thaw them, which S3 charges for, run: {command}"))
}

/// Quotes arguments for a shell.
fn quoted(arguments: impl Iterator<Item = OsString>) -> String {
    let words = arguments.filter(|argument| argument != NO_WAIT);
    let words: Vec<_> = words.map(|word| quote(&word.to_string_lossy())).collect();
    words.join(" ")
}

fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_quoted_for_a_shell() {
        let words = [
            "btrfs-to-s3",
            "thaw",
            NO_WAIT,
            "--at",
            "2026-01-31 12:00",
            "it's",
            "",
            "--set",
            "a.b=1",
        ];
        let command = quoted(words.into_iter().map(OsString::from));
        assert_eq!(command, r"btrfs-to-s3 thaw --at '2026-01-31 12:00' 'it'\''s' '' --set a.b=1");
    }
}
