//! Trial streams: tiny send streams that show what `btrfs receive` can do in a directory.
//!
//! A filter of system calls, a security module or a mount can refuse what no flag of the kernel
//! shows. `btrfs receive` would report it at the first command that needs it, perhaps in the last
//! backup of a chain. So these streams are received first. They have protocol 1, which every
//! release receives. No other subvolume of the filesystem may have their UUIDs.

use crate::attribute::Attribute;
use crate::encode::{AttributeTooLong, command, stream_header};
use crate::kind::CommandKind;
use crate::protocol::Protocol;
use crate::uuid::Uuid;

const FULL: &[u8] = b"full";
const INCREMENTAL: &[u8] = b"incremental";
const FILE: &[u8] = b"file";
/// Ctransid of the full, which the incremental names.
const CTRANSID: u64 = 1;
/// Number of the first inode of a subvolume. A receiver gives its own.
const INODE: u64 = 257;
/// One block of a file, so that the incremental can clone it.
const BLOCK: [u8; 4096] = [7; 4096];
/// A character device, as mknod(2) takes it.
const DEVICE_MODE: u64 = 0o020_600;
/// Major 1, minor 3: `/dev/null`.
const DEVICE: u64 = 0x103;
/// An ACL that gives user 1 the right to read: version 2, then tag, right and id of each entry.
const ACL: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 1, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255,
    255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];
/// `cap_net_raw=p` of linux/capability.h, revision 2.
const FILE_CAPABILITY: [u8; 20] = [0, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Content that only some backups have, and that a host may be unable to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialContent {
    DeviceNodes,
    Owners,
    Acls,
    FileCapabilities,
}

impl TrialContent {
    pub const ALL: [TrialContent; 4] = [
        TrialContent::DeviceNodes,
        TrialContent::Owners,
        TrialContent::Acls,
        TrialContent::FileCapabilities,
    ];

    /// Returns the name for a message.
    pub fn name(self) -> &'static str {
        match self {
            TrialContent::DeviceNodes => "device nodes",
            TrialContent::Owners => "owners of files",
            TrialContent::Acls => "ACLs",
            TrialContent::FileCapabilities => "capabilities of programs",
        }
    }

    fn commands(self) -> Result<Vec<u8>, AttributeTooLong> {
        let file = new(CommandKind::Mkfile, FILE, &[])?;
        let xattr = |name: &[u8], value: &[u8]| {
            let (name, value) = ((Attribute::XattrName, name), (Attribute::XattrData, value));
            command(CommandKind::SetXattr, &[(Attribute::Path, FILE), name, value])
        };
        Ok(match self {
            TrialContent::DeviceNodes => {
                let (mode, device) = (DEVICE_MODE.to_le_bytes(), DEVICE.to_le_bytes());
                let numbers = [(Attribute::Mode, &mode[..]), (Attribute::Rdev, &device[..])];
                new(CommandKind::Mknod, FILE, &numbers)?
            }
            TrialContent::Owners => {
                let id = 1_u64.to_le_bytes();
                let ids = [(Attribute::Uid, &id[..]), (Attribute::Gid, &id[..])];
                let chown = [&[(Attribute::Path, FILE)][..], &ids].concat();
                [file, command(CommandKind::Chown, &chown)?].concat()
            }
            TrialContent::Acls => [file, xattr(b"system.posix_acl_access", &ACL)?].concat(),
            TrialContent::FileCapabilities => {
                [file, xattr(b"security.capability", &FILE_CAPABILITY)?].concat()
            }
        })
    }
}

/// An attribute is too long for its command only above 64 KiB.
const SHORT: &str = "the attributes of a trial stream are short";

/// Returns a full.
pub fn full(uuid: Uuid) -> Vec<u8> {
    try_full(uuid).expect(SHORT)
}

/// Returns an incremental that is based on the full with the first UUID.
pub fn incremental(uuids: [Uuid; 2]) -> Vec<u8> {
    try_incremental(uuids).expect(SHORT)
}

/// Returns a full with this content.
pub fn with_content(content: TrialContent, uuid: Uuid) -> Vec<u8> {
    try_with_content(content, uuid).expect(SHORT)
}

