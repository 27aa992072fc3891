//! The calls of S3, answered from the [`Store`].
//!
//! `s3s` requires one `impl` block with all calls. It is here, and forwards each
//! call to a method in one of the modules below. Such a method translates the
//! request, does the work on the blocking pool, and translates the result.

mod buckets;
mod copy;
mod fields;
mod lifecycle;
mod list;
mod list_request;
mod list_uploads;
mod list_versions;
mod read;
mod restore;
mod slice;
mod upload;
mod write;

use std::sync::Arc;

use http::StatusCode;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};

use crate::behaviours::Behaviours;
use crate::storage::refusal::refusal;
use crate::storage::store::Store;

pub(crate) struct Api {
    store: Arc<Store>,
}

impl Api {
    pub(crate) fn new(store: Arc<Store>) -> Api {
        Api { store }
    }

    /// Runs `work` on the blocking pool. It is finished even if the client
    /// disconnects, as in S3.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let store = Arc::clone(&self.store);
        let working = tokio::task::spawn_blocking(move || work(&store));
        working.await.map_err(S3Error::internal_error)?
    }

    fn behaviours(&self) -> &Behaviours {
        &self.store.behaviours
    }

    /// Returns the error of a conditional write in the form that this server has for
    /// it: not all answer 404 if there is no object.
    fn write_error(&self, error: S3Error, is_if_match: bool) -> S3Error {
        let is_missing = is_if_match && *error.code() == S3ErrorCode::NoSuchKey;
        if is_missing { refusal(self.behaviours().if_match_of_missing) } else { error }
    }
}

/// Overrides the status of an answer. `s3s` has a field for it, but ignores that
/// field in some calls.
#[derive(Clone, Copy)]
pub(crate) struct AnswerStatus(pub(crate) StatusCode);

/// Replaces a text in the body of an answer, for servers whose documents differ.
#[derive(Clone, Copy)]
pub(crate) struct AnswerText {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
}

fn with_text<T>(output: T, text: Option<AnswerText>) -> S3Response<T> {
    let mut response = S3Response::new(output);
    if let Some(text) = text {
        response.extensions.insert(text);
    }
    response
}

fn with_status<T>(output: T, status: StatusCode) -> S3Response<T> {
    let mut response = S3Response::new(output);
    response.extensions.insert(AnswerStatus(status));
    response
}

macro_rules! calls {
    (
        with a response {
            $($other:ident($other_in:ident) -> $other_out:ident = $other_answer:ident;)*
        }
        $($call:ident($input:ident) -> $output:ident = $answer:ident;)*
    ) => {
        #[async_trait::async_trait]
        impl S3 for Api {
            $(async fn $call(
                &self,
                request: S3Request<dto::$input>,
            ) -> S3Result<S3Response<dto::$output>> {
                self.$answer(request).await.map(S3Response::new)
            })*
            $(async fn $other(
                &self,
                request: S3Request<dto::$other_in>,
            ) -> S3Result<S3Response<dto::$other_out>> {
                self.$other_answer(request).await
            })*
        }
    };
}

#[rustfmt::skip]
calls! {
    with a response {
        head_object(HeadObjectInput) -> HeadObjectOutput = head;
        restore_object(RestoreObjectInput) -> RestoreObjectOutput = restore;
        create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = start_upload;
        complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = complete;
    }

    create_bucket(CreateBucketInput) -> CreateBucketOutput = add_bucket;
    delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput = delete_lifecycle;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = remove_bucket;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput = lifecycle;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = bucket_location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = versioning;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = find_bucket;
    list_buckets(ListBucketsInput) -> ListBucketsOutput = buckets;
    put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput) -> PutBucketLifecycleConfigurationOutput = set_lifecycle;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = set_versioning;

    put_object(PutObjectInput) -> PutObjectOutput = put;
    copy_object(CopyObjectInput) -> CopyObjectOutput = copy;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = delete_batch;

    get_object(GetObjectInput) -> GetObjectOutput = get;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = object_attributes;

    list_objects(ListObjectsInput) -> ListObjectsOutput = list_v1;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = list_v2;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = list_versions;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = list_uploads;
    list_parts(ListPartsInput) -> ListPartsOutput = list_parts_of;

    upload_part(UploadPartInput) -> UploadPartOutput = put_part;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = abort;
}
