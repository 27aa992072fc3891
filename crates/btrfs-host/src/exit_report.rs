//! Reports how a child process ended, with the first and the last lines of its stderr.

use std::fmt;
use std::process::ExitStatus;

/// The first bytes of stderr are kept, because the first error is often the cause of the others.
pub const HEAD_BYTES: usize = 1024;
/// The last bytes of stderr are kept.
pub const TAIL_BYTES: usize = 4096;
const HEAD_LINES: usize = 3;
const TAIL_LINES: usize = 10;

/// Exit status and stderr of a child process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitReport {
    pub status: ExitStatus,
    /// The first and the last lines of stderr.
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

/// Text that a program wrote to stderr: its beginning and its end.
#[derive(Debug, Default)]
pub struct StderrText {
    head: Vec<u8>,
    tail: Vec<u8>,
    /// Number of bytes between the two, which were dropped.
    dropped: u64,
}

impl StderrText {
    pub fn of(bytes: &[u8]) -> StderrText {
        let mut text = StderrText::default();
        text.add(bytes);
        text
    }

    pub fn add(&mut self, bytes: &[u8]) {
        let (head, tail) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(tail);
        if self.tail.len() > 2 * TAIL_BYTES {
            let surplus = self.tail.len() - TAIL_BYTES;
            self.tail.drain(..surplus);
            self.dropped += surplus as u64;
        }
    }

    /// Returns the first and the last lines, joined to one. Control characters, which the names
    /// of files may contain, are escaped.
    pub fn to_line(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if self.dropped == 0 {
            let all = text(&[&self.head[..], &self.tail[..]].concat());
            let lines = lines_of(&all);
            if lines.len() <= HEAD_LINES + TAIL_LINES {
                return lines.join("; ");
            }
        }
        let (head, tail) = (text(&self.head), text(&self.tail));
        let (head, tail) = (lines_of(&head), lines_of(&tail));
        let all = [&head[..], &tail[..]].concat();
        let first = &all[..all.len().min(HEAD_LINES)];
        let last = &all[all.len().saturating_sub(TAIL_LINES).max(first.len())..];
        format!("{}; …; {}", first.join("; "), last.join("; "))
    }
}

fn lines_of(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.chars().map(escaped).collect()).collect()
}

fn escaped(c: char) -> String {
    if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stderr_becomes_one_line() {
        let line = |bytes: &[u8]| StderrText::of(bytes).to_line();
        assert_eq!(line(b""), "");
        assert_eq!(line(b"ERROR: a\n\n  b \n"), "ERROR: a; b");
        assert_eq!(line(&[0xff, b'\n']), "\u{fffd}");
        assert_eq!(line(b"ERROR: open a\x1b[31m\tb\n"), "ERROR: open a\\u{1b}[31m\\tb");
    }

    #[test]
    fn a_long_stderr_keeps_its_beginning_and_its_end() {
        let mut text = StderrText::default();
        for n in 0..100_000 {
            text.add(format!("line {n}\n").as_bytes());
        }
        let line = text.to_line();
        assert!(line.starts_with("line 0; line 1; line 2; …; line 99990; "), "{line}");
        assert!(line.ends_with("; line 99998; line 99999"), "{line}");
        let few: String = (0..14).map(|n| format!("line {n}\n")).collect();
        let line = StderrText::of(few.as_bytes()).to_line();
        assert!(line.starts_with("line 0; line 1; line 2; …; line 4; "), "{line}");
    }
}
