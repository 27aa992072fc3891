//! The calls of S3, answered from the [`Store`].
//!
//! `s3s` wants one block with every call in it: that block is here, and does
//! nothing but pass each call on to the module of its kind. A call translates
//! the request, does its work on the blocking pool, and translates the result.

mod asked;
mod buckets;
mod fields;
mod list;
mod list_uploads;
mod list_versions;
mod read;
mod upload;
mod write;

use std::sync::Arc;

use s3s::{S3, S3Error, S3Request, S3Response, S3Result, dto};

use crate::store::Store;

pub(crate) struct Api {
    store: Arc<Store>,
}

impl Api {
    pub(crate) fn new(store: Arc<Store>) -> Api {
        Api { store }
    }

    /// Runs on the blocking pool. If the client goes away meanwhile, the work
    /// is finished all the same, as S3 would.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let store = Arc::clone(&self.store);
        let working = tokio::task::spawn_blocking(move || work(&store));
        working.await.map_err(S3Error::internal_error)?
    }
}

macro_rules! calls {
    ($($call:ident($input:ident) -> $output:ident = $answer:ident;)*) => {
        #[async_trait::async_trait]
        impl S3 for Api {
            $(async fn $call(
                &self,
                request: S3Request<dto::$input>,
            ) -> S3Result<S3Response<dto::$output>> {
                self.$answer(request).await.map(S3Response::new)
            })*
        }
    };
}

#[rustfmt::skip]
calls! {
    create_bucket(CreateBucketInput) -> CreateBucketOutput = make_bucket;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = remove_bucket;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = locate_bucket;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = versioning;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = look_at_bucket;
    list_buckets(ListBucketsInput) -> ListBucketsOutput = buckets;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = set_versioning;

    put_object(PutObjectInput) -> PutObjectOutput = put;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = delete_batch;

    get_object(GetObjectInput) -> GetObjectOutput = get;
    head_object(HeadObjectInput) -> HeadObjectOutput = head;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = attributes;

    list_objects(ListObjectsInput) -> ListObjectsOutput = list_v1;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = list_v2;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = list_versions;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = list_uploads;
    list_parts(ListPartsInput) -> ListPartsOutput = list_parts_of;

    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = start_upload;
    upload_part(UploadPartInput) -> UploadPartOutput = put_part;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = abort;
}
