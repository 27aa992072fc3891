//! Both signals, in a process of their own: handlers belong to all of it.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rustix::process::{Signal, getpid, kill_process};
use s3up_cli::{Exit, Stop, until_stopped};

#[test]
fn each_signal_is_told_apart() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (sent, want, exit) in [
        (Signal::TERM, Stop::Terminated, Exit::Terminated),
        (Signal::INT, Stop::Interrupted, Exit::Interrupted),
    ] {
        let got = runtime.block_on(async {
            let mut stopped = pin!(until_stopped());
            let first = stopped.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(first, Poll::Pending);
            kill_process(getpid(), sent).unwrap();
            stopped.await
        });
        assert_eq!(got, want);
        assert_eq!(Exit::from(got), exit);
    }
}
