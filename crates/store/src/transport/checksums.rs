//! The checksums that a server verifies, learned from its answers.
//!
//! AWS verifies `x-amz-checksum-crc64nvme`, so the payload need not be hashed a
//! second time for its signature. Other servers may verify the header, ignore it or
//! refuse it. Until a server has echoed one of our checksums, we send both the
//! checksum and a signed payload, which most servers verify. After an echo the
//! payload is no longer signed. A body that is refused is sent again without the
//! header; only if that is accepted was it the header that was refused.
//!
//! A trap of the SDK: with checksums "when required", naming an algorithm sends no
//! checksum at all. So we always set the value itself; a test looks at the wire.
//!
//! Not here: the other capabilities of a server (`capabilities`).

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Kind, StoreError};
use crate::settings::Profile;

/// The known facts about the server's checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Checksum {
    /// We have not sent anything yet.
    Untried = 0,
    /// The server echoes our CRC64NVME, so it has verified it.
    Honoured = 1,
    /// The server accepts the header without echoing it.
    Ignored = 2,
    /// The server refuses the header.
    Refused = 3,
    /// A first body was refused, perhaps because of the header.
    Doubted = 4,
}

impl Checksum {
    /// Returns whether we send the checksum header.
    pub(crate) fn is_sent(self) -> bool {
        !matches!(self, Checksum::Refused | Checksum::Doubted)
    }

    /// Returns whether we hash the payload for its signature.
    pub(crate) fn signs_payload(self) -> bool {
        self != Checksum::Honoured
    }

    /// Returns what we know after an answer that did or did not echo our checksum.
    fn after_answer(self, echoed: bool) -> Checksum {
        match (self, echoed) {
            (Checksum::Untried | Checksum::Ignored, true) => Checksum::Honoured,
            (Checksum::Untried, false) => Checksum::Ignored,
            // It was accepted without the header.
            (Checksum::Doubted, _) => Checksum::Refused,
            (known, _) => known,
        }
    }

    /// Returns what we know after an error. Only the first calls of an unknown
    /// server can have failed because of the header; later ones have other reasons.
    fn after_error(self, kind: Kind) -> Checksum {
        match (self, kind) {
            (Checksum::Untried, Kind::Permanent | Kind::NotImplemented) => Checksum::Doubted,
            // It was something else.
            (Checksum::Doubted, Kind::Permanent | Kind::NotImplemented) => Checksum::Untried,
            (known, _) => known,
        }
    }
}

/// The state of [`Checksum`], shared by all uploads of a store.
#[derive(Debug)]
pub(crate) struct Checksums(AtomicU8);

impl Checksums {
    pub(crate) fn of(profile: Profile) -> Checksums {
        let known = match profile {
            Profile::Aws => Checksum::Honoured,
            Profile::Generic => Checksum::Untried,
        };
        Checksums(AtomicU8::new(known as u8))
    }

    pub(crate) fn get(&self) -> Checksum {
        match self.0.load(Ordering::Relaxed) {
            1 => Checksum::Honoured,
            2 => Checksum::Ignored,
            3 => Checksum::Refused,
            4 => Checksum::Doubted,
            _ => Checksum::Untried,
        }
    }

    pub(crate) fn answered(&self, echoed: bool) {
        self.set(self.get().after_answer(echoed));
    }

    /// Learns from an error. Returns true if the call should be repeated without
    /// the header.
    pub(crate) fn refused(&self, err: &StoreError) -> bool {
        let before = self.get();
        let after = before.after_error(err.kind);
        self.set(after);
        before != after && after == Checksum::Doubted
    }

    fn set(&self, checksum: Checksum) {
        let before = self.0.swap(checksum as u8, Ordering::Relaxed);
        let is_unverified = matches!(checksum, Checksum::Ignored | Checksum::Refused);
        if before != checksum as u8 && is_unverified {
            tracing::warn!(
                event = "store_checksum_unverified",
                "this server does not verify CRC64NVME checksums; signing payloads instead. Not every \
                 server verifies these: check with `btrfs-to-s3 doctor` or `s3up-server check-config \
                 --online`"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Checksum::*;
    use super::*;

    #[test]
    fn an_echo_shows_that_the_checksum_is_verified() {
        #[rustfmt::skip]
        let cases = [
            // before  echoed  after
            (Untried,  true,   Honoured),
            (Untried,  false,  Ignored),
            (Ignored,  true,   Honoured),
            (Ignored,  false,  Ignored),
            (Honoured, false,  Honoured),
            (Refused,  false,  Refused),
            (Doubted,  false,  Refused),
        ];
        for (known, echoed, then) in cases {
            assert_eq!(known.after_answer(echoed), then, "{known:?} {echoed}");
        }
    }

    #[test]
    fn only_a_first_body_that_is_accepted_without_the_header_blames_it() {
        assert_eq!(Untried.after_error(Kind::Permanent), Doubted);
        assert_eq!(Doubted.after_error(Kind::Permanent), Untried);
        assert_eq!(Doubted.after_error(Kind::Transient), Doubted);
        assert_eq!(Untried.after_error(Kind::Transient), Untried);
        assert_eq!(Honoured.after_error(Kind::Permanent), Honoured);
        assert_eq!(Ignored.after_error(Kind::Permanent), Ignored);
    }

    #[test]
    fn a_body_is_always_protected_by_a_checksum_or_a_signature() {
        for checksum in [Untried, Honoured, Ignored, Refused, Doubted] {
            assert!(checksum == Honoured || checksum.signs_payload());
        }
    }
}
