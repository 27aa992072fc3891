//! Carries a call to the server: connection, time limits, retries, rates, and the
//! capabilities of the server.

pub(crate) mod bandwidth;
mod call;
pub(crate) mod call_counters;
pub(crate) mod capabilities;
pub(crate) mod checksums;
pub(crate) mod connect;
pub(crate) mod credentials;
pub(crate) mod form_call;
pub(crate) mod latencies;
pub(crate) mod pace;
pub(crate) mod reachability;
mod renewal;
pub(crate) mod request_form;
mod retry;
mod throttle;
