//! Looks for what a send stream does not carry: inode flags and preallocated space.
//!
//! A restored file lacks NOCOW (`chattr +C`), so a database or a disk image is slower; it
//! lacks the flags a, A, d, D, i and S; and space that was reserved for it is not. A
//! directory hands NOCOW down to its new files, so it counts as well. A swap file is refused
//! by `swapon` for as long as a snapshot holds it.
//!
//! Only the inodes that a backup sends are examined, as a forecast names them, and what
//! the parent has in the same way was reported with the parent. The result is a warning,
//! not a check, so the search has limits.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{IFlags, OFlags, SeekFrom, ioctl_getflags, seek};
use s3up_core::{Size, Stopwatch};

use crate::filesystem::STAT_BLOCK_BYTES;

/// Maximum number of files that a warning names.
const NAMED_MAX: usize = 5;
/// Short compared with a first full, which takes hours.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Maximum number of entries that are examined; `TIME_MAX` ends a slower search first.
const ENTRIES_MAX: u64 = 1_000_000;
/// Flags that a stream does not carry, as `chattr` names them. Not `m`: the kernel sets it by
/// itself on every file that it cannot compress.
const FLAGS: [(char, IFlags); 6] = [
    ('a', IFlags::APPEND),
    ('A', IFlags::NOATIME),
    ('d', IFlags::NODUMP),
    ('D', IFlags::DIRSYNC),
    ('i', IFlags::IMMUTABLE),
    ('S', IFlags::SYNC),
];
/// Least preallocated space of a file that is reported. Journals and logs preallocate
/// less, and lose nothing without it.
const PREALLOCATED_MIN: u64 = 16 << 20;
/// Maximum number of extents of a file that are counted; a file in more pieces is not
/// reported.
const EXTENTS_MAX: usize = 256;
const BLOCK_BYTES: u64 = 4096;
/// The last bytes of the first page of a swap file (mkswap(8)).
const SWAP_MAGIC: &[u8; 10] = b"SWAPSPACE2";
const SWAP_MAGIC_AT: u64 = BLOCK_BYTES - SWAP_MAGIC.len() as u64;

/// Some files, the first of them by name.
#[derive(Debug, Default, PartialEq, Eq)]
struct PathCount {
    count: u64,
    first: Vec<PathBuf>,
}

/// State of a search through one snapshot.
#[derive(Debug)]
pub struct AttributeSearch {
    root: PathBuf,
    parent: Option<PathBuf>,
    searching: Stopwatch,
    examined: u64,
    is_complete: bool,
    nocow: PathCount,
    flagged: PathCount,
    flags: IFlags,
    preallocated: PathCount,
    preallocated_bytes: u64,
    swap: PathCount,
}

/// The properties of one inode that a stream loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UnsentProperties {
    flags: IFlags,
    preallocated_bytes: u64,
}

impl AttributeSearch {
    /// Begins a search in the snapshot `root`, which is sent as an incremental on
    /// `parent`.
    pub fn new(root: &Path, parent: Option<&Path>, searching: Stopwatch) -> AttributeSearch {
        AttributeSearch {
            root: root.to_owned(),
            parent: parent.map(Path::to_owned),
            searching,
            examined: 0,
            is_complete: true,
            nocow: PathCount::default(),
            flagged: PathCount::default(),
            flags: IFlags::empty(),
            preallocated: PathCount::default(),
            preallocated_bytes: 0,
            swap: PathCount::default(),
        }
    }

    /// Examines these inodes, which are paths from the root. Blocks.
    pub fn examine(&mut self, paths: &[Vec<u8>]) {
        for path in paths {
            if self.examined >= ENTRIES_MAX || self.searching.elapsed() > TIME_MAX {
                self.is_complete = false;
                return;
            }
            self.examined += 1;
            let path = Path::new(OsStr::from_bytes(path));
            match lost(&self.root.join(path)) {
                Ok(Some((lost, file))) => self.add(path, lost, &file),
                Ok(None) => {}
                Err(_) => self.is_complete = false,
            }
        }
    }

    fn add(&mut self, path: &Path, lost: UnsentProperties, file: &File) {
        let parent = self.parent.as_ref().map(|parent| parent.join(path));
        // A parent that cannot be read hides nothing: the warning is repeated.
        let before = parent.and_then(|parent| self::lost(&parent).ok().flatten());
        let before = before.map_or(UnsentProperties::NOTHING, |(lost, _)| lost);
        let flags = lost.flags.difference(before.flags);
        if flags.contains(IFlags::NOCOW) {
            self.nocow.add(path);
            if is_swap(file) {
                self.swap.add(path);
            }
        }
        let others = flags.difference(IFlags::NOCOW);
        if !others.is_empty() {
            self.flagged.add(path);
            self.flags |= others;
        }
        if lost.preallocated_bytes >= PREALLOCATED_MIN
            && before.preallocated_bytes < PREALLOCATED_MIN
        {
            self.preallocated.add(path);
            self.preallocated_bytes += lost.preallocated_bytes;
        }
    }

