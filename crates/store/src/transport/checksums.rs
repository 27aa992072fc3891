//! The checksums that a server verifies, learned from its answers.
//!
//! AWS verifies `x-amz-checksum-crc64nvme`, so the payload need not be hashed a
//! second time for its signature. Other servers may verify the header, ignore it or
//! refuse it. Until a server has echoed one of our checksums, we send both the
//! checksum and a signed payload, which most servers verify. After an echo the
//! payload is no longer signed. A body that is refused is sent again without the
//! header; only if that is accepted was it the header that was refused. Calls run at the
//! same time, so what an answer says depends on whether its own call had the header.
//!
//! A trap of the SDK: with checksums "when required", naming an algorithm sends no
//! checksum at all. So we always set the value itself; a test reads the request on the wire.
//!
//! Not here: the other capabilities of a server (`capabilities`).

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{StoreError, StoreErrorKind};
use crate::settings::Profile;

/// The known facts about the server's checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Checksum {
    /// We have not sent anything yet.
    Untried = 0,
    /// The server echoes our CRC64NVME.
    Honoured = 1,
    /// The server accepts the header without echoing it.
    Ignored = 2,
    /// The server refuses the header.
    Refused = 3,
    /// A first body was refused, perhaps because of the header.
    Doubted = 4,
}

impl Checksum {
    /// Returns whether a call is sent with the checksum header.
    pub(crate) fn header(self) -> Header {
        match self {
            Checksum::Untried | Checksum::Honoured | Checksum::Ignored => Header::Sent,
            Checksum::Refused | Checksum::Doubted => Header::Omitted,
        }
    }

    /// Returns true if we hash the payload for its signature.
    pub(crate) fn signs_payload(self) -> bool {
        self != Checksum::Honoured
    }

    /// Returns what we know after an answer to a call that was sent with this header, and
    /// that did or did not echo our checksum.
    fn after_answer(self, header: Header, echoed: bool) -> Checksum {
        match (self, header, echoed) {
            (Checksum::Refused | Checksum::Honoured, _, _) => self,
            (_, Header::Sent, true) => Checksum::Honoured,
            (_, Header::Sent, false) => Checksum::Ignored,
            (Checksum::Doubted, Header::Omitted, _) => Checksum::Refused,
            (known, Header::Omitted, _) => known,
        }
    }

    /// Returns what we know after the error of a call that was sent with this header. Only
    /// the first calls of an unknown server can have failed because of it; later ones have
    /// other reasons.
    fn after_error(self, header: Header, kind: StoreErrorKind) -> Checksum {
        let is_refusal = matches!(kind, StoreErrorKind::Permanent | StoreErrorKind::NotImplemented);
        match (self, header) {
            (Checksum::Untried, Header::Sent) if is_refusal => Checksum::Doubted,
            // It was something else.
            (Checksum::Doubted, Header::Omitted) if is_refusal => Checksum::Untried,
            (known, _) => known,
        }
    }
}

/// States whether one call was sent with the checksum header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Sent,
    Omitted,
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

    pub(crate) fn answered(&self, header: Header, echoed: bool) {
        self.set(self.get().after_answer(header, echoed));
    }

    /// Learns from the error of a call. Returns true if the call should be repeated without
    /// the header.
    pub(crate) fn refused(&self, header: Header, err: &StoreError) -> bool {
        let after = self.get().after_error(header, err.kind);
        self.set(after);
        let is_refusal =
            matches!(err.kind, StoreErrorKind::Permanent | StoreErrorKind::NotImplemented);
        is_refusal && header == Header::Sent && after.header() == Header::Omitted
    }

    fn set(&self, checksum: Checksum) {
        let before = self.0.swap(checksum as u8, Ordering::Relaxed);
        let is_unverified = matches!(checksum, Checksum::Ignored | Checksum::Refused);
        if before != checksum as u8 && is_unverified {
            tracing::warn!(
                event = "store_checksum_unverified",
                "this server does not confirm CRC64NVME checksums; signing payloads instead, which not \
                 every server verifies: the command `doctor` finds out whether this one does"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Checksum::*;
    use super::Header::*;
    use super::*;
    use crate::error::Operation;

    #[test]
    fn an_echo_shows_that_the_checksum_is_verified() {
        #[rustfmt::skip]
        let cases = [
            // before  header   echoed  after
            (Untried,  Sent,    true,   Honoured),
            (Untried,  Sent,    false,  Ignored),
            (Ignored,  Sent,    true,   Honoured),
            (Ignored,  Sent,    false,  Ignored),
            (Honoured, Sent,    false,  Honoured),
            (Refused,  Sent,    false,  Refused),
            (Refused,  Omitted, false,  Refused),
            (Doubted,  Omitted, false,  Refused),
            // Another call with the header, which was on its way when the doubt began.
            (Doubted,  Sent,    true,   Honoured),
            (Doubted,  Sent,    false,  Ignored),
            // One without it, whose doubt another call has settled meanwhile.
            (Untried,  Omitted, false,  Untried),
            (Ignored,  Omitted, false,  Ignored),
        ];
        for (known, header, echoed, then) in cases {
            assert_eq!(known.after_answer(header, echoed), then, "{known:?} {header:?} {echoed}");
        }
    }

    #[test]
    fn only_a_first_body_that_is_accepted_without_the_header_blames_it() {
        #[rustfmt::skip]
        let cases = [
            // before  header   error            after
            (Untried,  Sent,    StoreErrorKind::Permanent, Doubted),
            (Untried,  Sent,    StoreErrorKind::Transient, Untried),
            (Doubted,  Omitted, StoreErrorKind::Permanent, Untried),
            (Doubted,  Omitted, StoreErrorKind::Transient, Doubted),
            (Doubted,  Sent,    StoreErrorKind::Permanent, Doubted),
            (Untried,  Omitted, StoreErrorKind::Permanent, Untried),
            (Honoured, Sent,    StoreErrorKind::Permanent, Honoured),
            (Ignored,  Sent,    StoreErrorKind::Permanent, Ignored),
        ];
        for (known, header, kind, then) in cases {
            assert_eq!(known.after_error(header, kind), then, "{known:?} {header:?} {kind:?}");
        }
    }

    #[test]
    fn calls_at_the_same_time_settle_the_doubt_by_their_own_header() {
        let checksums = Checksums::of(Profile::Generic);
        let refusal = StoreError::new(Operation::Put, &"a", StoreErrorKind::Permanent);

        assert!(checksums.refused(Sent, &refusal), "the first");
        assert!(checksums.refused(Sent, &refusal), "one that was on its way");
        checksums.answered(Omitted, false);

        assert_eq!(checksums.get(), Refused);
        assert!(checksums.refused(Sent, &refusal), "the last that was on its way");
        assert!(!checksums.refused(Omitted, &refusal), "the header is not why");
    }

    #[test]
    fn a_body_is_always_protected_by_a_checksum_or_a_signature() {
        for checksum in [Untried, Honoured, Ignored, Refused, Doubted] {
            assert!(checksum == Honoured || checksum.signs_payload());
        }
    }
}
