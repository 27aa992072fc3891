//! Whether this process was asked to stop, for whoever can stop.

use s3up_cli::{Signal, wait_for_shutdown};
use tokio::sync::watch;

/// Clones share what they know.
#[derive(Clone)]
pub struct ShutdownSignal(watch::Receiver<Option<Signal>>);

impl ShutdownSignal {
    /// From now on SIGTERM and SIGINT end nothing by themselves.
    pub fn listen() -> ShutdownSignal {
        let (said, heard) = watch::channel(None);
        tokio::spawn(async move {
            let stop = wait_for_shutdown().await;
            said.send_replace(Some(stop));
            // Whoever asks later has to hear it, too.
            said.closed().await;
        });
        ShutdownSignal(heard)
    }

    pub fn now(&self) -> Option<Signal> {
        *self.0.borrow()
    }

    /// Waits until the process is asked to stop.
    pub async fn wait(&self) -> Signal {
        let mut heard = self.0.clone();
        match heard.wait_for(Option::is_some).await.map(|stop| *stop) {
            Ok(Some(stop)) => stop,
            // The task above lives as long as any receiver.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}
