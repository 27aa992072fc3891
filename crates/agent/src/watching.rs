//! The watcher: reports changes in the watched directories within moments.
//!
//! The watcher makes uploads fast; the scan makes them complete. So the watcher
//! never leaves the kernel's queue unread for longer than it takes to list a
//! directory, and it collects events by path until the agent takes them. Whatever
//! it cannot watch or has missed (a queue overflow, the kernel's limit, a root
//! that went away) becomes a scan.
//!
//! This file has the inotify descriptor and the task around it. Which directories
//! are watched, and what an event means, is in `dir_watches`.

mod dir_watches;
mod kernel_events;
mod watch_events;

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use self::dir_watches::DirWatches;
use self::kernel_events::KernelEvent;
pub use self::watch_events::{WatchEvents, WatchGaps};
use crate::files::watch::{Watch, WatchIndex};

const READ_BYTES: usize = 256 * 1024;

/// Sends commands to the watcher's task.
#[derive(Clone, Debug)]
pub struct WatcherHandle {
    commands: mpsc::Sender<AddWatches>,
}

#[derive(Debug)]
struct AddWatches {
    watch: WatchIndex,
    done: oneshot::Sender<Option<WatchGaps>>,
}

#[derive(Debug)]
struct Watcher {
    fd: AsyncFd<Arc<OwnedFd>>,
    dirs: Option<DirWatches>,
    unreported: WatchEvents,
}

/// The reason why nothing can be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchStartError {
    #[error("open an inotify instance")]
    NoInstance(#[source] std::io::Error),
    /// Watches are set by the descriptor of a directory, which has a name there.
    #[error("open a directory through /proc/self/fd")]
    NoProc(#[source] std::io::Error),
}

impl WatchStartError {
    /// Returns the command that repairs it.
    pub fn fix(&self) -> &'static str {
        match self {
            WatchStartError::NoInstance(_) => "sysctl fs.inotify.max_user_instances=1024",
            WatchStartError::NoProc(_) => "mount -t proc proc /proc",
        }
    }
}

/// Starts a watcher that watches no directory yet. It ends when its handles and
/// the receiver are dropped.
pub fn start(
    watches: Vec<Arc<Watch>>,
) -> Result<(WatcherHandle, mpsc::Receiver<WatchEvents>), WatchStartError> {
    let flags = CreateFlags::NONBLOCK | CreateFlags::CLOEXEC;
    let fd = inotify::init(flags).map_err(|err| WatchStartError::NoInstance(err.into()))?;
    dir_watches::probe(&fd).map_err(WatchStartError::NoProc)?;
    let fd = Arc::new(fd);
    let dirs = DirWatches::new(fd.clone(), watches);
    let fd = async_fd(fd).map_err(WatchStartError::NoInstance)?;
    let watcher = Watcher { fd, dirs: Some(dirs), unreported: WatchEvents::default() };
    let (commands, received_commands) = mpsc::channel(1);
    let (sender, events) = mpsc::channel(1);
    tokio::spawn(watcher.run(received_commands, sender));
    Ok((WatcherHandle { commands }, events))
}

#[expect(
    deprecated,
    reason = "its replacement is an unsafe fn; an Arc<OwnedFd> meets the condition of that fn"
)]
fn async_fd(fd: Arc<OwnedFd>) -> std::io::Result<AsyncFd<Arc<OwnedFd>>> {
    AsyncFd::with_interest(fd, tokio::io::Interest::READABLE)
}

impl WatcherHandle {
    /// Watches every directory of `watch`, also those that could not be watched
    /// before. Existing files are not reported, because a scan follows.
    pub async fn add_watches(&self, watch: WatchIndex) -> Option<WatchGaps> {
        let (done, answer) = oneshot::channel();
        self.commands.send(AddWatches { watch, done }).await.ok()?;
        answer.await.ok()?
    }
}

impl Watcher {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<AddWatches>,
        sender: mpsc::Sender<WatchEvents>,
    ) {
        let mut buffer = vec![MaybeUninit::uninit(); READ_BYTES];
        loop {
            tokio::select! {
                permit = sender.reserve(), if !self.unreported.is_empty() => match permit {
                    Ok(permit) => permit.send(std::mem::take(&mut self.unreported)),
                    Err(_) => return,
                },
                command = commands.recv() => match command {
                    Some(AddWatches { watch, done }) => {
                        let added = move |dirs: &mut DirWatches, report: &mut WatchEvents| {
                            let gaps = dirs.add_watches(watch);
                            // The agent hears of it before the scan ends, which may take long.
                            report.degraded = Some(gaps.clone());
                            gaps
                        };
                        let degraded = self.with_dirs(added).await;
                        // Fails if the scan that asked was dropped.
                        done.send(degraded.flatten()).ok();
                    }
                    None => return,
                },
                events = kernel_events::read(&self.fd, &mut buffer) => self.apply(events).await,
            }
        }
    }

    async fn apply(&mut self, events: Vec<KernelEvent>) {
        let lists_dirs = events.iter().any(|event| dir_watches::lists_dirs(event.flags));
        if lists_dirs {
            self.with_dirs(move |dirs, report| dirs.apply(events, report)).await;
        } else if let Some(dirs) = &mut self.dirs {
            dirs.apply(events, &mut self.unreported);
        }
    }

    /// Runs `work` on a thread that may wait for the disk.
    async fn with_dirs<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut DirWatches, &mut WatchEvents) -> T + Send + 'static,
    ) -> Option<T> {
        let mut dirs = self.dirs.take()?;
        let mut report = std::mem::take(&mut self.unreported);
        let task = tokio::task::spawn_blocking(move || {
            let result = work(&mut dirs, &mut report);
            (dirs, report, result)
        });
        let (dirs, report, result) = task.await.ok()?;
        self.dirs = Some(dirs);
        self.unreported = report;
        Some(result)
    }
}
