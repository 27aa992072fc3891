//! Tells the gateway of this agent: a heartbeat each minute, and a report of each day.
//!
//! A task of its own beside the daemon. It reads what the daemon has recorded, and counts the
//! files by the scan of `s3up status`, so that the numbers are those that a person sees. A report
//! is kept in the database until the gateway takes it; heartbeats are not kept.

pub mod messages;
pub mod schedule;
pub mod task;
