//! Which checksum protects a body on its way to this server.
//!
//! AWS verifies `x-amz-checksum-crc64nvme`, so the payload need not be hashed a
//! second time for its signature. Other servers may verify it, ignore it, or
//! refuse it. Until a server has echoed a checksum of ours, bodies are sent
//! with both, checksum and signed payload (which every server verifies); once
//! it echoed one, the signature is left out, and where it refuses the header,
//! the header is.
//!
//! A trap of the SDK: with checksums "when required", naming an algorithm sends
//! no checksum at all. So the value itself is always set here; a test looks at
//! the wire.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Kind, StoreError};

/// Which dialect of S3 the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Aws,
    /// Path style addresses; what else the server honours is learned from its answers.
    Generic,
}

/// What is known of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Checksum {
    /// Nothing was sent yet.
    Untried = 0,
    /// The server echoes our CRC64NVME, so it has verified it.
    Honoured = 1,
    /// The server takes the header and says nothing of it.
    Ignored = 2,
    /// The server does not take the header.
    Refused = 3,
}

impl Checksum {
    /// Whether the checksum header is sent.
    pub(crate) fn is_sent(self) -> bool {
        self != Checksum::Refused
    }

    /// Whether the payload is hashed for its signature.
    pub(crate) fn signs_payload(self) -> bool {
        self != Checksum::Honoured
    }

    /// What an answer teaches: whether our checksum was echoed in it.
    fn after_answer(self, echoed: bool) -> Checksum {
        match (self, echoed) {
            (Checksum::Untried | Checksum::Ignored, true) => Checksum::Honoured,
            (Checksum::Untried, false) => Checksum::Ignored,
            (known, _) => known,
        }
    }

    /// What a refusal teaches. Only the first calls of an unknown server may
    /// blame the header; later ones have other reasons.
    fn after_error(self, kind: Kind) -> Checksum {
        match (self, kind) {
            (Checksum::Untried, Kind::Permanent) => Checksum::Refused,
            (known, _) => known,
        }
    }
}

/// The knowledge, shared by all uploads of a [`crate::Store`].
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

    /// True where the call is worth repeating without the header.
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
                "the store does not verify CRC64NVME checksums; payloads are signed instead"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Checksum::*;
    use super::*;

    #[test]
    fn what_answers_teach() {
        #[rustfmt::skip]
        let cases = [
            // known   echoed  then
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
    fn only_an_unknown_server_may_blame_the_header() {
        assert_eq!(Untried.after_error(Kind::Permanent), Refused);
        assert_eq!(Untried.after_error(Kind::Transient), Untried);
        assert_eq!(Honoured.after_error(Kind::Permanent), Honoured);
        assert_eq!(Ignored.after_error(Kind::Permanent), Ignored);
    }

    #[test]
    fn a_body_is_always_protected() {
        for checksum in [Untried, Honoured, Ignored, Refused] {
            assert!(checksum == Honoured || checksum.signs_payload());
        }
    }
}
