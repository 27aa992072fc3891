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

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    // One test for both signals: handlers belong to the whole process.
    #[test]
    fn each_signal_is_told_apart() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (sent, want) in [(Signal::TERM, Stop::Terminated), (Signal::INT, Stop::Interrupted)] {
            let got = runtime.block_on(async {
                let mut stopped = pin!(until_stopped());
                let first = stopped.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert_eq!(first, Poll::Pending);
                kill_process(getpid(), sent).unwrap();
                stopped.await
            });
            assert_eq!(got, want);
        }
    }
}
