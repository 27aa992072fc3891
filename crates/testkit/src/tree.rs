//! Creates a file tree from a literal.
//!
//! Properties that a literal omits have fixed values (modes 644 and 755, one
//! mtime), independent of umask and clock. So the same literal always gives the
//! same tree, and two trees can be compared. Only the owner defaults to the
//! process.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink as make_symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat,
    utimensat,
};

/// Default mtime. It has nanoseconds, which a backup must keep.
const MTIME: (i64, u32) = (1_600_000_000, 123_456_789);
const FILE_MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;

/// The nodes of a tree, which are written in this order.
pub struct Tree(pub Vec<Node>);

/// One entry of a directory, with the properties that differ from the defaults.
pub struct Node {
    path: PathBuf,
    content: Content,
    mode: Option<u32>,
    owner: Option<(u32, u32)>,
    mtime: (i64, u32),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

enum Content {
    File(Vec<u8>),
    Sparse { len: u64, pieces: Vec<(u64, Vec<u8>)> },
    Dir,
    Symlink(Vec<u8>),
    HardLink(PathBuf),
    Fifo,
    CharDevice { major: u32, minor: u32 },
}

/// Returns a regular file. Names are bytes; parent directories are created as needed.
pub fn file(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Node {
    Node::new(path, Content::File(content.as_ref().to_vec()))
}

/// Returns a regular file with holes: `len` zeros, except for the pieces at their
/// offsets.
pub fn sparse(path: impl AsRef<[u8]>, len: u64, pieces: &[(u64, &[u8])]) -> Node {
    let pieces = pieces.iter().map(|(offset, piece)| (*offset, piece.to_vec())).collect();
    Node::new(path, Content::Sparse { len, pieces })
}

/// Returns a directory; "." is the one that the tree is written to.
pub fn dir(path: impl AsRef<[u8]>) -> Node {
    Node::new(path, Content::Dir)
}

pub fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Node {
    Node::new(path, Content::Symlink(target.as_ref().to_vec()))
}

/// Returns another name of an earlier node, which keeps its mode, owner and mtime.
pub fn hard_link(path: impl AsRef<[u8]>, of: impl AsRef<[u8]>) -> Node {
    Node::new(path, Content::HardLink(to_path(of)))
}

pub fn fifo(path: impl AsRef<[u8]>) -> Node {
    Node::new(path, Content::Fifo)
}

/// Returns a device node, which only root can create.
pub fn char_device(path: impl AsRef<[u8]>, major: u32, minor: u32) -> Node {
    Node::new(path, Content::CharDevice { major, minor })
}

impl Node {
    fn new(path: impl AsRef<[u8]>, content: Content) -> Node {
        let path = to_path(path);
        Node { path, content, mode: None, owner: None, mtime: MTIME, xattrs: Vec::new() }
    }

    /// Sets the permission bits, including setuid, setgid and sticky.
    pub fn mode(self, mode: u32) -> Node {
        Node { mode: Some(mode), ..self }
    }

    pub fn owner(self, uid: u32, gid: u32) -> Node {
        Node { owner: Some((uid, gid)), ..self }
    }

    /// Sets the mtime: seconds since 1970, and nanoseconds within the second.
    pub fn mtime(self, seconds: i64, nanoseconds: u32) -> Node {
        Node { mtime: (seconds, nanoseconds), ..self }
    }

    /// Adds an extended attribute. Its name has a namespace: `user.note`.
    pub fn xattr(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Node {
        self.xattrs.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    fn create(&self, root: &Path) {
        let path = root.join(&self.path);
        let created = match &self.content {
            Content::File(content) => fs::write(&path, content),
            Content::Sparse { len, pieces } => create_sparse(&path, *len, pieces),
            Content::Dir => fs::create_dir_all(&path),
            Content::Symlink(target) => make_symlink(OsStr::from_bytes(target), &path),
            Content::HardLink(of) => fs::hard_link(root.join(of), &path),
            Content::Fifo => create_node(&path, FileType::Fifo, 0),
            Content::CharDevice { major, minor } => {
                create_node(&path, FileType::CharacterDevice, makedev(*major, *minor))
            }
        };
        created.unwrap_or_else(|err| panic!("create {}: {err}", path.display()));
    }

    /// Sets owner, attributes, mode and times, in this order: a change of the owner
    /// clears setuid and capabilities, and the mtime must be set last.
    fn set_properties(&self, root: &Path) {
        if matches!(self.content, Content::HardLink(_)) {
            return;
        }
        let path = root.join(&self.path);
        self.set_properties_at(&path)
            .unwrap_or_else(|err| panic!("set the properties of {}: {err}", path.display()));
    }

    fn set_properties_at(&self, path: &Path) -> std::io::Result<()> {
        if let Some((uid, gid)) = self.owner {
            lchown(path, Some(uid), Some(gid))?;
        }
        for (name, value) in &self.xattrs {
            lsetxattr(path, name.as_slice(), value, XattrFlags::empty())?;
        }
        if let Some(mode) = self.mode.or_else(|| self.default_mode()) {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        let (seconds, nanoseconds) = self.mtime;
        let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Returns the default mode. A symlink has none, and the directory that the tree is
    /// written to keeps its own.
    fn default_mode(&self) -> Option<u32> {
        match &self.content {
            Content::Dir if self.path == Path::new(".") => None,
            Content::Dir => Some(DIR_MODE),
            Content::Symlink(_) => None,
            Content::File(_)
            | Content::Sparse { .. }
            | Content::HardLink(_)
            | Content::Fifo
            | Content::CharDevice { .. } => Some(FILE_MODE),
        }
    }
}

impl Tree {
    pub fn new(nodes: impl IntoIterator<Item = Node>) -> Tree {
        Tree(nodes.into_iter().collect())
    }

    /// Writes the nodes into an existing directory, and sets the mtime of that directory.
    pub fn write(&self, root: &Path) {
        let implied = self.implied_dirs();
        let nodes = || implied.iter().chain(&self.0);
        nodes().for_each(|node| node.create(root));
        // A change inside a directory changes its mtime, so directories come last.
        let mut inside_first: Vec<_> = nodes().collect();
        inside_first.sort_by_key(|node| std::cmp::Reverse(depth(&node.path)));
        inside_first.iter().for_each(|node| node.set_properties(root));
    }

    /// Returns the root and all parent directories without a node, parents first.
    fn implied_dirs(&self) -> Vec<Node> {
        let named: BTreeSet<&Path> = self.0.iter().map(|node| node.path.as_path()).collect();
        let parents = self.0.iter().flat_map(|node| node.path.ancestors().skip(1));
        let parents: BTreeSet<&Path> = parents
            .map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path })
            .collect();
        let implied = parents.into_iter().filter(|path| !named.contains(path));
        implied.map(|path| dir(path.as_os_str().as_bytes())).collect()
    }
}

/// Returns the depth of a path: 0 for ".", so that the root comes last.
fn depth(path: &Path) -> usize {
    if path == Path::new(".") { 0 } else { path.components().count() }
}

fn create_sparse(path: &Path, len: u64, pieces: &[(u64, Vec<u8>)]) -> std::io::Result<()> {
    let file = File::create_new(path)?;
    file.set_len(len)?;
    pieces.iter().try_for_each(|(offset, piece)| file.write_all_at(piece, *offset))
}

fn create_node(path: &Path, kind: FileType, device: u64) -> std::io::Result<()> {
    Ok(mknodat(CWD, path, kind, Mode::from_raw_mode(FILE_MODE), device)?)
}

fn to_path(bytes: impl AsRef<[u8]>) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes.as_ref()))
}
