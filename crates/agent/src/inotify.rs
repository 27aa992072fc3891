//! The watcher: what changed, told within moments.
//!
//! It only makes things fast; the scan makes them right. So it never blocks the
//! kernel's queue longer than a folder takes to list, it keeps what it has not
//! handed over keyed by path, and whatever it cannot watch or has missed
//! becomes a scan: an overflow, a limit of the kernel, a root that went away.
//!
//! Here: the descriptor and the task around it. Which folders are watched, and
//! what an event means, is in `tree`.

mod tree;

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use self::tree::Tree;
use crate::settle::Touch;
use crate::watch::{Name, Watch, WatchIndex};

/// Events taken from the kernel at a time. Its queue holds 16,384 by default.
const EVENTS_MAX: usize = 16_384;
const READ_BYTES: usize = 256 * 1024;

/// What happened since it was last told.
#[derive(Debug, Default)]
pub struct News {
    pub touched: HashMap<Name, Touch>,
    /// Watches of which something was missed.
    pub rescan: BTreeSet<WatchIndex>,
    /// The kernel's queue ran over.
    pub overflow: bool,
    /// Set where a folder could not be watched.
    pub degraded: Option<Degraded>,
}

/// Folders that cannot be watched: they are scanned more often instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Degraded {
    pub needed: usize,
    pub unwatched: usize,
}

/// Talks to the watcher's task.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Arm>,
}

#[derive(Debug)]
struct Arm {
    watch: WatchIndex,
    done: oneshot::Sender<Option<Degraded>>,
}

#[derive(Debug)]
struct Watcher {
    fd: AsyncFd<Arc<OwnedFd>>,
    tree: Option<Tree>,
    news: News,
}

/// One event, as the kernel told it.
#[derive(Debug)]
struct Event {
    folder: i32,
    flags: ReadFlags,
    name: OsString,
}

/// Starts a watcher that watches nothing yet; it ends when its handles and the
/// receiver are dropped.
pub fn start(watches: Vec<Arc<Watch>>) -> std::io::Result<(Handle, mpsc::Receiver<News>)> {
    let fd = Arc::new(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?);
    let tree = Tree::new(fd.clone(), watches);
    let watcher = Watcher { fd: async_fd(fd)?, tree: Some(tree), news: News::default() };
    let (commands, commanded) = mpsc::channel(1);
    let (sender, news) = mpsc::channel(1);
    tokio::spawn(watcher.run(commanded, sender));
    Ok((Handle { commands }, news))
}

#[expect(
    deprecated,
    reason = "what replaces it is an unsafe fn; an Arc<OwnedFd> keeps the promise that it asks for"
)]
fn async_fd(fd: Arc<OwnedFd>) -> std::io::Result<AsyncFd<Arc<OwnedFd>>> {
    AsyncFd::with_interest(fd, tokio::io::Interest::READABLE)
}

impl Handle {
    /// Watches every folder of `watch`, also those that could not be watched
    /// before. Files that are there are not told: a scan follows.
    pub async fn arm(&self, watch: WatchIndex) -> Option<Degraded> {
        let (done, armed) = oneshot::channel();
        self.commands.send(Arm { watch, done }).await.ok()?;
        armed.await.ok()?
    }
}

impl Watcher {
    async fn run(mut self, mut commands: mpsc::Receiver<Arm>, sender: mpsc::Sender<News>) {
        let mut buffer = vec![MaybeUninit::uninit(); READ_BYTES];
        loop {
            tokio::select! {
                permit = sender.reserve(), if !self.news.is_empty() => match permit {
                    Ok(permit) => permit.send(std::mem::take(&mut self.news)),
                    Err(_) => return,
                },
                command = commands.recv() => match command {
                    Some(Arm { watch, done }) => {
                        let degraded = self.with_tree(move |tree, _| tree.arm(watch)).await;
                        // Nobody waits for it any more: the scan was dropped.
                        done.send(degraded.flatten()).ok();
                    }
                    None => return,
                },
                events = read(&self.fd, &mut buffer) => self.apply(events).await,
            }
        }
    }

    async fn apply(&mut self, events: Vec<Event>) {
        let lists_folders = events.iter().any(|event| tree::lists_folders(event.flags));
        if lists_folders {
            self.with_tree(move |tree, news| tree.apply(events, news)).await;
        } else if let Some(tree) = &mut self.tree {
            tree.apply(events, &mut self.news);
        }
    }

    /// Runs `work` on a thread that may wait for the disk.
    async fn with_tree<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Tree, &mut News) -> T + Send + 'static,
    ) -> Option<T> {
        let mut tree = self.tree.take()?;
        let mut news = std::mem::take(&mut self.news);
        let worked = tokio::task::spawn_blocking(move || {
            let result = work(&mut tree, &mut news);
            (tree, news, result)
        });
        let (tree, news, result) = worked.await.ok()?;
        self.tree = Some(tree);
        self.news = news;
        Some(result)
    }
}

impl News {
    pub fn is_empty(&self) -> bool {
        self.touched.is_empty()
            && self.rescan.is_empty()
            && !self.overflow
            && self.degraded.is_none()
    }
}

/// Waits for events and takes what there is.
async fn read(fd: &AsyncFd<Arc<OwnedFd>>, buffer: &mut [MaybeUninit<u8>]) -> Vec<Event> {
    let mut events = Vec::new();
    let Ok(mut ready) = fd.readable().await else { return events };
    let mut reader = inotify::Reader::new(fd.get_ref().as_ref(), buffer);
    while events.len() < EVENTS_MAX || !reader.is_buffer_empty() {
        match reader.next() {
            Ok(event) => events.push(Event {
                folder: event.wd(),
                flags: event.events(),
                name: event.file_name().map_or_else(OsString::new, |name| {
                    OsStr::from_bytes(name.to_bytes()).to_owned()
                }),
            }),
            Err(Errno::INTR) => {}
            // Nothing left (EAGAIN), or nothing that a read could mend.
            Err(_) => {
                ready.clear_ready();
                break;
            }
        }
    }
    events
}
