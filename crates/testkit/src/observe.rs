//! Reads every entry of a directory with all properties that a restore must rebuild.
//!
//! Names are bytes, symlinks are not followed, and files are hashed in pieces.
//! Inode numbers are not part of the result, only which names are hard links of
//! one file. Not here: atime and ctime, which a restore cannot set, and the holes
//! of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{lgetxattr, llistxattr, major, minor};
use s3up_core::{Sha256, Sha256Digest};

const PIECE_BYTES: usize = 1 << 17;
/// Limit of the kernel for one value, and for all names of one file.
const XATTR_BYTES_MAX: usize = 1 << 16;

/// All entries of a directory, and the directory itself as ".".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub entries: BTreeMap<PathBuf, ObservedEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedEntry {
    pub kind: ObservedKind,
    /// Permission bits, including setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970, and nanoseconds within the second.
    pub mtime: (i64, i64),
    /// All names of this file, if it has several below the directory.
    pub links: BTreeSet<PathBuf>,
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservedKind {
    File { size: u64, sha256: Sha256Digest },
    Dir,
    Symlink { target: PathBuf },
    Fifo,
    Socket,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

/// Reads everything below `root`.
pub fn observe(root: &Path) -> Observed {
    let mut entries = BTreeMap::new();
    let mut names_of_inode: BTreeMap<_, BTreeSet<PathBuf>> = BTreeMap::new();
    let mut waiting = vec![PathBuf::from(".")];
    while let Some(path) = waiting.pop() {
        let full = root.join(&path);
        let (metadata, entry) =
            observe_entry(&full).unwrap_or_else(|err| panic!("read {}: {err}", full.display()));
        if entry.kind == ObservedKind::Dir {
            waiting.extend(names_in(&full).map(|name| below(&path, name)));
        } else if metadata.nlink() > 1 {
            let inode = (metadata.dev(), metadata.ino());
            names_of_inode.entry(inode).or_default().insert(path.clone());
        }
        entries.insert(path, entry);
    }
    for names in names_of_inode.values().filter(|names| names.len() > 1) {
        for name in names {
            entries.get_mut(name).expect("an entry that was just read").links = names.clone();
        }
    }
    Observed { entries }
}

fn observe_entry(path: &Path) -> io::Result<(Metadata, ObservedEntry)> {
    let metadata = fs::symlink_metadata(path)?;
    let entry = ObservedEntry {
        kind: kind(path, &metadata)?,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        links: BTreeSet::new(),
        xattrs: xattrs(path)?,
    };
    Ok((metadata, entry))
}

fn kind(path: &Path, metadata: &Metadata) -> io::Result<ObservedKind> {
    let is = metadata.file_type();
    let (major, minor) = (major(metadata.rdev()), minor(metadata.rdev()));
    Ok(match () {
        () if is.is_file() => ObservedKind::File { size: metadata.len(), sha256: hash(path)? },
        () if is.is_dir() => ObservedKind::Dir,
        () if is.is_symlink() => ObservedKind::Symlink { target: fs::read_link(path)? },
        () if is.is_fifo() => ObservedKind::Fifo,
        () if is.is_socket() => ObservedKind::Socket,
        () if is.is_char_device() => ObservedKind::CharDevice { major, minor },
        () => ObservedKind::BlockDevice { major, minor },
    })
}

fn hash(path: &Path) -> io::Result<Sha256Digest> {
    let (mut file, mut hasher) = (File::open(path)?, Sha256::default());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            len => hasher.update(&piece[..len]),
        }
    }
}

fn xattrs(path: &Path) -> io::Result<BTreeMap<OsString, Vec<u8>>> {
    let mut names = vec![0; XATTR_BYTES_MAX];
    let len = llistxattr(path, names.as_mut_slice())?;
    let names = names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; XATTR_BYTES_MAX];
        let len = lgetxattr(path, name, value.as_mut_slice())?;
        value.truncate(len);
        Ok((OsString::from_vec(name.to_vec()), value))
    };
    names.map(value).collect()
}

fn names_in(dir: &Path) -> impl Iterator<Item = OsString> {
    let entries = fs::read_dir(dir).unwrap_or_else(|err| panic!("read {}: {err}", dir.display()));
    entries.map(|entry| entry.expect("an entry of a directory").file_name())
}

/// Returns the path of an entry, without the "." of the root.
fn below(dir: &Path, name: OsString) -> PathBuf {
    if dir == Path::new(".") { PathBuf::from(name) } else { dir.join(name) }
}