    /// Logs one warning for each kind of property that was found in the backup of
    /// `subvolume`.
    pub fn warn(&self, subvolume: &str) {
        let AttributeSearch { nocow, flagged, preallocated, swap, is_complete, .. } = self;
        if nocow.count > 0 {
            tracing::warn!(
                event = "nocow_files",
                %subvolume,
                count = nocow.count,
                complete = is_complete,
                first = nocow.named(),
                "`btrfs send` does not carry the flag of these files or directories that turns off \
                 copy-on-write: set it again after a restore (`chattr +C`, before they have content)"
            );
        }
        if flagged.count > 0 {
            tracing::warn!(
                event = "attributes_not_sent",
                %subvolume,
                count = flagged.count,
                flags = letters(self.flags),
                first = flagged.named(),
                "`btrfs send` does not carry the flags of these files or directories: set them again \
                 after a restore with `chattr`"
            );
        }
        if preallocated.count > 0 {
            tracing::warn!(
                event = "preallocation_not_sent",
                %subvolume,
                count = preallocated.count,
                bytes = self.preallocated_bytes,
                first = preallocated.named(),
                "`btrfs send` does not carry {} of preallocated space, which will be holes after a \
                 restore: reserve it again with `fallocate`",
                Size(self.preallocated_bytes)
            );
        }
        if swap.count > 0 {
            tracing::warn!(
                event = "swap_file_in_snapshot",
                %subvolume,
                count = swap.count,
                first = swap.named(),
                "the snapshot holds a swap file, which `swapon` refuses until the snapshot is deleted: \
                 move it to a subvolume of its own that is not backed up"
            );
        }
        if !is_complete {
            tracing::info!(
                event = "attributes_check_incomplete",
                %subvolume,
                "the search for properties that `btrfs send` does not carry is not complete: not all \
                 files were examined"
            );
        }
    }
}

impl UnsentProperties {
    const NOTHING: UnsentProperties =
        UnsentProperties { flags: IFlags::empty(), preallocated_bytes: 0 };
}

impl PathCount {
    fn add(&mut self, path: &Path) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            let is_root = path.as_os_str().is_empty();
            self.first.push(if is_root { PathBuf::from(".") } else { path.to_owned() });
        }
    }

    fn named(&self) -> String {
        let names: Vec<_> = self.first.iter().map(|path| path.display().to_string()).collect();
        names.join(", ")
    }
}

/// Returns what a stream loses of a file or directory, with the open file. Returns `None` if
/// it loses nothing.
fn lost(path: &Path) -> io::Result<Option<(UnsentProperties, File)>> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_file() && !metadata.is_dir() {
        return Ok(None);
    }
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let known = FLAGS.iter().fold(IFlags::NOCOW, |known, (_, flag)| known | *flag);
    let flags = ioctl_getflags(&file)?.intersection(known);
    let preallocated_bytes = if metadata.is_file() { preallocated(&file, &metadata)? } else { 0 };
    let lost = UnsentProperties { flags, preallocated_bytes };
    Ok((lost != UnsentProperties::NOTHING).then_some((lost, file)))
}

/// Returns the space that is allocated and holds no data, which reads as a hole.
fn preallocated(file: &File, metadata: &Metadata) -> io::Result<u64> {
    let allocated = metadata.blocks().saturating_mul(STAT_BLOCK_BYTES);
    if allocated < PREALLOCATED_MIN {
        return Ok(0);
    }
    let (mut at, mut data) = (0, 0u64);
    for _ in 0..EXTENTS_MAX {
        let start = match seek(file.as_fd(), SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data follows.
            Err(rustix::io::Errno::NXIO) => return Ok(allocated.saturating_sub(data)),
            Err(errno) => return Err(errno.into()),
        };
        let end = seek(file.as_fd(), SeekFrom::Hole(start))?;
        data += (end - start).next_multiple_of(BLOCK_BYTES);
        at = end;
    }
    Ok(0)
}

fn is_swap(file: &File) -> bool {
    let mut magic = [0; SWAP_MAGIC.len()];
    let is_read = file.read_exact_at(&mut magic, SWAP_MAGIC_AT).is_ok();
    is_read && magic == *SWAP_MAGIC
}

fn letters(flags: IFlags) -> String {
    FLAGS.iter().filter(|(_, flag)| flags.contains(*flag)).map(|(letter, _)| letter).collect()
}
