//! The states of files: protected, pending, baseline, excluded, problem.
//!
//! Pure: no file, no database, no clock.

pub mod agent_fact;
pub mod counts;
pub mod decide;
pub mod drill_record;
pub mod existing_files;
pub mod gateway_state;
pub mod problem;
pub mod version;
pub mod watch_history;
pub mod watcher_state;
