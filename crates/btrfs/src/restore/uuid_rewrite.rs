//! Rewrites the UUIDs in a stream before `btrfs receive` sees them.
//!
//! `btrfs receive` looks for the parent of a stream among all received subvolumes of the
//! filesystem, by UUID, and takes the first match. A parent that an earlier restore kept, or
//! another restore that is running, could match as well. So every backup of the chain but the
//! newest is received under a UUID of this restore's own, made from a random [`UuidSalt`]. The
//! newest keeps its UUID, by which the next incremental finds its parent.
//!
//! Pure. How a command is changed is in `btrfs-sendstream`.

use btrfs_sendstream::Uuid;
use serde::{Deserialize, Serialize};

/// A random number, never 0, that makes the UUIDs of one restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UuidSalt(pub [u8; 16]);

/// The UUIDs to rewrite in the stream of one backup.
#[derive(Clone, Copy, Debug)]
pub struct UuidRewrite {
    /// `None` if the snapshot is received under the UUID that it was sent with.
    pub salt: Option<UuidSalt>,
    /// The UUID under which the parent was sent, and that under which it was received; `None`
    /// for a full.
    pub parent: Option<(Uuid, Uuid)>,
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

    pub fn of(self, uuid: Uuid) -> Uuid {
        Uuid(std::array::from_fn(|n| uuid.0[n] ^ self.0[n]))
    }
}

impl UuidRewrite {
    /// Returns whether any UUID has to be changed.
    pub fn changes_any(&self) -> bool {
        self.salt.is_some() || self.parent.is_some_and(|(sent, received)| sent != received)
    }

    /// Returns the replacement of a UUID, if it has one. `own` is the UUID of the snapshot in
    /// the stream.
    pub fn replacement(&self, own: Option<Uuid>, uuid: Uuid) -> Option<Uuid> {
        if let Some((sent, received)) = self.parent
            && uuid == sent
        {
            return Some(received);
        }
        self.salt.filter(|_| own == Some(uuid)).map(|salt| salt.of(uuid))
    }

    pub fn check_parent(&self, found: Option<Uuid>) -> Result<(), WrongParent> {
        let expected = self.parent.map(|(sent, _)| sent);
        if expected == found { Ok(()) } else { Err(WrongParent { expected, found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_parent_uuid_are_replaced_and_no_other() {
        let [own, parent, received, other] = [1, 2, 3, 4].map(|n| Uuid([n; 16]));
        let salt = UuidSalt([0x10; 16]);
        let salted = Uuid([0x11; 16]);
        let rewrite = |salt, parent| UuidRewrite { salt, parent };
        #[rustfmt::skip]
        let cases = [
            // rewrite                                          changes  own           parent          other
            (rewrite(None, None),                               false,   None,         None,           None),
            (rewrite(None, Some((parent, parent))),             false,   None,         Some(parent),   None),
            (rewrite(None, Some((parent, received))),           true,    None,         Some(received), None),
            (rewrite(Some(salt), None),                         true,    Some(salted), None,           None),
            (rewrite(Some(salt), Some((parent, received))),     true,    Some(salted), Some(received), None),
        ];
        for (rewrite, changes, want_own, want_parent, want_other) in cases {
            assert_eq!(rewrite.changes_any(), changes, "{rewrite:?}");
            let replacement = [own, parent, other].map(|uuid| rewrite.replacement(Some(own), uuid));
            assert_eq!(replacement, [want_own, want_parent, want_other], "{rewrite:?}");
        }
    }

    #[test]
    fn two_salts_make_two_uuids() {
        let (one, other) = (UuidSalt::random().unwrap(), UuidSalt::random().unwrap());
        let uuid = Uuid([7; 16]);
        assert_ne!(one.of(uuid), uuid);
        assert_ne!(one.of(uuid), other.of(uuid));
    }
}