fn try_full(uuid: Uuid) -> Result<Vec<u8>, AttributeTooLong> {
    let path = |name: &'static [u8]| (Attribute::Path, name);
    let (zero, mode, time) = (0_u64.to_le_bytes(), 0o600_u64.to_le_bytes(), [0; 12]);
    let times = [(Attribute::Atime, &time[..]), (Attribute::Mtime, &time[..])];
    let times = [&[path(FILE)][..], &times, &[(Attribute::Ctime, &time[..])]].concat();
    Ok([
        first(FULL, uuid)?,
        new(CommandKind::Mkfile, b"new", &[])?,
        command(CommandKind::Rename, &[path(b"new"), (Attribute::PathTo, FILE)])?,
        command(
            CommandKind::Write,
            &[path(FILE), (Attribute::FileOffset, &zero), (Attribute::Data, &BLOCK)],
        )?,
        new(CommandKind::Mkdir, b"directory", &[])?,
        new(CommandKind::Symlink, b"symlink", &[(Attribute::PathLink, FILE)])?,
        command(CommandKind::Chmod, &[path(FILE), (Attribute::Mode, &mode)])?,
        command(CommandKind::Utimes, &times)?,
        command(CommandKind::End, &[])?,
    ]
    .concat())
}

fn try_incremental([parent, own]: [Uuid; 2]) -> Result<Vec<u8>, AttributeTooLong> {
    let (zero, length) = (0_u64.to_le_bytes(), (BLOCK.len() as u64).to_le_bytes());
    let (ctransid, own_ctransid) = (CTRANSID.to_le_bytes(), (CTRANSID + 1).to_le_bytes());
    let of_parent =
        [(Attribute::CloneUuid, &parent.0[..]), (Attribute::CloneCtransid, &ctransid[..])];
    let snapshot = [
        (Attribute::Path, INCREMENTAL),
        (Attribute::Uuid, &own.0[..]),
        (Attribute::Ctransid, &own_ctransid[..]),
    ];
    let clone = [
        (Attribute::Path, &b"clone"[..]),
        (Attribute::FileOffset, &zero[..]),
        (Attribute::CloneLen, &length[..]),
        (Attribute::ClonePath, FILE),
        (Attribute::CloneOffset, &zero[..]),
    ];
    Ok([
        stream_header(Protocol::V1),
        command(CommandKind::Snapshot, &[&snapshot[..], &of_parent].concat())?,
        new(CommandKind::Mkfile, b"clone", &[])?,
        command(CommandKind::Clone, &[&clone[..], &of_parent].concat())?,
        command(CommandKind::Unlink, &[(Attribute::Path, FILE)])?,
        command(CommandKind::End, &[])?,
    ]
    .concat())
}

fn try_with_content(content: TrialContent, uuid: Uuid) -> Result<Vec<u8>, AttributeTooLong> {
    let name = format!("content-{}", content as u8);
    let (first, end) = (first(name.as_bytes(), uuid)?, command(CommandKind::End, &[])?);
    Ok([first, content.commands()?, end].concat())
}

/// Creates a file. The kernel sends its inode number as well, and `btrfs receive` requires it.
fn new(
    kind: CommandKind,
    path: &[u8],
    attributes: &[(Attribute, &[u8])],
) -> Result<Vec<u8>, AttributeTooLong> {
    let named = [(Attribute::Path, path), (Attribute::Ino, &INODE.to_le_bytes())];
    command(kind, &[&named[..], attributes].concat())
}

fn first(name: &[u8], uuid: Uuid) -> Result<Vec<u8>, AttributeTooLong> {
    let ctransid = CTRANSID.to_le_bytes();
    let named =
        [(Attribute::Path, name), (Attribute::Uuid, &uuid.0), (Attribute::Ctransid, &ctransid)];
    Ok([stream_header(Protocol::V1), command(CommandKind::Subvolume, &named)?].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::Verifier;

    #[test]
    fn every_trial_stream_is_sound() {
        let uuids = [Uuid([1; 16]), Uuid([2; 16])];
        let contents = TrialContent::ALL.map(|content| with_content(content, uuids[0]));
        let streams = [full(uuids[0]), incremental(uuids)];
        for stream in streams.into_iter().chain(contents) {
            let mut verifier = Verifier::new();
            verifier.feed(&stream).unwrap();
            let found = verifier.finish().unwrap();
            assert_eq!(found.total_bytes, stream.len() as u64);
        }
    }
}
