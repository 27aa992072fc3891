//! Both shutdown signals. The test has a process of its own, because signal
//! handlers apply to the whole process.

use rustix::process::{Signal as UnixSignal, getpid, kill_process};
use s3up_cli::{Exit, ShutdownSignal, Signal};

#[test]
fn each_signal_has_its_own_exit_code() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (sent, want, exit) in [
        (UnixSignal::TERM, Signal::Terminated, Exit::Terminated),
        (UnixSignal::INT, Signal::Interrupted, Exit::Interrupted),
    ] {
        let got = runtime.block_on(async {
            let shutdown = ShutdownSignal::listen();
            // At once: no task of the runtime has been polled yet.
            kill_process(getpid(), sent).unwrap();
            shutdown.wait().await
        });
        assert_eq!(got, want);
        assert_eq!(Exit::from(got), exit);
    }
}
