//! Load generators: the store of our programs, the bare SDK, and plain HTTP to the
//! gateway. `s3up-bench` runs each as a process of its own.

pub mod engine;
pub mod gateway;
pub mod latency;
pub mod objects;
pub mod stream;
