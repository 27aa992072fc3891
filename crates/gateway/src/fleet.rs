//! The fleet: what the gateway knows of each client, and whether its files are safe.
//!
//! [`judge`] is a pure function over facts and thresholds. [`watch`] applies it each minute and records
//! changes of a state, so that a state survives a restart and is the same on all gateways of one
//! database.

pub(crate) mod judge;
pub(crate) mod overview;
pub(crate) mod watch;
