//! The start of the gateway: what the bucket and the server must keep.

pub(crate) mod checks;
pub(crate) mod error;
pub(crate) mod retry;
