//! Rewriting UUIDs keeps a stream valid.

use btrfs_sendstream::{
    Attribute, CommandKind, NamedSubvolume, SubvolumeRole, Uuid, rewrite_uuids,
};

use crate::builder::{PARENT_UUID, UUID, attribute, command, snapshot, subvolume};
use crate::golden::golden;
use crate::{verdict, verify};

fn rewritten(stream: &[u8], replacement: impl Fn(NamedSubvolume) -> Option<Uuid>) -> Vec<u8> {
    let mut new = stream.to_vec();
    for command in verify([stream]).0 {
        if command.kind.holds_subvolume_uuids() {
            let range = command.range.start as usize..command.range.end as usize;
            rewrite_uuids(&mut new[range], &replacement);
        }
    }
    new
}

#[test]
fn a_rewritten_stream_is_valid_and_has_the_new_uuids() {
    let other = |uuid: Uuid| Some(Uuid(uuid.0.map(|byte| !byte)));
    for name in ["full-1", "full-2", "incremental-1", "incremental-2", "received-parent-1"] {
        let stream = golden(name);
        let before = verdict(&stream).unwrap().snapshot;

        let new = rewritten(&stream, |named| other(named.uuid));

        let after = verdict(&new).unwrap().snapshot;
        assert_eq!(Some(after.uuid), other(before.uuid), "{name}");
        let parent = |snapshot: &btrfs_sendstream::Snapshot| snapshot.parent.map(|one| one.uuid);
        assert_eq!(parent(&after), parent(&before).and_then(other), "{name}");
        assert_eq!((after.ctransid, after.name), (before.ctransid, before.name), "{name}");
        let back = rewritten(&new, |named| other(named.uuid));
        assert!(back == stream, "{name}: nothing else has changed");
    }
}

#[test]
fn the_source_of_a_clone_is_rewritten() {
    let stream = golden("full-1");
    let sources = |stream: &[u8]| -> Vec<Vec<u8>> {
        let attributes = verify([stream]).0.into_iter().flat_map(|command| command.attributes);
        let sources = attributes.filter(|(attribute, _)| *attribute == Attribute::CloneUuid);
        sources.map(|(_, value)| value).collect()
    };
    let before = sources(&stream);
    assert!(!before.is_empty());

    let new = rewritten(&stream, |_| Some(Uuid([7; 16])));
    let same = rewritten(&stream, |_| None);

    assert_eq!(sources(&new), vec![vec![7; 16]; before.len()]);
    assert!(same == stream, "without a replacement nothing changes");
}

#[test]
fn bytes_that_are_no_command_keep_their_length() {
    for len in 0..12 {
        let mut bytes = vec![1; len];
        rewrite_uuids(&mut bytes, |_| Some(Uuid([7; 16])));
        assert_eq!(bytes.len(), len);
    }
}

/// Snapshots of a subvolume with a received UUID all have this UUID in a stream.
#[test]
fn a_uuid_is_handed_out_with_its_role_and_its_ctransid() {
    let named = |command: Vec<u8>| {
        let (named, mut command) = (std::cell::RefCell::new(Vec::new()), command);
        rewrite_uuids(&mut command, |one| {
            named.borrow_mut().push((one.role, one.uuid, one.ctransid));
            None
        });
        named.into_inner()
    };
    let clone = command(
        CommandKind::Clone,
        &[
            attribute(Attribute::FileOffset, &[0; 8]),
            attribute(Attribute::CloneUuid, &[9; 16]),
            attribute(Attribute::CloneCtransid, &7u64.to_le_bytes()),
        ],
    );

    assert_eq!(named(subvolume("data")), [(SubvolumeRole::Own, Uuid(UUID), Some(5))]);
    assert_eq!(
        named(snapshot("data")),
        [
            (SubvolumeRole::Own, Uuid(UUID), Some(5)),
            (SubvolumeRole::Parent, Uuid(PARENT_UUID), Some(4)),
        ]
    );
    assert_eq!(named(clone), [(SubvolumeRole::CloneSource, Uuid([9; 16]), Some(7))]);
}
