//! The way of a call to the server: the connection, time limits, retries, rates, and
//! what the server was found to honour.

pub(crate) mod bandwidth;
mod call;
pub(crate) mod capabilities;
mod conditions;
pub(crate) mod connect;
pub(crate) mod pace;
pub(crate) mod probe;
mod retry;
mod throttle;
