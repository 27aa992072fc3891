//! Calls on buckets.

use s3s::{S3Request, S3Result, dto};

use super::Api;
use super::fields::invalid;
use crate::model::record::Versioning;

impl Api {
    pub(super) async fn add_bucket(
        &self,
        request: S3Request<dto::CreateBucketInput>,
    ) -> S3Result<dto::CreateBucketOutput> {
        let bucket = request.input.bucket;
        let location = Some(format!("/{bucket}"));
        self.work(move |store| store.create_bucket(&bucket)).await?;
        Ok(dto::CreateBucketOutput { location })
    }

    pub(super) async fn remove_bucket(
        &self,
        request: S3Request<dto::DeleteBucketInput>,
    ) -> S3Result<dto::DeleteBucketOutput> {
        self.work(move |store| store.delete_bucket(&request.input.bucket)).await?;
        Ok(dto::DeleteBucketOutput::default())
    }

    pub(super) async fn find_bucket(
        &self,
        request: S3Request<dto::HeadBucketInput>,
    ) -> S3Result<dto::HeadBucketOutput> {
        self.check_bucket(request.input.bucket).await?;
        Ok(dto::HeadBucketOutput::default())
    }

    /// Answers without a location, which means `us-east-1`.
    pub(super) async fn bucket_location(
        &self,
        request: S3Request<dto::GetBucketLocationInput>,
    ) -> S3Result<dto::GetBucketLocationOutput> {
        self.check_bucket(request.input.bucket).await?;
        Ok(dto::GetBucketLocationOutput::default())
    }

    pub(super) async fn buckets(
        &self,
        _request: S3Request<dto::ListBucketsInput>,
    ) -> S3Result<dto::ListBucketsOutput> {
        let listed = self.work(|store| {
            let state = store.state()?;
            let buckets = state.buckets.iter().map(|(name, bucket)| dto::Bucket {
                bucket_region: None,
                creation_date: Some(bucket.record.created_at.clone()),
                name: Some(name.clone()),
            });
            Ok(buckets.collect())
        });
        let owner = dto::Owner { display_name: None, id: Some("devstore".to_owned()) };
        Ok(dto::ListBucketsOutput {
            buckets: Some(listed.await?),
            continuation_token: None,
            owner: Some(owner),
            prefix: None,
        })
    }

    pub(super) async fn versioning(
        &self,
        request: S3Request<dto::GetBucketVersioningInput>,
    ) -> S3Result<dto::GetBucketVersioningOutput> {
        let found = self
            .work(move |store| Ok(store.state()?.bucket(&request.input.bucket)?.record.versioning));
        let status = match found.await? {
            Versioning::Off => None,
            Versioning::Enabled => Some(dto::BucketVersioningStatus::ENABLED),
            Versioning::Suspended => Some(dto::BucketVersioningStatus::SUSPENDED),
        };
        let status = status.map(dto::BucketVersioningStatus::from_static);
        Ok(dto::GetBucketVersioningOutput { mfa_delete: None, status })
    }

    pub(super) async fn set_versioning(
        &self,
        request: S3Request<dto::PutBucketVersioningInput>,
    ) -> S3Result<dto::PutBucketVersioningOutput> {
        let bucket = request.input.bucket;
        let status = request.input.versioning_configuration.status;
        let versioning = match status.as_ref().map(dto::BucketVersioningStatus::as_str) {
            Some(dto::BucketVersioningStatus::ENABLED) => Versioning::Enabled,
            Some(dto::BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
            Some(_) | None => return Err(invalid("Expected the Status Enabled or Suspended.")),
        };
        self.work(move |store| store.set_versioning(&bucket, versioning)).await?;
        Ok(dto::PutBucketVersioningOutput::default())
    }

    /// Checks that a bucket exists, for example before a body is received.
    pub(super) async fn check_bucket(&self, bucket: String) -> S3Result<()> {
        self.work(move |store| store.state()?.bucket(&bucket).map(|_| ())).await
    }
}
