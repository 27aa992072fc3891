//! Holds back the extended attributes of the root directory that new files inherit.
//!
//! `btrfs send` names the attributes of the root first, and `btrfs receive` creates every new
//! file and directory in the root before it moves it to its place. So each of them would
//! inherit a default ACL and the compression of the root, whatever it had at the source. These
//! attributes are therefore taken out of the stream: the root has none of them while it is
//! filled, and gets the final ones right before END, after which the snapshot is read-only.
//!
//! A new subvolume inherits the compression of the subvolume that it is created in, and a
//! snapshot has all attributes of its parent. Both are removed after the first command.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use btrfs_host::filesystem::{SUBVOLUME_INODE, XATTR_BYTES_MAX};
use btrfs_sendstream::encode::{AttributeTooLong, command};
use btrfs_sendstream::{Attribute, Command, CommandKind};
use rustix::fs::{lgetxattr, llistxattr, llistxattr_query};
use rustix::io::Errno;

const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";
/// Properties of btrfs. The only one so far is `btrfs.compression`, and it is inherited.
const PROPERTIES: &[u8] = b"btrfs.";

/// The attributes of a root directory that new files inherit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InheritedAttributes {
    /// The attributes that the root has after the first command.
    found: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The attributes that the root has to have in the end.
    wanted: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl InheritedAttributes {
    /// Reads the attributes that the snapshot of an incremental will have of its parent.
    pub fn of_parent(parent: &Path) -> io::Result<InheritedAttributes> {
        let found = read(parent)?;
        Ok(InheritedAttributes { wanted: found.clone(), found })
    }

    /// Reads the attributes that a new subvolume in `directory` will have.
    pub fn of_new_subvolume(directory: &Path) -> io::Result<InheritedAttributes> {
        let mut found = match subvolume_of(directory)? {
            Some(subvolume) => read(&subvolume)?,
            None => BTreeMap::new(),
        };
        // An ACL is not inherited from a subvolume.
        found.retain(|name, _| name.starts_with(PROPERTIES));
        Ok(InheritedAttributes { found, wanted: BTreeMap::new() })
    }

    /// Returns true if a command has to be held back, and notes what it does.
    pub fn hold_back(&mut self, command: &Command<'_>) -> bool {
        let name = command.bytes(Attribute::XattrName).unwrap_or_default();
        if command.path() != Some(b"") || !is_inherited(name) {
            return false;
        }
        if command.kind == CommandKind::SetXattr {
            let value = command.bytes(Attribute::XattrData).unwrap_or_default();
            self.wanted.insert(name.to_vec(), value.to_vec());
            return true;
        }
        if command.kind == CommandKind::RemoveXattr {
            self.wanted.remove(name);
            return true;
        }
        false
    }

    /// Encodes the commands that follow the first one.
    pub fn removals(&self) -> Result<Vec<u8>, AttributeTooLong> {
        let encode = |name: &Vec<u8>| command(CommandKind::RemoveXattr, &of_root(name));
        self.found.keys().map(encode).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
    }

    /// Encodes the commands that precede END.
    pub fn settings(&self) -> Result<Vec<u8>, AttributeTooLong> {
        let encode = |(name, value): (&Vec<u8>, &Vec<u8>)| {
            let [path, name] = of_root(name);
            command(CommandKind::SetXattr, &[path, name, (Attribute::XattrData, value)])
        };
        self.wanted.iter().map(encode).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
    }
}

fn of_root(name: &[u8]) -> [(Attribute, &[u8]); 2] {
    [(Attribute::Path, b""), (Attribute::XattrName, name)]
}

fn is_inherited(name: &[u8]) -> bool {
    name == DEFAULT_ACL || name.starts_with(PROPERTIES)
}

