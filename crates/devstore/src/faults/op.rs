//! The operations of S3 by name, so that a fault can be meant for one of them.

macro_rules! operations {
    ($($name:ident),* $(,)?) => {
        /// An S3 operation that this server knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
