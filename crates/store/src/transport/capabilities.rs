//! The capabilities of a server: checksums and conditional writes.
//!
//! AWS verifies `x-amz-checksum-crc64nvme`, so the payload need not be hashed a
//! second time for its signature. Other servers may verify the header, ignore it or
//! refuse it. Until a server has echoed one of our checksums, we send both the
//! checksum and a signed payload, which every server verifies. After an echo the
//! payload is no longer signed; after a refusal the header is left out.
//!
//! A trap of the SDK: with checksums "when required", naming an algorithm sends no
//! checksum at all. So we always set the value itself; a test looks at the wire.
//!
//! Not here: the probes (`conditions`, `probe`).

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Kind, StoreError};
use crate::settings::Profile;

/// The reaction of a server to a write whose condition does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// It refuses the write.
    Honoured,
    /// It honours `If-None-Match`, and ignores `If-Match`.
    IfNoneMatchOnly,
    /// It writes anyway: of two writers, the last one wins.
    Ignored,
    /// The server was not probed, or its answer shows neither.
    Unknown,
}

impl Conditions {
    /// Returns what is known before the first call.
    pub(crate) fn of(profile: Profile) -> Option<Conditions> {
        match profile {
            Profile::Aws => Some(Conditions::Honoured),
            Profile::Generic => None,
        }
    }
}

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
}

impl Checksum {
    /// Returns whether we send the checksum header.
    pub(crate) fn is_sent(self) -> bool {
        self != Checksum::Refused
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
            (known, _) => known,
        }
    }

    /// Returns what we know after an error. Only the first calls of an unknown
    /// server can have failed because of the header; later ones have other reasons.
    fn after_error(self, kind: Kind) -> Checksum {
        match (self, kind) {
            (Checksum::Untried, Kind::Permanent) => Checksum::Refused,
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
        before != after
    }

    fn set(&self, checksum: Checksum) {
        let before = self.0.swap(checksum as u8, Ordering::Relaxed);
        if before != checksum as u8 && checksum.signs_payload() {
            tracing::warn!(
                event = "store_checksum_unverified",
                "S3 does not verify CRC64NVME checksums; signing payloads instead"
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
        ];
        for (known, echoed, then) in cases {
            assert_eq!(known.after_answer(echoed), then, "{known:?} {echoed}");
        }
    }

    #[test]
    fn only_the_first_error_of_an_unknown_server_blames_the_header() {
        assert_eq!(Untried.after_error(Kind::Permanent), Refused);
        assert_eq!(Untried.after_error(Kind::Transient), Untried);
        assert_eq!(Honoured.after_error(Kind::Permanent), Honoured);
        assert_eq!(Ignored.after_error(Kind::Permanent), Ignored);
    }

    #[test]
    fn a_body_is_always_protected_by_a_checksum_or_a_signature() {
        for checksum in [Untried, Honoured, Ignored, Refused] {
            assert!(checksum == Honoured || checksum.signs_payload());
        }
    }
}
