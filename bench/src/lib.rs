//! Benchmarks: time, CPU and memory of our programs, compared with other tools.
//!
//! A [`Case`](cases::Case) prepares a [`workspace`] and names its contenders.
//! Each contender is a whole process, run in turn with the others ([`measure`]),
//! and the measurements become a table ([`report`]; [`latencies`] of single requests). [`NullServer`] is an S3
//! server that costs nearly nothing, so that the client is what is measured.
//! [`load`] has the clients that are not programs by themselves: the bare SDK,
//! the store and plain HTTP.

pub mod cases;
pub mod clients;
pub mod console;
pub mod disk_limit;
pub mod latencies;
pub mod load;
pub mod measure;
pub mod noise;
pub mod null_server;
pub mod report;
pub mod server;
pub mod stats;
pub mod units;
pub mod workspace;

pub use null_server::NullServer;
