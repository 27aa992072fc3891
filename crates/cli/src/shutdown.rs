//! Shutdown signals: SIGTERM from a service manager, SIGINT from a person.

use std::future::pending;

use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::watch;

use crate::Exit;

/// The signal that asked the process to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Terminated,
    Interrupted,
}

/// Waits for one signal; forever without a handler.
async fn receive(handler: Option<unix::Signal>) {
    let Some(mut signals) = handler else { return pending().await };
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
    /// Starts to listen. When it returns, SIGTERM and SIGINT no longer end the process by
    /// themselves. A signal for which no handler can be installed keeps its default effect.
    pub fn listen() -> ShutdownSignal {
        let terminated = signal(SignalKind::terminate()).ok();
        let interrupted = signal(SignalKind::interrupt()).ok();
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            let stop = tokio::select! {
                () = receive(terminated) => Signal::Terminated,
                () = receive(interrupted) => Signal::Interrupted,
            };
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
            Ok(None) | Err(_) => pending().await,
        }
    }
}
