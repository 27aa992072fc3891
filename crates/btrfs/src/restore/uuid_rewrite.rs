//! Rewrites the UUIDs in a stream before `btrfs receive` sees them.
//!
//! `btrfs receive` looks for the parent of a stream among all received subvolumes of the
//! filesystem, by UUID, and takes the first match. A parent that an earlier restore kept, or
//! another restore that is running, could match as well. So every backup of the chain but the
//! newest is received under a UUID of this restore's own, made from a random [`UuidSalt`] and its
//! number in the chain. The newest keeps its UUID, by which the next incremental finds its parent.
//!
//! Two snapshots may be sent under the same UUID: those of a subvolume that was once received and
//! made writable are named by its received UUID. So the snapshot and its parent are distinguished by
//! their place in the first command, and the source of a clone by its ctransid as well.
//!
//! Pure. How a command is changed is in `btrfs-sendstream`.

use btrfs_sendstream::{NamedSubvolume, Snapshot, SubvolumeRole, Uuid};
use serde::{Deserialize, Serialize};

/// A random number, never 0, that makes the UUIDs of one restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UuidSalt(pub [u8; 16]);

/// The UUIDs to rewrite in the stream of one backup.
#[derive(Clone, Copy, Debug)]
pub struct UuidRewrite {
    /// The UUID under which the snapshot is received; `None` for the one that it was sent with.
    pub own: Option<OwnUuid>,
    /// The UUID under which the parent was sent, and that under which it was received; `None`
    /// for a full.
    pub parent: Option<(Uuid, Uuid)>,
}

/// Makes the UUID under which one backup of the chain is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnUuid {
    pub salt: UuidSalt,
    /// Number of the backup in the chain.
    pub number: u64,
}

/// A stream whose parent is not the backup before it in the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parent of the stream: expected {}, found {}", shown(expected), shown(found))]
pub struct WrongParent {
    pub expected: Option<Uuid>,
    pub found: Option<Uuid>,
}

fn shown(uuid: &Option<Uuid>) -> String {
    uuid.map_or_else(|| "none".to_owned(), |uuid| uuid.to_string())
}

impl UuidSalt {
    pub fn random() -> Result<UuidSalt, getrandom::Error> {
        let (high, low) = (getrandom::u64()?, getrandom::u64()? | 1);
        Ok(UuidSalt(((u128::from(high) << 64) | u128::from(low)).to_le_bytes()))
    }
}

impl OwnUuid {
    pub fn of(self, uuid: Uuid) -> Uuid {
        let number = u128::from(self.number).to_be_bytes();
        Uuid(std::array::from_fn(|n| uuid.0[n] ^ self.salt.0[n] ^ number[n]))
    }
}

impl UuidRewrite {
    /// Returns true if any UUID has to be changed.
    pub fn changes_any(&self) -> bool {
        self.own.is_some() || self.parent.is_some_and(|(sent, received)| sent != received)
    }

    /// Returns the replacement of a UUID, if it has one. `first` is the first command of the
    /// stream.
    pub fn replacement(&self, first: &Snapshot, named: NamedSubvolume) -> Option<Uuid> {
        let own = || self.own.map(|own| own.of(named.uuid));
        let parent = || self.parent.map(|(_, received)| received);
        match named.role {
            SubvolumeRole::Own => own(),
            SubvolumeRole::Parent => parent(),
            SubvolumeRole::CloneSource => {
                let is_own = named.uuid == first.uuid;
                let sent = first.parent.filter(|parent| parent.uuid == named.uuid);
                match sent {
                    // Two snapshots with the same UUID and ctransid have the same content.
                    Some(sent) if !is_own || named.ctransid == Some(sent.ctransid) => parent(),
                    Some(_) | None => own().filter(|_| is_own),
                }
            }
        }
    }

    pub fn check_parent(&self, found: Option<Uuid>) -> Result<(), WrongParent> {
        let expected = self.parent.map(|(sent, _)| sent);
        if expected == found { Ok(()) } else { Err(WrongParent { expected, found }) }
    }
}

#[cfg(test)]
mod tests {
    use btrfs_sendstream::Parent;

    use super::*;

