//! Decides whether a snapshot is sent again after its upload failed. Pure.

use btrfs_host::send::SendError;
use btrfs_sendstream::StreamError;
use s3up_store::UploadError;

use crate::backup::error::Failure;

/// A host that sleeps every night freezes a long send more than once. A host whose
/// streams are never sound must not upload for ever.
pub const SENDS_MAX: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    No,
    /// The stream was damaged on its way from the kernel.
    All,
    /// This chunk in the bucket, and all later ones, belong to another stream.
    FromChunk(u64),
}

/// Decides after send number `sent`. `last` is the defect of the stream before: the same
/// defect at the same place is no accident, and is not sent again.
pub fn decide(failure: &Failure, last: Option<&StreamError>, sent: u32) -> Resend {
    if sent >= SENDS_MAX {
        return Resend::No;
    }
    if let Some(defect) = defect_of(failure) {
        return if last == Some(defect) { Resend::No } else { Resend::All };
    }
    if let Failure::Upload(UploadError::ForeignChunk { chunk, .. }) = failure {
        return Resend::FromChunk(*chunk);
    }
    Resend::No
}

/// Returns the defect of a stream that was not sound.
pub fn defect_of(failure: &Failure) -> Option<&StreamError> {
    let Failure::Send(SendError::Stream { source, .. }) = failure else { return None };
    Some(source)
}

#[cfg(test)]
mod tests {
    use btrfs_sendstream::Verifier;
    use s3up_core::Key;

    use super::*;

    /// Returns the defect of a stream of `len` zeros.
    fn defect(len: usize) -> StreamError {
        let mut verifier = Verifier::new();
        match verifier.feed(&vec![0; len]) {
            Err(err) => err,
            Ok(()) => verifier.finish().expect_err("zeros are no stream"),
        }
    }

    fn damaged(source: StreamError) -> Failure {
        Failure::Send(SendError::Stream { command: "btrfs send".to_owned(), source })
    }

    #[test]
    fn an_accident_is_sent_again_and_the_same_defect_is_none() {
        let foreign = || {
            let key = Key::parse("c").expect("a key");
            Failure::Upload(UploadError::ForeignChunk { key, chunk: 4 })
        };
        let (one, other) = (defect(1), defect(100));
        assert_ne!(one, other);
        #[rustfmt::skip]
        let cases = [
            // situation             failure                last          sent       decision
            ("a first defect",       damaged(one.clone()),  None,         1,         Resend::All),
            ("another defect",       damaged(one.clone()),  Some(&other), 2,         Resend::All),
            ("the same defect",      damaged(one.clone()),  Some(&one),   2,         Resend::No),
            ("sent too often",       damaged(one.clone()),  Some(&other), SENDS_MAX, Resend::No),
            ("another stream's",     foreign(),             None,         1,         Resend::FromChunk(4)),
            ("and too often",        foreign(),             None,         SENDS_MAX, Resend::No),
            ("any other failure",    Failure::Unfinished,   None,         1,         Resend::No),
        ];
        for (situation, failure, last, sent, want) in cases {
            assert_eq!(decide(&failure, last, sent), want, "{situation}");
        }
    }
}
