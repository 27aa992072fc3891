//! Reads raw events from the inotify descriptor.

use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::inotify::{self, ReadFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// Maximum number of events per read. The kernel queues 16,384 by default.
const EVENTS_MAX: usize = 16_384;

/// One event, as the kernel reports it.
#[derive(Debug)]
pub(super) struct KernelEvent {
    /// Watch descriptor of the directory.
    pub(super) directory: i32,
    pub(super) flags: ReadFlags,
    /// Name of the entry; empty if the event is about the directory itself.
    pub(super) name: OsString,
}

/// Waits until there are events and returns those that are queued.
pub(super) async fn read(
    fd: &AsyncFd<Arc<OwnedFd>>,
    buffer: &mut [MaybeUninit<u8>],
) -> Vec<KernelEvent> {
    let mut events = Vec::new();
    let Ok(mut ready) = fd.readable().await else { return events };
    let mut reader = inotify::Reader::new(fd.get_ref().as_ref(), buffer);
    while events.len() < EVENTS_MAX || !reader.is_buffer_empty() {
        match reader.next() {
            Ok(event) => events.push(KernelEvent {
                directory: event.wd(),
                flags: event.events(),
                name: event.file_name().map_or_else(OsString::new, |name| {
                    OsStr::from_bytes(name.to_bytes()).to_owned()
                }),
            }),
            Err(Errno::INTR) => {}
            // No event left (EAGAIN), or an error that another read cannot fix.
            Err(_) => {
                ready.clear_ready();
                break;
            }
        }
    }
    events
}
