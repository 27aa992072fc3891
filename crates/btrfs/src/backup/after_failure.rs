//! Decides what becomes of a backup that failed: pure.

use s3up_repository::publish::PublishError;
use s3up_store::{StoreErrorKind, UploadError};

use crate::backup::error::Failure;
use crate::plan::resume::Resumption;

/// The decision about a backup that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// The next run resumes it.
    KeepForResume,
    /// It cannot be resumed, but a new backup may succeed at once.
    StartOver,
    Discard,
}

/// Returns what becomes of a failed backup. `acknowledged_bytes` is the number of bytes that S3 has of the backup.
pub fn after_failure(
    failure: &Failure,
    resumption: &Resumption,
    acknowledged_bytes: u64,
) -> AfterFailure {
    let of_store = |err: &UploadError| match err {
        UploadError::Store(err) => match err.kind {
            StoreErrorKind::Precondition | StoreErrorKind::Corrupt => AfterFailure::StartOver,
            StoreErrorKind::Permanent | StoreErrorKind::NotImplemented => after_refusal(resumption),
            StoreErrorKind::NotFound
            | StoreErrorKind::NoUpload
            | StoreErrorKind::ExpiredCredentials
            | StoreErrorKind::Quota
            | StoreErrorKind::NoBucket
            | StoreErrorKind::NoLifecycleRules
            | StoreErrorKind::BadCredentials
            | StoreErrorKind::NoCredentials
            | StoreErrorKind::Denied
            | StoreErrorKind::WrongRegion
            | StoreErrorKind::ClockSkew
            | StoreErrorKind::TooLong
            | StoreErrorKind::Archived
            | StoreErrorKind::Transient
            | StoreErrorKind::Unreadable => AfterFailure::KeepForResume,
        },
        UploadError::ForeignChunk { .. } => AfterFailure::StartOver,
        UploadError::Source { .. }
        | UploadError::TooLong { .. }
        | UploadError::TooManyChunks { .. }
        | UploadError::TooShort { .. }
        | UploadError::Digest { .. }
        | UploadError::Buffers { .. } => AfterFailure::Discard,
    };
    let after = match failure {
        // The backup may be published; the next run finds out.
        Failure::StoppedPublishing(_) | Failure::Publish(PublishError::Unknown { .. }) => {
            return AfterFailure::KeepForResume;
        }
        Failure::Stopped(_) | Failure::Spool(_) => AfterFailure::KeepForResume,
        // What S3 has of the stream is good; the next run hashes it all again.
        Failure::Send(err) if err.is_passing() => AfterFailure::KeepForResume,
        Failure::Upload(err) | Failure::Publish(PublishError::Upload(err)) => of_store(err),
        Failure::StreamMismatch(_) => AfterFailure::StartOver,
        Failure::Observe(_)
        | Failure::OtherOrigin { .. }
        | Failure::Selection(_)
        | Failure::FollowUp { .. }
        | Failure::UnplannedFull { .. }
        | Failure::TooManyChunks { .. }
        | Failure::Record(_)
        | Failure::Snapshots(_)
        | Failure::Snapshot(_)
        | Failure::SnapshotName(_)
        | Failure::Send(_)
        | Failure::Unfinished
        | Failure::Publish(PublishError::TooLong { .. } | PublishError::Conflict { .. }) => {
            AfterFailure::Discard
        }
    };
    match (after, resumption) {
        (AfterFailure::KeepForResume, Resumption::PublishOnly { .. }) => {
            AfterFailure::KeepForResume
        }
        (AfterFailure::KeepForResume, _) if acknowledged_bytes == 0 => AfterFailure::Discard,
        (AfterFailure::StartOver, Resumption::Fresh) => AfterFailure::Discard,
        (after, _) => after,
    }
}