    const OWN: (Uuid, u64) = (Uuid([1; 16]), 9);
    const PARENT: (Uuid, u64) = (Uuid([2; 16]), 5);
    const RECEIVED: Uuid = Uuid([3; 16]);
    const OTHER: Uuid = Uuid([4; 16]);
    const SALTED: Uuid = Uuid([0x11; 16]);

    fn first(own: (Uuid, u64), parent: Option<(Uuid, u64)>) -> Snapshot {
        let parent = parent.map(|(uuid, ctransid)| Parent { uuid, ctransid });
        Snapshot { name: b"data".to_vec(), uuid: own.0, ctransid: own.1, parent }
    }

    fn salted() -> Option<OwnUuid> {
        Some(OwnUuid { salt: UuidSalt([0x10; 16]), number: 0 })
    }

    #[test]
    fn own_and_parent_uuid_are_replaced_and_no_other() {
        use SubvolumeRole::{CloneSource, Own, Parent};
        // A subvolume that was received and made writable: both have the same UUID.
        let twin = (OWN.0, PARENT.1);
        let received = Some((PARENT.0, RECEIVED));
        let full = || (first(OWN, None), UuidRewrite { own: salted(), parent: None });
        let next = || (first(OWN, Some(PARENT)), UuidRewrite { own: salted(), parent: received });
        let newest = || (first(OWN, Some(PARENT)), UuidRewrite { own: None, parent: received });
        let twins = |own| {
            let parent = Some((OWN.0, RECEIVED));
            (first(OWN, Some(twin)), UuidRewrite { own, parent })
        };
        #[rustfmt::skip]
        let cases = [
            // stream                role         UUID      ctransid  replacement
            (full(),                 Own,         OWN.0,    9,        Some(SALTED)),
            (full(),                 CloneSource, OWN.0,    9,        Some(SALTED)),
            (full(),                 CloneSource, OTHER,    9,        None),
            (next(),                 Own,         OWN.0,    9,        Some(SALTED)),
            (next(),                 Parent,      PARENT.0, 5,        Some(RECEIVED)),
            (next(),                 CloneSource, OWN.0,    9,        Some(SALTED)),
            (next(),                 CloneSource, PARENT.0, 5,        Some(RECEIVED)),
            (next(),                 CloneSource, OTHER,    5,        None),
            (newest(),               Own,         OWN.0,    9,        None),
            (newest(),               Parent,      PARENT.0, 5,        Some(RECEIVED)),
            (newest(),               CloneSource, OWN.0,    9,        None),
            (newest(),               CloneSource, PARENT.0, 5,        Some(RECEIVED)),
            (twins(salted()),        Own,         OWN.0,    9,        Some(SALTED)),
            (twins(salted()),        Parent,      OWN.0,    5,        Some(RECEIVED)),
            (twins(salted()),        CloneSource, OWN.0,    9,        Some(SALTED)),
            (twins(salted()),        CloneSource, OWN.0,    5,        Some(RECEIVED)),
            (twins(None),            Own,         OWN.0,    9,        None),
            (twins(None),            CloneSource, OWN.0,    9,        None),
            (twins(None),            CloneSource, OWN.0,    5,        Some(RECEIVED)),
        ];
        for ((first, rewrite), role, uuid, ctransid, want) in cases {
            let named = NamedSubvolume { role, uuid, ctransid: Some(ctransid) };
            assert!(rewrite.changes_any());
            assert_eq!(rewrite.replacement(&first, named), want, "{named:?} {rewrite:?}");
        }
        assert!(!UuidRewrite { own: None, parent: None }.changes_any());
        assert!(!UuidRewrite { own: None, parent: Some((OTHER, OTHER)) }.changes_any());
    }

    #[test]
    fn two_salts_and_two_numbers_make_two_uuids() {
        let (one, other) = (UuidSalt::random().unwrap(), UuidSalt::random().unwrap());
        let uuid = Uuid([7; 16]);
        let of = |salt, number| OwnUuid { salt, number }.of(uuid);
        let made = [of(one, 0), of(one, 1), of(one, 256), of(other, 0)];
        for (n, made_one) in made.iter().enumerate() {
            assert!(*made_one != uuid && !made[..n].contains(made_one), "{made:?}");
        }
    }
}
