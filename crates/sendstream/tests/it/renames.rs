//! Subvolumes get other UUIDs, and the stream stays sound.

use btrfs_sendstream::{Attribute, Uuid, rename_subvolumes};

use crate::golden::golden;
use crate::{verdict, verify};

fn renamed(stream: &[u8], rename: impl Fn(Uuid) -> Option<Uuid>) -> Vec<u8> {
    let mut new = stream.to_vec();
    for command in verify([stream]).0 {
        if command.kind.names_subvolumes() {
            let place = command.place.start as usize..command.place.end as usize;
            rename_subvolumes(&mut new[place], &rename);
        }
    }
    new
}

#[test]
fn a_renamed_stream_is_sound_and_names_others() {
    let other = |uuid: Uuid| Some(Uuid(uuid.0.map(|byte| !byte)));
    for name in ["full-1", "full-2", "incremental-1", "incremental-2", "received-parent-1"] {
        let stream = golden(name);
        let before = verdict(&stream).unwrap().snapshot;

        let new = renamed(&stream, other);

        let after = verdict(&new).unwrap().snapshot;
        assert_eq!(Some(after.uuid), other(before.uuid), "{name}");
        let parent = |snapshot: &btrfs_sendstream::Snapshot| snapshot.parent.map(|one| one.uuid);
        assert_eq!(parent(&after), parent(&before).and_then(other), "{name}");
        assert_eq!((after.ctransid, after.name), (before.ctransid, before.name), "{name}");
        assert!(renamed(&new, other) == stream, "{name}: nothing else has changed");
    }
}

#[test]
fn clones_name_their_source_anew() {
    let stream = golden("full-1");
    let sources = |stream: &[u8]| -> Vec<Vec<u8>> {
        let attributes = verify([stream]).0.into_iter().flat_map(|command| command.attributes);
        let sources = attributes.filter(|(attribute, _)| *attribute == Attribute::CloneUuid);
        sources.map(|(_, value)| value).collect()
    };
    let before = sources(&stream);
    assert!(!before.is_empty());

    let new = renamed(&stream, |_| Some(Uuid([7; 16])));
    let same = renamed(&stream, |_| None);

    assert_eq!(sources(&new), vec![vec![7; 16]; before.len()]);
    assert!(same == stream, "what nobody renames stays as it is");
}

#[test]
fn what_is_no_command_is_left_alone() {
    for len in 0..12 {
        let mut bytes = vec![1; len];
        rename_subvolumes(&mut bytes, |_| Some(Uuid([7; 16])));
        assert_eq!(bytes.len(), len);
    }
}
