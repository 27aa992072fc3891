//! Behaviours in which S3 servers differ, and presets of those that we measured.
//!
//! The default is S3 as AWS documents it. A preset is a server of one version as
//! the scripts in `findings/` and the contract suite of the store found it, reduced
//! to what a client of ours can notice. A test may also change a single field.

use http::StatusCode;
use s3up_core::part::PART_COUNT_MAX;

/// The behaviours of a server. Each field has a default that is faithful to S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviours {
    /// Treatment of `If-Match` and `If-None-Match` by PutObject.
    pub put_conditions: ConditionBehaviour,
    /// The same in a bucket that keeps versions.
    pub put_conditions_with_versions: ConditionBehaviour,
    /// Treatment of the same headers by CompleteMultipartUpload.
    pub completion_conditions: ConditionBehaviour,
    /// Status of a write with `If-Match` if there is no object: 404 in S3, and 412
    /// on several other servers.
    pub if_match_of_missing: StatusCode,
    /// ETag in the answer of CompleteMultipartUpload.
    pub completion_etag: CompletionETag,
    /// True if the answer of CompleteMultipartUpload has the version ID.
    pub completion_tells_version: bool,
    /// True if CompleteMultipartUpload takes a list of parts with checksums. Otherwise it
    /// answers that the XML is malformed.
    pub completion_takes_checksums: bool,
    /// True if DeleteObjects needs Content-MD5.
    pub delete_batch_needs_md5: bool,
    /// True if the answer of CreateMultipartUpload has the root element that the
    /// reference of S3 names.
    pub create_has_its_root_element: bool,
    /// True if HEAD, GET and listings return the ETag. Otherwise a GET with
    /// `If-Match` is refused too.
    pub tells_etag: bool,
    /// Highest part number that UploadPart accepts.
    pub part_count_max: u64,
    /// Parts in the answer of ListParts.
    pub listed_parts: ListedParts,
    /// Treatment of the checksums of S3, but not of Content-MD5.
    pub checksums: Checksums,
    /// Treatment of `x-amz-server-side-encryption`.
    pub encryption: Encryption,
    /// Storage classes that a write may ask for.
    pub classes: Classes,
    /// Treatment of objects in an archive class.
    pub archive: Archive,
    /// True if a bucket can keep versions.
    pub keeps_versions: bool,
}

/// Treatment of `If-Match` and `If-None-Match` by a call that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionBehaviour {
    /// The write is refused if a condition does not hold, as in S3.
    Honoured,
    /// The write is refused as in S3, but `If-Match` is compared with the ETag without its quotes, so
    /// that the right ETag in quotes is refused.
    BareETag,
    /// The same as `BareETag`, and `If-None-Match` has no effect.
    OnlyBareETag,
    /// Every write with a condition is answered with 501.
    NotImplemented,
    /// `If-None-Match` as in S3. A write with `If-Match` is always answered with 412.
    IfMatchNeverHolds,
    /// The conditions have no effect.
    Ignored,
}

/// ETag in the answer of CompleteMultipartUpload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionETag {
    /// The ETag that HEAD returns, as in S3.
    Same,
    Empty,
    /// Another one than HEAD returns.
    Other,
}

/// Parts in the answer of ListParts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedParts {
    /// A part that was sent again replaces the first, as in S3.
    Once,
    /// A part is listed once for each time that it was sent, until the server
    /// restarts.
    EachSending,
}

/// Treatment of the checksums of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// The server verifies, keeps and returns them, as in S3.
    Verified,
    /// The server neither verifies nor returns them.
    Ignored,
    /// HEAD and GET return them as the client sent them, right or wrong.
    Repeated,
}

/// Treatment of `x-amz-server-side-encryption`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Each answer returns it, as in S3.
    Reported,
    /// The server accepts it and never returns it.
    Ignored,
    /// Only HEAD and GET return it, although nothing is encrypted.
    ReportedByHead,
    /// The write is refused with this status and the code that belongs to it.
    Refused(StatusCode),
}

/// Storage classes that a write may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes {
    /// The classes of S3.
    All,
    /// Any text.
    Any,
    /// STANDARD and these. Others are refused with `InvalidArgument` and without a
    /// sentence.
    Some(&'static [&'static str]),
    /// STANDARD.
    Standard,
}

/// Treatment of objects in an archive class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archive {
    /// An archived object has to be restored before it can be read, as in S3.
    Frozen,
    /// The class is returned, and the object can be read at once. RestoreObject is
    /// answered with this status.
    Served { restore: StatusCode },
}

impl Default for Behaviours {
    fn default() -> Behaviours {
        Behaviours {
            put_conditions: ConditionBehaviour::Honoured,
            put_conditions_with_versions: ConditionBehaviour::Honoured,
            completion_conditions: ConditionBehaviour::Honoured,
            if_match_of_missing: StatusCode::NOT_FOUND,
            completion_etag: CompletionETag::Same,
            completion_tells_version: true,
            completion_takes_checksums: true,
            delete_batch_needs_md5: false,
            create_has_its_root_element: true,
            tells_etag: true,
            part_count_max: PART_COUNT_MAX,
            listed_parts: ListedParts::Once,
            checksums: Checksums::Verified,
            encryption: Encryption::Reported,
            classes: Classes::All,
            archive: Archive::Frozen,
            keeps_versions: true,
        }
    }
}

