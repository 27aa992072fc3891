//! The way of a call to the server: the connection, time limits, retries, rates, and
//! what the server was found to honour.

pub(crate) mod bandwidth;
mod call;
pub(crate) mod capabilities;
pub(crate) mod checksums;
mod conditions;
pub(crate) mod connect;
pub(crate) mod findings;
pub(crate) mod lifecycle;
pub(crate) mod pace;
pub(crate) mod probe;
mod probe_checksums;
pub(crate) mod probe_upload;
mod retry;
mod throttle;