/// Returns the nearest subvolume that contains `directory`; `None` if the mount ends before it.
fn subvolume_of(directory: &Path) -> io::Result<Option<std::path::PathBuf>> {
    let directory = fs::canonicalize(directory)?;
    let device = fs::metadata(&directory)?.dev();
    for path in directory.ancestors() {
        let metadata = fs::metadata(path)?;
        if metadata.dev() != device {
            break;
        }
        if metadata.ino() == SUBVOLUME_INODE {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

fn read(path: &Path) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    if llistxattr_query(path)? == 0 {
        return Ok(BTreeMap::new());
    }
    let mut names = vec![0; XATTR_BYTES_MAX];
    let length = llistxattr(path, names.as_mut_slice())?;
    let names = names[..length].split(|byte| *byte == 0).filter(|name| is_inherited(name));
    let mut found = BTreeMap::new();
    for name in names {
        let mut value = vec![0; XATTR_BYTES_MAX];
        match lgetxattr(path, OsStr::from_bytes(name), value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                found.insert(name.to_vec(), value);
            }
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use btrfs_sendstream::Verifier;
    use btrfs_sendstream::encode::stream_header;
    use btrfs_sendstream::{Attribute, Protocol};

    use super::*;

    fn set(path: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
        let attributes =
            [(Attribute::Path, path), (Attribute::XattrName, name), (Attribute::XattrData, value)];
        command(CommandKind::SetXattr, &attributes).unwrap()
    }

    fn remove(path: &[u8], name: &[u8]) -> Vec<u8> {
        let attributes = [(Attribute::Path, path), (Attribute::XattrName, name)];
        command(CommandKind::RemoveXattr, &attributes).unwrap()
    }

    /// Returns which of these commands are held back.
    fn held(attributes: &mut InheritedAttributes, commands: &[Vec<u8>]) -> Vec<bool> {
        let first: [(Attribute, &[u8]); 3] = [
            (Attribute::Path, b"data"),
            (Attribute::Uuid, &[7; 16]),
            (Attribute::Ctransid, &[0; 8]),
        ];
        let first = command(CommandKind::Subvolume, &first).unwrap();
        let stream = [stream_header(Protocol::V1), first, commands.concat()].concat();
        let mut held = Vec::new();
        let fed = Verifier::new().feed_to(&stream, |one| held.push(attributes.hold_back(&one)));
        fed.unwrap();
        held.split_off(1)
    }

    fn map(pairs: &[(&[u8], &[u8])]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    }

    #[test]
    fn only_inherited_attributes_of_the_root_are_held_back() {
        #[rustfmt::skip]
        let cases = [
            (set(b"", DEFAULT_ACL, b"acl"),                true),
            (set(b"", b"btrfs.compression", b"zstd"),      true),
            (set(b"", b"system.posix_acl_access", b"acl"), false),
            (set(b"", b"user.btrfs.compression", b"1"),    false),
            (set(b"folder", DEFAULT_ACL, b"acl"),          false),
            (remove(b"", b"btrfs.compression"),            true),
            (remove(b"folder", b"btrfs.compression"),      false),
        ];
        let (commands, want): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
        let mut attributes = InheritedAttributes::default();
        assert_eq!(held(&mut attributes, &commands), want);
        assert_eq!(attributes.wanted, map(&[(DEFAULT_ACL, b"acl")]));
    }

    #[test]
    fn the_last_value_of_the_chain_is_set() {
        let found = map(&[(DEFAULT_ACL, b"old"), (b"btrfs.compression", b"zstd")]);
        let parent = InheritedAttributes { wanted: found.clone(), found };
        let none = InheritedAttributes::default();
        let (acl, both) = (set(b"", DEFAULT_ACL, b"new"), set(b"", b"btrfs.compression", b"lzo"));
        let removals = [remove(b"", b"btrfs.compression"), remove(b"", DEFAULT_ACL)].concat();
        let unchanged = [set(b"", b"btrfs.compression", b"zstd"), set(b"", DEFAULT_ACL, b"old")];
        #[rustfmt::skip]
        let cases = [
            // situation          root before  commands                        removed    set
            ("nothing",           &none,       vec![],                         vec![],    vec![]),
            ("a full",            &none,       vec![acl.clone()],              vec![],    acl.clone()),
            ("set twice",         &none,       vec![both.clone(), acl.clone()], vec![],   [both.clone(), acl.clone()].concat()),
            ("set and removed",   &none,       vec![acl.clone(), remove(b"", DEFAULT_ACL)], vec![], vec![]),
            ("unchanged",         &parent,     vec![],                         removals.clone(), unchanged.concat()),
            ("one is changed",    &parent,     vec![acl.clone()],              removals.clone(), [unchanged[0].clone(), acl.clone()].concat()),
            ("one is removed",    &parent,     vec![remove(b"", DEFAULT_ACL)], removals.clone(), unchanged[0].clone()),
        ];
        for (situation, before, commands, removed, want) in cases {
            let mut attributes = before.clone();
            held(&mut attributes, &commands);
            assert_eq!(attributes.removals().unwrap(), removed, "{situation}");
            assert_eq!(attributes.settings().unwrap(), want, "{situation}");
        }
    }
}
