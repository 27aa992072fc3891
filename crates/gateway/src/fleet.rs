//! The fleet: what the gateway knows of each client, and whether its files are safe.
//!
//! [`judge`] is a pure function over facts and thresholds, and so are [`incidents`] and [`daily_report`].
//! [`watch`] applies them each minute and records what changed, so that it survives a restart and is the same
//! on all gateways of one database; [`observe`] gathers the facts. [`deliver`] sends the alerts.

mod backups;
mod complaint;
pub(crate) mod daily_report;
mod database_outage;
pub(crate) mod deliver;
pub(crate) mod incidents;
pub(crate) mod judge;
pub(crate) mod observe;
pub(crate) mod overview;
#[cfg(test)]
mod tests;
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
