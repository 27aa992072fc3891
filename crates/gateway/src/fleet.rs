//! The fleet: what the gateway knows of each client, and whether its files are safe.
//!
//! [`judge`] is a pure function over facts and thresholds. [`watch`] applies it each minute and records
//! changes of a state, so that a state survives a restart and is the same on all gateways of one
//! database. [`deliver`] sends the alerts.

mod backups;
pub(crate) mod deliver;
mod found;
pub(crate) mod judge;
pub(crate) mod overview;
pub(crate) mod watch;

use crate::alert::Channel;
use crate::gateway::Gateway;

/// Judges the clients, delivers alerts and pings, beside the requests.
pub(crate) fn run_in_background(gateway: &Gateway) {
    gateway.spawn(watch::watch(gateway.clone()));
    for channel in Channel::ALL {
        gateway.spawn(deliver::deliver_all(gateway.clone(), channel));
    }
    gateway.spawn(deliver::ping_all(gateway.clone()));
}
