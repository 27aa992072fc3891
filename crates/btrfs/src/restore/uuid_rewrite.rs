//! What `btrfs receive` is told of who a snapshot is.
//!
//! It looks for the parent of a stream among all subvolumes of the filesystem
//! that were received, by UUID, and takes the first. A parent that an earlier
//! restore kept, or another restore at work, would get in the way. So each link
//! but the newest is received under a UUID that this restore makes up, from a
//! [`UuidSalt`] that no other has; the newest keeps its own, for the next
//! incremental is known by it.
//!
//! Pure. How a command is changed is in `btrfs-sendstream`.

use btrfs_sendstream::Uuid;
use serde::{Deserialize, Serialize};

/// Random, and never all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UuidSalt(pub [u8; 16]);

/// The names of one link.
#[derive(Clone, Copy, Debug)]
pub struct UuidRewrite {
    /// `None`: the snapshot is received under the UUID that it was sent with.
    pub salt: Option<UuidSalt>,
    /// The UUID of the parent when it was sent, and that under which it was
    /// received; `None` for a full.
    pub parent: Option<(Uuid, Uuid)>,
}

/// A stream that is based on something else than the link before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is based on {}, expected {}", shown(found), shown(expected))]
pub struct OtherBase {
    pub expected: Option<Uuid>,
    pub found: Option<Uuid>,
}

fn shown(uuid: &Option<Uuid>) -> String {
    uuid.map_or_else(|| "nothing".to_owned(), |uuid| uuid.to_string())
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
    /// Whether any of them is another than in the stream.
    pub fn rename_any(&self) -> bool {
        self.salt.is_some() || self.parent.is_some_and(|(sent, received)| sent != received)
    }

    /// Another UUID for this one. `own` is that of the snapshot in the stream.
    pub fn told(&self, own: Option<Uuid>, uuid: Uuid) -> Option<Uuid> {
        if let Some((sent, received)) = self.parent
            && uuid == sent
        {
            return Some(received);
        }
        self.salt.filter(|_| own == Some(uuid)).map(|salt| salt.of(uuid))
    }

    pub fn check_base(&self, found: Option<Uuid>) -> Result<(), OtherBase> {
        let expected = self.parent.map(|(sent, _)| sent);
        if expected == found { Ok(()) } else { Err(OtherBase { expected, found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_to_be_whom() {
        let [own, parent, received, other] = [1, 2, 3, 4].map(|n| Uuid([n; 16]));
        let salt = UuidSalt([0x10; 16]);
        let salted = Uuid([0x11; 16]);
        let names = |salt, parent| UuidRewrite { salt, parent };
        #[rustfmt::skip]
        let cases = [
            // names                                          renames  own           parent          other
            (names(None, None),                               false,   None,         None,           None),
            (names(None, Some((parent, parent))),             false,   None,         Some(parent),   None),
            (names(None, Some((parent, received))),           true,    None,         Some(received), None),
            (names(Some(salt), None),                         true,    Some(salted), None,           None),
            (names(Some(salt), Some((parent, received))),     true,    Some(salted), Some(received), None),
        ];
        for (names, renames, of_own, of_parent, of_other) in cases {
            assert_eq!(names.rename_any(), renames, "{names:?}");
            let told = [own, parent, other].map(|uuid| names.told(Some(own), uuid));
            assert_eq!(told, [of_own, of_parent, of_other], "{names:?}");
        }
    }

    #[test]
    fn a_salt_makes_up_another_name() {
        let (one, other) = (UuidSalt::random().unwrap(), UuidSalt::random().unwrap());
        let uuid = Uuid([7; 16]);
        assert_ne!(one.of(uuid), uuid);
        assert_ne!(one.of(uuid), other.of(uuid));
    }
}
