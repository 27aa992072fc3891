//! Finds out what `btrfs receive` cannot do on a host and a mount, before anything is fed to it.
//!
//! It would report each of these only at the first command that needs it, perhaps in the last of
//! many backups:
//!
//! - On a bind mount of a plain directory, as containers have them, it does not find the parent
//!   of an incremental (<https://github.com/kdave/btrfs-progs/issues/649>).
//! - With the mount option `noacl`, or without a capability, it cannot set everything.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::filesystem::{MountPoint, MountPointError, SUBVOLUME_INODE, on_btrfs};

/// A capability of linux/capability.h and what needs it.
struct Capability {
    number: u32,
    name: &'static str,
    /// The things that cannot be received without it; `None` if nothing can be.
    needed_for: Option<&'static str>,
}

#[rustfmt::skip]
const CAPABILITIES: [Capability; 7] = [
    Capability { number: 0,  name: "CAP_CHOWN",        needed_for: Some("owners of files") },
    Capability { number: 1,  name: "CAP_DAC_OVERRIDE", needed_for: Some("files in directories of others") },
    Capability { number: 3,  name: "CAP_FOWNER",       needed_for: Some("modes and times of files of others") },
    Capability { number: 18, name: "CAP_SYS_CHROOT",   needed_for: None },
    Capability { number: 21, name: "CAP_SYS_ADMIN",    needed_for: None },
    Capability { number: 27, name: "CAP_MKNOD",        needed_for: Some("device nodes") },
    Capability { number: 31, name: "CAP_SETFCAP",      needed_for: Some("capabilities of programs") },
];

/// The map of user IDs outside of any container.
const ALL_USERS: [&str; 3] = ["0", "0", "4294967295"];

/// The abilities of `btrfs receive` in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receivable {
    /// The mount point, if a plain directory and not a subvolume is mounted there. No incremental
    /// can be received.
    pub mount_of_dir: Option<PathBuf>,
    /// Capabilities without which nothing can be received.
    pub missing: Vec<&'static str>,
    /// The things that cannot be received, each with the reason.
    pub limits: Vec<String>,
    /// Size of the metadata blocks of the filesystem, if it is known.
    pub node_bytes: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReceivableError {
    #[error(transparent)]
    MountPoint(#[from] MountPointError),
    #[error("read {path:?}")]
    Io { path: PathBuf, source: io::Error },
}

/// Finds out what `btrfs receive` can do in `directory`.
pub fn receivable(directory: &Path) -> Result<Receivable, ReceivableError> {
    let MountPoint { mount, .. } = on_btrfs(directory)?;
    let io = |path: &Path, source| ReceivableError::Io { path: path.to_owned(), source };
    let read = |path: &str| fs::read_to_string(path).map_err(|source| io(Path::new(path), source));
    let root = fs::metadata(&mount.point).map_err(|source| io(&mount.point, source))?;
    let host = Host {
        status: read("/proc/self/status")?,
        uid_map: read("/proc/self/uid_map")?,
        options: mount.options.clone(),
    };
    Ok(Receivable {
        mount_of_dir: (root.ino() != SUBVOLUME_INODE).then(|| mount.point.clone()),
        node_bytes: node_bytes(&mount.source),
        ..host.receivable()
    })
}

/// Returns the size of the metadata blocks of the filesystem on a block device.
pub fn node_bytes(device: &Path) -> Option<u64> {
    let name = fs::canonicalize(device).ok()?.file_name()?.to_owned();
    let filesystems = fs::read_dir("/sys/fs/btrfs").ok()?.flatten();
    let has_device = |path: &PathBuf| path.join("devices").join(&name).exists();
    let path = filesystems.map(|entry| entry.path()).find(has_device)?;
    fs::read_to_string(path.join("nodesize")).ok()?.trim().parse().ok()
}

/// The facts that the kernel shows about this process and the mount.
struct Host {
    status: String,
    uid_map: String,
    options: String,
}

impl Host {
    /// Returns what `btrfs receive` can do on this host. Pure.
    fn receivable(&self) -> Receivable {
        let mut found = Receivable::default();
        if self.options.split(',').any(|option| option == "noacl") {
            found.limits.push("ACLs, because of the mount option noacl".to_owned());
        }
        let effective = effective_capabilities(&self.status);
        for Capability { number, name, needed_for } in CAPABILITIES {
            match (effective & (1 << number) != 0, needed_for) {
                (true, _) => {}
                (false, None) => found.missing.push(name),
                (false, Some(what)) => {
                    found.limits.push(format!("{what}, because this process lacks {name}"));
                }
            }
        }
        if !self.uid_map.split_whitespace().eq(ALL_USERS) {
            let what = "device nodes and owners, because this is a container with a user namespace";
            found.limits.push(what.to_owned());
        }
        found
    }
}

/// Returns the bits of `CapEff` in /proc/self/status. A kernel that does not show them has no
/// capabilities to lack.
fn effective_capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(options: &str, capabilities: u64, uid_map: &str) -> Receivable {
        let host = Host {
            status: format!("Name:\tbtrfs\nCapEff:\t{capabilities:016x}\nSeccomp:\t0\n"),
            uid_map: uid_map.to_owned(),
            options: options.to_owned(),
        };
        host.receivable()
    }

    #[test]
    fn what_cannot_be_received_follows_from_mount_and_capabilities() {
        const ALL: u64 = (1 << 41) - 1;
        const OUTSIDE: &str = "         0          0 4294967295\n";
        const CONTAINER: &str = "0 100000 65536\n";
        #[rustfmt::skip]
        let cases: [(_, _, _, &[&str], &[&str]); 6] = [
            // options           capabilities            users      missing             limits
            ("rw,space_cache=v2", ALL,                   OUTSIDE,   &[],                &[]),
            ("rw,noacl",          ALL,                   OUTSIDE,   &[],                &["ACLs"]),
            ("rw",                ALL & !(1 << 27),      OUTSIDE,   &[],                &["device nodes, because this process lacks CAP_MKNOD"]),
            ("rw",                ALL & !(1 << 21),      OUTSIDE,   &["CAP_SYS_ADMIN"], &[]),
            ("rw",                ALL,                   CONTAINER, &[],                &["device nodes and owners"]),
            ("rw,noacl",          ALL & !(1 << 31 | 1),  OUTSIDE,   &[],                &["ACLs", "owners of files", "capabilities of programs"]),
        ];
        for (options, capabilities, users, missing, limits) in cases {
            let found = found(options, capabilities, users);
            assert_eq!(found.missing, missing, "{found:?}");
            assert_eq!(found.limits.len(), limits.len(), "{found:?}");
            for (limit, want) in found.limits.iter().zip(limits) {
                assert!(limit.starts_with(want), "{limit}");
            }
        }
        let unknown = Host { status: String::new(), uid_map: OUTSIDE.into(), options: "rw".into() };
        assert_eq!(unknown.receivable(), Receivable::default());
    }
}
