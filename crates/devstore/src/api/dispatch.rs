//! The one `impl` block with all calls that `s3s` requires. It only forwards.

use s3s::{S3, S3Request, S3Response, S3Result, dto};

use super::Api;

macro_rules! calls {
    (
        with status {
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
    with status {
        head_object(HeadObjectInput) -> HeadObjectOutput = head;
        restore_object(RestoreObjectInput) -> RestoreObjectOutput = restore;
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

    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = start_upload;
    upload_part(UploadPartInput) -> UploadPartOutput = put_part;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = abort;
}
