//! A thread of low priority, on which a scan walks its watch.
//!
//! A scan reads the metadata of every file, and the programs of the host should not wait for that.
//! Its priority is not the lowest: on a host that is always busy such a scan would never end. The
//! thread ends with its work, because only a privileged process could raise its priority again.

use std::thread;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::oneshot;

/// Steps by which the nice value is above that of the process. The kernel derives the I/O priority
/// from it, unless the process was started with one of its own.
const NICE_STEPS: i32 = 10;
/// The highest nice value, which is the lowest priority.
const NICE_MAX: i32 = 19;

/// Runs `work` on a thread of its own. The receiver fails if the thread could not be started, or
/// panicked.
pub(super) fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (sender, result) = oneshot::channel();
    let run = move || {
        lower();
        // Fails if the scan was dropped.
        sender.send(work()).ok();
    };
    // An error drops the sender.
    drop(thread::Builder::new().name("scan".to_owned()).spawn(run));
    result
}

/// Lowers the priority of this thread: on Linux a nice value belongs to a thread. Where the system
/// refuses it, the work runs with the priority of the process.
fn lower() {
    if let Ok(own) = getpriority_process(None) {
        setpriority_process(None, (own + NICE_STEPS).min(NICE_MAX)).ok();
    }
}
