//! The operations that an error names, and the right that each one needs.

use std::fmt;

/// A request to S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Put,
    /// Copy an object onto itself.
    Copy,
    Get,
    Head,
    /// Get a whole document.
    Read,
    List,
    ListVersions,
    /// Check that the bucket exists and may be listed.
    Probe,
    StartUpload,
    PutPart,
    ListParts,
    CompleteUpload,
    AbortUpload,
    ListUploads,
    Delete,
    Thaw,
    GetVersioning,
    GetLifecycleRules,
}

impl Operation {
    /// Returns the right that the request needs, as a policy names it.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Operation::Put
            | Operation::Copy
            | Operation::StartUpload
            | Operation::PutPart
            | Operation::CompleteUpload => "s3:PutObject",
            Operation::Get | Operation::Head | Operation::Read => "s3:GetObject",
            Operation::List | Operation::Probe => "s3:ListBucket",
            Operation::ListVersions => "s3:ListBucketVersions",
            Operation::ListParts => "s3:ListMultipartUploadParts",
            Operation::AbortUpload => "s3:AbortMultipartUpload",
            Operation::ListUploads => "s3:ListBucketMultipartUploads",
            Operation::Delete => "s3:DeleteObject",
            Operation::Thaw => "s3:RestoreObject",
            Operation::GetVersioning => "s3:GetBucketVersioning",
            Operation::GetLifecycleRules => "s3:GetLifecycleConfiguration",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Put => "put",
            Operation::Copy => "copy",
            Operation::Get => "get",
            Operation::Head => "head",
            Operation::Read => "read",
            Operation::List => "list",
            Operation::ListVersions => "list the versions of",
            Operation::Probe => "probe",
            Operation::StartUpload => "start upload of",
            Operation::PutPart => "put part of",
            Operation::ListParts => "list parts of",
            Operation::CompleteUpload => "complete upload of",
            Operation::AbortUpload => "abort upload of",
            Operation::ListUploads => "list uploads below",
            Operation::Delete => "delete",
            Operation::Thaw => "thaw",
            Operation::GetVersioning => "get versioning of",
            Operation::GetLifecycleRules => "get lifecycle rules of",
        })
    }
}
