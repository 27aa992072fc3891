//! Shutdown signals: SIGTERM from a service manager, SIGINT from a person.

use std::future::pending;

use tokio::signal::unix::{SignalKind, signal};

use crate::Exit;

/// The signal that asked the process to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Terminated,
    Interrupted,
}

/// Waits for SIGTERM or SIGINT. After its first poll these signals no longer end
/// the process by themselves. Call it again to wait for a second signal.
pub async fn wait_for_shutdown() -> Signal {
    tokio::select! {
        () = receive(SignalKind::terminate()) => Signal::Terminated,
        () = receive(SignalKind::interrupt()) => Signal::Interrupted,
    }
}

/// Waits for one signal of this kind. It waits forever if no handler can be
/// installed: the signal then keeps its default effect and ends the process.
async fn receive(kind: SignalKind) {
    let Ok(mut signals) = signal(kind) else { return pending().await };
    if signals.recv().await.is_none() {
        pending().await
    }
}

/// The exit code of a command that a signal interrupted. Daemons exit with 0.
impl From<Signal> for Exit {
    fn from(signal: Signal) -> Exit {
        match signal {
            Signal::Terminated => Exit::Terminated,
            Signal::Interrupted => Exit::Interrupted,
        }
    }
}
