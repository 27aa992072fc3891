//! The gateway's API, as a typed client.
//!
//! The key goes to the configured gateway only: the client follows no redirect,
//! takes no proxy from the environment, and with `server.ca_file` trusts no
//! other authority. A transfer may take as long as it needs, but it has to make
//! progress.

pub mod address;
pub mod batch;
pub mod client;
pub mod error;
mod handshake;
mod idle_timer;
mod response;
mod timeouts;
