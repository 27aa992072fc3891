//! The state of the watcher, as the running agent publishes it.

use std::fmt;

/// Text of a complete watcher in the database. Older agents wrote it, too.
const COMPLETE: &str = "ok";
/// Text of an agent without a watcher.
const OFF: &str = "off";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatcherState {
    /// All directories are watched, except for those of watches with `poll: true`.
    Complete,
    /// The agent does not watch: it scans once, or all of its watches have `poll: true`.
    Off,
    /// Events of some directories are missed; the text says why and what to do.
    Degraded(String),
}

impl WatcherState {
    /// Parses the text that `Display` writes.
    pub fn parse(text: &str) -> WatcherState {
        match text {
            COMPLETE => WatcherState::Complete,
            OFF => WatcherState::Off,
            degraded => WatcherState::Degraded(degraded.to_owned()),
        }
    }
}

impl fmt::Display for WatcherState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WatcherState::Complete => f.write_str(COMPLETE),
            WatcherState::Off => f.write_str(OFF),
            WatcherState::Degraded(text) => f.write_str(text),
        }
    }
}
