//! Tells the service manager what a daemon does (sd_notify(3)). Without one, nothing happens.

use sd_notify::NotifyState;

/// A change of the state of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// It does its work.
    Ready,
    /// It reads its configuration again; [`ServiceState::Ready`] follows.
    Reloading,
    Stopping,
}

/// Reports a change of state to the service manager.
pub fn notify(state: ServiceState) {
    let sent = match state {
        ServiceState::Ready => sd_notify::notify(&[NotifyState::Ready]),
        ServiceState::Reloading => NotifyState::monotonic_usec_now()
            .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])),
        ServiceState::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
    };
    log(sent);
}

/// Tells the service manager a line for `systemctl status`.
pub fn notify_status(line: &str) {
    log(sd_notify::notify(&[NotifyState::Status(line)]));
}

/// Tells the service manager that the runtime works, as often as it asks for it (`WatchdogSec=`).
/// Returns at once if it does not.
pub async fn feed_watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    loop {
        log(sd_notify::notify(&[NotifyState::Watchdog]));
        // Half of the limit, as sd_watchdog_enabled(3) recommends.
        tokio::time::sleep(limit / 2).await;
    }
}

fn log(sent: std::io::Result<()>) {
    if let Err(err) = sent {
        tracing::warn!(event = "service_manager_not_notified", error = %err);
    }
}
