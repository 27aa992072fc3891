//! The gateway's API, as a typed client.
//!
//! A transfer may take as long as it needs, but it has to make progress. How requests are sent and what
//! their answers mean is in `s3up_gateway_client`.

pub mod bandwidth;
pub mod batch;
pub mod client;
mod idle_timer;
mod timeouts;

pub use s3up_gateway_client::{address, error};
