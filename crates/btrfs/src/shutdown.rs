//! Tells every part of the program when SIGTERM or SIGINT asks it to stop.

use s3up_cli::{Signal, wait_for_shutdown};
use tokio::sync::watch;

/// A receiver of the signal. Clones share it.
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

    pub fn now(&self) -> Option<Signal> {
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
