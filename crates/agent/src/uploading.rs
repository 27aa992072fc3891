//! Uploading: which file is next, how it is sent, and when it is retried.

mod batch;
pub mod batch_switch;
pub mod circuit_breaker;
pub mod classify;
pub mod concurrency;
mod content;
pub mod hot_file;
pub mod outcome;
pub mod queue;
mod recheck;
pub mod retry;
pub mod stable_copy;
pub mod task;
pub mod upload;
