//! Both shutdown signals. The test has a process of its own, because signal
//! handlers apply to the whole process.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rustix::process::{Signal as UnixSignal, getpid, kill_process};
use s3up_cli::{Exit, Signal, wait_for_shutdown};

#[test]
fn each_signal_has_its_own_exit_code() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (sent, want, exit) in [
        (UnixSignal::TERM, Signal::Terminated, Exit::Terminated),
        (UnixSignal::INT, Signal::Interrupted, Exit::Interrupted),
    ] {
        let got = runtime.block_on(async {
            let mut shutdown = pin!(wait_for_shutdown());
            let first = shutdown.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(first, Poll::Pending);
            kill_process(getpid(), sent).unwrap();
            shutdown.await
        });
        assert_eq!(got, want);
        assert_eq!(Exit::from(got), exit);
    }
}
