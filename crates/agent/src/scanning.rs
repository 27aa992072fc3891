//! Scanning: the walk of a watch, and its comparison with the database.

pub mod live_databases;
mod low_priority;
pub mod missing_files;
pub mod scan;
pub mod schedule;
pub mod walk;
