//! The S3 operations that a fault or a hold can be limited to.

use serde::{Deserialize, Serialize};

macro_rules! operations {
    ($($name:ident),* $(,)?) => {
        /// An S3 operation of this server. Its JSON form is its name.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum Op { $($name),* }

        impl Op {
            pub const ALL: &[Op] = &[$(Op::$name),*];

            pub(crate) fn named(name: &str) -> Option<Op> {
                match name {
                    $(stringify!($name) => Some(Op::$name),)*
                    _ => None,
                }
            }
        }
    };
}

operations!(
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CopyObject,
    CreateBucket,
    CreateMultipartUpload,
    DeleteBucket,
    DeleteBucketLifecycle,
    DeleteObject,
    DeleteObjects,
    GetBucketLifecycleConfiguration,
    GetBucketLocation,
    GetBucketVersioning,
    GetObject,
    GetObjectAttributes,
    HeadBucket,
    HeadObject,
    ListBuckets,
    ListMultipartUploads,
    ListObjectVersions,
    ListObjects,
    ListObjectsV2,
    ListParts,
    PutBucketLifecycleConfiguration,
    PutBucketVersioning,
    PutObject,
    RestoreObject,
    UploadPart,
);
