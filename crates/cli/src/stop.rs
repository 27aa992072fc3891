//! When to stop: SIGTERM from a service manager, SIGINT from a person.

use std::future::pending;

use tokio::signal::unix::{SignalKind, signal};

use crate::Exit;

/// Which signal asked the process to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Terminated,
    Interrupted,
}

/// Waits for SIGTERM or SIGINT. From the first poll on these no longer end the
/// process by themselves; call it again to see a second one.
pub async fn until_stopped() -> Stop {
    tokio::select! {
        () = received(SignalKind::terminate()) => Stop::Terminated,
        () = received(SignalKind::interrupt()) => Stop::Interrupted,
    }
}

/// Never ends where no handler can be installed: then the signal still has its
/// default effect and ends the process.
async fn received(kind: SignalKind) {
    let Ok(mut signals) = signal(kind) else { return pending().await };
    if signals.recv().await.is_none() {
        pending().await
    }
}

/// How a command that was to end by itself reports that it was stopped.
impl From<Stop> for Exit {
    fn from(stop: Stop) -> Exit {
        match stop {
            Stop::Terminated => Exit::Terminated,
            Stop::Interrupted => Exit::Interrupted,
        }
    }
}
