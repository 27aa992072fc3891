//! Names the files of a snapshot that the kernel could not read.
//!
//! `btrfs send` only says "Input/output error". The kernel log has the number of the subvolume and
//! the inode of each block whose checksum was wrong.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use s3up_core::error_chain;

use crate::tool::{Btrfs, ToolError};

const KERNEL_LOG: &str = "/dev/kmsg";
/// Maximum length of one record of the kernel log.
const RECORD_BYTES_MAX: usize = 8192;
/// The kernel log has at most some ten thousand records.
const RECORDS_MAX: usize = 1_000_000;
/// Maximum number of files that are named.
const NAMED_MAX: usize = 5;

/// Logs which files of `snapshot`, a snapshot of the subvolume `name`, cannot be read.
pub async fn log_unreadable(btrfs: &Btrfs, name: &str, snapshot: &Path) {
    let inodes = match unreadable_inodes(btrfs, snapshot).await {
        Ok(inodes) => inodes,
        Err(why) => {
            tracing::warn!(event = "kernel_log_not_read", subvolume = %name, "{why}");
            BTreeSet::new()
        }
    };
    if inodes.is_empty() {
        tracing::error!(
            event = "read_error",
            subvolume = %name,
            "a block of the snapshot cannot be read; look for BTRFS in the kernel log (`dmesg`), \
             find the path of an inode with `btrfs inspect-internal inode-resolve`, and check the \
             disk (`btrfs device stats`, `btrfs scrub`)"
        );
    }
    for inode in inodes.into_iter().take(NAMED_MAX) {
        let path = match path_of(btrfs, inode, snapshot).await {
            Ok(path) => path,
            Err(err) => format!("unknown: {}", error_chain(&err)),
        };
        tracing::error!(
            event = "file_unreadable",
            subvolume = %name,
            inode,
            %path,
            "a block of this file cannot be read (see BTRFS in the kernel log, `dmesg`); restore it \
             from an earlier backup, and check the disk with `btrfs scrub`"
        );
    }
}

async fn unreadable_inodes(btrfs: &Btrfs, snapshot: &Path) -> Result<BTreeSet<u64>, String> {
    let arguments = ["inspect-internal", "rootid"].map(OsStr::new);
    let arguments = [&arguments[..], &[snapshot.as_ref()]].concat();
    let root = btrfs.run(&arguments).await.map_err(|err| error_chain(&err))?;
    let root = root.trim().to_owned();
    let reading = tokio::task::spawn_blocking(|| kernel_log(Path::new(KERNEL_LOG)));
    let log = reading.await.map_err(|err| err.to_string())?;
    let log = log.map_err(|err| format!("read {KERNEL_LOG}: {err}"))?;
    Ok(log.iter().filter_map(|line| inode_in(line, &root)).collect())
}

/// Returns the lines about btrfs that the kernel log has now. Each read returns one record.
fn kernel_log(path: &Path) -> io::Result<Vec<String>> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let (mut lines, mut record) = (Vec::new(), vec![0; RECORD_BYTES_MAX]);
    for _ in 0..RECORDS_MAX {
        match file.read(&mut record) {
            Ok(0) => break,
            Ok(bytes) => {
                let line = String::from_utf8_lossy(&record[..bytes]);
                lines.extend(line.contains("BTRFS").then(|| line.into_owned()));
            }
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
            // The record was overwritten meanwhile; the next one is there.
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => {}
            Err(err) => return Err(err),
        }
    }
    Ok(lines)
}

/// Returns the inode in a line like `csum failed root 256 ino 257 off 0 …` about this subvolume.
fn inode_in(line: &str, root: &str) -> Option<u64> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "root").skip(1);
    if words.next()? != root || words.next()? != "ino" {
        return None;
    }
    words.next()?.parse().ok()
}

/// Returns the path of an inode below `snapshot`.
async fn path_of(btrfs: &Btrfs, inode: u64, snapshot: &Path) -> Result<String, ToolError> {
    let number = inode.to_string();
    let arguments = ["inspect-internal", "inode-resolve", &number].map(OsStr::new);
    let found = btrfs.run(&[&arguments[..], &[snapshot.as_ref()]].concat()).await?;
    let first = found.lines().next().unwrap_or_default();
    Ok(Path::new(first).strip_prefix(snapshot).unwrap_or(Path::new(first)).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inode_of_a_wrong_checksum_is_found() {
        const LINE: &str = "4,1,2,-;BTRFS warning (device loop0): csum failed root 256 ino 257 off \
                            4096 csum 0x8941f998 expected csum 0xe3b0c442 mirror 1\n";
        assert_eq!(inode_in(LINE, "256"), Some(257));
        assert_eq!(inode_in(LINE, "5"), None);
        assert_eq!(
            inode_in("6,1,2,-;BTRFS info (device loop0): scrub: started on devid 1", "5"),
            None
        );
        assert_eq!(inode_in("BTRFS: root 256 ino", "256"), None);
    }
}
