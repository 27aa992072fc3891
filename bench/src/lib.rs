//! Benchmarks: how fast, with how much CPU and memory, beside what else there
//! is.
//!
//! [`Sink`] is an S3 server that costs nearly nothing, so that what is measured
//! is the client. A [`Case`](cases::Case) sets up a world and names contenders;
//! each is a whole process, run in turn with the others ([`measure`]); the
//! figures become a table ([`report`]). [`load`] has the clients that are no
//! program of ours or of others: bare SDK, engine, HTTP.

pub mod cases;
pub mod load;
pub mod measure;
pub mod report;
pub mod sink;
pub mod stats;
pub mod throttle;
pub mod tools;
pub mod world;

pub use sink::Sink;