impl Behaviours {
    /// Returns a server that treats the conditions of all writes like this.
    pub fn with_conditions(conditions: ConditionBehaviour) -> Behaviours {
        Behaviours {
            put_conditions: conditions,
            put_conditions_with_versions: conditions,
            completion_conditions: conditions,
            ..Behaviours::default()
        }
    }
}

/// A server that the embedded one can behave like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Like {
    /// Ceph RGW 16.2.15 with TLS, in a zone that has a class named DEEP_ARCHIVE.
    Rgw,
    /// OpenStack Swift 2.30.1.
    Swift,
    /// SeaweedFS 4.48 without a key for encryption.
    SeaweedFs,
    /// JuiceFS 1.4.2 `gateway` as it starts by default.
    JuiceFs,
    /// rclone 1.75.2 `serve s3`.
    Rclone,
}

impl Like {
    pub const ALL: [Like; 5] =
        [Like::Rgw, Like::Swift, Like::SeaweedFs, Like::JuiceFs, Like::Rclone];

    /// Returns the name of the server on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Like::Rgw => "rgw",
            Like::Swift => "swift",
            Like::SeaweedFs => "seaweedfs",
            Like::JuiceFs => "juicefs",
            Like::Rclone => "rclone",
        }
    }

    /// Returns the preset of the server.
    pub fn behaviours(self) -> Behaviours {
        match self {
            Like::Rgw => rgw(),
            Like::Swift => swift(),
            Like::SeaweedFs => seaweedfs(),
            Like::JuiceFs => juicefs(),
            Like::Rclone => rclone(),
        }
    }
}

fn rgw() -> Behaviours {
    Behaviours {
        put_conditions: ConditionBehaviour::BareETag,
        put_conditions_with_versions: ConditionBehaviour::OnlyBareETag,
        completion_conditions: ConditionBehaviour::Ignored,
        if_match_of_missing: StatusCode::PRECONDITION_FAILED,
        completion_etag: CompletionETag::Empty,
        checksums: Checksums::Ignored,
        encryption: Encryption::Ignored,
        classes: Classes::Some(&["DEEP_ARCHIVE"]),
        archive: Archive::Served { restore: StatusCode::NOT_IMPLEMENTED },
        ..Behaviours::default()
    }
}

fn swift() -> Behaviours {
    Behaviours {
        put_conditions: ConditionBehaviour::NotImplemented,
        put_conditions_with_versions: ConditionBehaviour::NotImplemented,
        completion_conditions: ConditionBehaviour::IfMatchNeverHolds,
        completion_tells_version: false,
        completion_takes_checksums: false,
        delete_batch_needs_md5: true,
        part_count_max: 1000,
        checksums: Checksums::Ignored,
        encryption: Encryption::Refused(StatusCode::NOT_IMPLEMENTED),
        classes: Classes::Standard,
        archive: Archive::Served { restore: StatusCode::NOT_IMPLEMENTED },
        ..Behaviours::default()
    }
}

fn seaweedfs() -> Behaviours {
    Behaviours {
        if_match_of_missing: StatusCode::PRECONDITION_FAILED,
        listed_parts: ListedParts::EachSending,
        encryption: Encryption::Refused(StatusCode::INTERNAL_SERVER_ERROR),
        archive: Archive::Served { restore: StatusCode::METHOD_NOT_ALLOWED },
        ..Behaviours::default()
    }
}

fn juicefs() -> Behaviours {
    Behaviours {
        tells_etag: false,
        checksums: Checksums::Ignored,
        encryption: Encryption::Refused(StatusCode::NOT_IMPLEMENTED),
        classes: Classes::Standard,
        archive: Archive::Served { restore: StatusCode::NOT_IMPLEMENTED },
        keeps_versions: false,
        ..Behaviours::with_conditions(ConditionBehaviour::Ignored)
    }
}

fn rclone() -> Behaviours {
    Behaviours {
        completion_etag: CompletionETag::Other,
        create_has_its_root_element: false,
        checksums: Checksums::Repeated,
        encryption: Encryption::ReportedByHead,
        classes: Classes::Any,
        archive: Archive::Served { restore: StatusCode::BAD_REQUEST },
        keeps_versions: false,
        ..Behaviours::with_conditions(ConditionBehaviour::Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_preset_has_a_name_and_differs_from_s3() {
        for like in Like::ALL {
            assert_ne!(like.behaviours(), Behaviours::default(), "{}", like.name());
        }
        let names = Like::ALL.map(Like::name);
        assert_eq!(names, ["rgw", "swift", "seaweedfs", "juicefs", "rclone"]);
    }
}
