//! Shutdown signals: SIGTERM from a service manager, SIGINT from a person.

use std::future::pending;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

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

/// A shutdown signal that every part of a program can wait for. Clones share it.
#[derive(Clone)]
pub struct ShutdownSignal(watch::Receiver<Option<Signal>>);

impl ShutdownSignal {
    /// Starts to listen. From then on SIGTERM and SIGINT end nothing by themselves.
    pub fn listen() -> ShutdownSignal {
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            let stop = wait_for_shutdown().await;
            sender.send_replace(Some(stop));
            // Keep the sender alive for receivers that ask later.
            sender.closed().await;
        });
        ShutdownSignal(receiver)
    }

    pub fn received(&self) -> Option<Signal> {
        *self.0.borrow()
    }

    /// Waits until the process is asked to stop.
    pub async fn wait(&self) -> Signal {
        let mut receiver = self.0.clone();
        match receiver.wait_for(Option::is_some).await.map(|stop| *stop) {
            Ok(Some(stop)) => stop,
            // The sender lives as long as any receiver.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}
