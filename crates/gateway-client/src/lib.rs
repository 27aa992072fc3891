//! The HTTP client for a gateway, as every program that calls one uses it.
//!
//! The key goes to the configured gateway only: the client follows no redirect, takes no proxy from the
//! environment, and with a CA file trusts no other authority. [`address`] checks where requests go,
//! [`http`] sends them, [`response`] says what an answer means, and [`error`] divides failures by what
//! the caller does next.
//!
//! Not here: the calls. Each program has those that it needs.

pub mod address;
pub mod error;
mod handshake;
pub mod http;
pub mod key_file;
pub mod response;
pub mod timeouts;
