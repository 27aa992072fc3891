//! Reports how a child process ended, with the last lines of its stderr.

use std::fmt;
use std::process::ExitStatus;

/// Only the end of stderr is kept.
pub const TAIL_BYTES: usize = 4096;
const TAIL_LINES: usize = 10;

/// Exit status and stderr of a child process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitReport {
    pub status: ExitStatus,
    /// The last lines of stderr.
    pub stderr: String,
}

impl fmt::Display for ExitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stderr.is_empty() {
            write!(f, "{}, its stderr is empty", self.status)
        } else {
            write!(f, "{}: {}", self.status, self.stderr)
        }
    }
}

/// Returns the last lines, joined to one.
pub fn tail_of(bytes: &[u8]) -> String {
    let bytes = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_one_line() {
        assert_eq!(tail_of(b""), "");
        assert_eq!(tail_of(b"ERROR: a\n\n  b \n"), "ERROR: a; b");
        assert_eq!(tail_of(&[0xff, b'\n']), "\u{fffd}");
    }
}