/// Decides after a request that S3 refuses for good, for example one part more than it
/// takes. What it acknowledged before is paid for and stays, with its snapshot. If that
/// backup is refused again, the cause may be in what was kept, so it is not kept twice.
fn after_refusal(resumption: &Resumption) -> AfterFailure {
    match resumption {
        Resumption::Fresh => AfterFailure::KeepForResume,
        Resumption::Resume { .. } | Resumption::PublishOnly { .. } => AfterFailure::StartOver,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use btrfs_host::exit_report::ExitReport;
    use btrfs_host::send::SendError;
    use s3up_core::Key;
    use s3up_store::{Operation, StoreError};

    use super::*;
    use crate::snapshots::record::RunId;

    fn key(text: &str) -> Key {
        Key::parse(text).expect("a key")
    }

    fn run() -> RunId {
        serde_json::from_str("\"0123\"").expect("a run")
    }

    #[test]
    fn a_failed_backup_is_kept_started_over_or_discarded() {
        use AfterFailure::{Discard, KeepForResume, StartOver};
        let store = |kind| {
            let (op, subject) = (Operation::PutPart, "chunk".to_owned());
            let err = StoreError { op, subject, kind, retry_after: None, source: None };
            UploadError::Store(err)
        };
        let upload = |kind| Failure::Upload(store(kind));
        let publish = |kind| Failure::Publish(PublishError::Upload(store(kind)));
        let unknown = || {
            let source = store(StoreErrorKind::Transient);
            Failure::Publish(PublishError::Unknown { key: key("p"), source })
        };
        let conflict = || Failure::Publish(PublishError::Conflict { key: key("p"), source: None });
        let differs = || Failure::Upload(UploadError::ForeignChunk { key: key("c"), chunk: 1 });
        let stopped = || Failure::Stopped(s3up_cli::Signal::Terminated);
        let sent = |status, stderr: &str| {
            let status = std::process::ExitStatus::from_raw(status);
            let outcome = ExitReport { status, stderr: stderr.to_owned() };
            Failure::Send(SendError::Failed { command: "btrfs send".to_owned(), outcome })
        };
        let resume = || Resumption::Resume { run: run(), acknowledged_bytes: 5 };
        let complete = || Resumption::PublishOnly { run: run() };
        #[rustfmt::skip]
        let cases = [
            // situation            failure                           resumption         bytes afterwards
            ("a signal",            stopped(),                        Resumption::Fresh,  5,    KeepForResume),
            ("before anything",     stopped(),                        Resumption::Fresh,  0,    Discard),
            ("to be published",     stopped(),                        complete(),  0,    KeepForResume),
            ("network is away",     upload(StoreErrorKind::Transient),     Resumption::Fresh,  5,    KeepForResume),
            ("access was revoked",  upload(StoreErrorKind::Denied),        resume(),    5,    KeepForResume),
            ("at the manifest",     publish(StoreErrorKind::Transient),    Resumption::Fresh,  5,    KeepForResume),
            ("another host's key",   upload(StoreErrorKind::Precondition),  Resumption::Fresh,  5,    Discard),
            ("was resumed",         upload(StoreErrorKind::Precondition),  resume(),    5,    StartOver),
            ("not what was sent",   upload(StoreErrorKind::Corrupt),       resume(),    5,    StartOver),
            ("one part too many",   upload(StoreErrorKind::Permanent),     Resumption::Fresh,  5,    KeepForResume),
            ("the first part",      upload(StoreErrorKind::Permanent),     Resumption::Fresh,  0,    Discard),
            ("refused twice",       upload(StoreErrorKind::Permanent),     resume(),    5,    StartOver),
            ("differs for ever",    differs(),                        resume(),    5,    StartOver),
            ("maybe published",     unknown(),                        Resumption::Fresh,  0,    KeepForResume),
            ("another host",        conflict(),                       Resumption::Fresh,  5,    Discard),
            ("send was killed",     sent(9, ""),                      Resumption::Fresh,  5,    KeepForResume),
            ("killed at once",      sent(9, ""),                      Resumption::Fresh,  0,    Discard),
            ("out of memory",       sent(256, "-12: Cannot allocate memory"), resume(), 5, KeepForResume),
            ("cannot be sent",      sent(256, "-5: Input/output error"), Resumption::Fresh, 5,  Discard),
            ("upload ended early",  Failure::Unfinished,              Resumption::Fresh,  5,    Discard),
        ];
        for (situation, failure, resumption, bytes, want) in cases {
            assert_eq!(after_failure(&failure, &resumption, bytes), want, "{situation}");
        }
    }
}
