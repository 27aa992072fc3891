//! Archived objects cannot be read before they are restored, nor after the restore
//! has expired.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::restore_object::{RestoreObjectError, RestoreObjectOutput};
use aws_sdk_s3::types::{
    GlacierJobParameters, Object, OptionalObjectAttributes, RestoreRequest, StorageClass, Tier,
};
use s3up_testkit::StatusRecorder;

use crate::support::{BUCKET, Server, bytes, refusal, server, status, versioned_server};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOURS_5: Duration = Duration::from_secs(5 * 60 * 60);

#[tokio::test]
async fn a_storage_class_is_stored_and_returned() {
    let server = server().await;
    for class in ["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER"] {
        put(&server, "key", class).await;

        assert_eq!(head(&server).await.storage_class().unwrap().as_str(), class);
        assert_eq!(listed(&server).await.storage_class().unwrap().as_str(), class);
    }
    assert_eq!(head(&server).await.restore(), None);
}

#[tokio::test]
async fn an_archived_object_cannot_be_read_until_it_is_restored() {
    let server = server().await;
    for class in ["GLACIER", "DEEP_ARCHIVE"] {
        put(&server, "key", class).await;

        let get = server.client.get_object().bucket(BUCKET).key("key").send().await;
        let copy = server.client.copy_object().bucket(BUCKET).key("copy");
        let copy = copy.copy_source(format!("{BUCKET}/key")).send().await;
        assert_eq!(get.as_ref().unwrap_err().raw_response().unwrap().status().as_u16(), 403);
        assert_eq!(refusal(get), "InvalidObjectState", "{class}");
        assert_eq!(refusal(copy), "InvalidObjectState", "{class}");

        restore(&server, 1, Tier::Bulk).await.unwrap();
        assert_eq!(server.get("key").await, b"cold", "{class}");
        assert_eq!(listed(&server).await.storage_class().unwrap().as_str(), class);
    }
}

#[tokio::test]
async fn a_restore_is_in_progress_then_done_and_then_expired() {
    let server = server().await;
    server.s3.set_restore_delay(HOURS_5);
    put(&server, "key", "DEEP_ARCHIVE").await;
    let (status, restored) = restore_with_status(&server, 2).await;
    assert!(restored.is_ok());
    assert_eq!(status, 202);

    assert_eq!(head(&server).await.restore(), Some(r#"ongoing-request="true""#));
    assert_eq!(refusal(get(&server).await), "InvalidObjectState");
    assert_eq!(refusal(restore(&server, 2, Tier::Standard).await), "RestoreAlreadyInProgress");

    server.s3.advance(HOURS_5).await.unwrap();
    let expires_at = midnight_after(server.s3.now()) + 2 * DAY;
    let header = head(&server).await.restore.unwrap();
    assert!(header.starts_with(r#"ongoing-request="false", expiry-date=""#), "{header}");
    assert_eq!(listed_expiry(&server).await, expires_at);
    assert_eq!(server.get("key").await, b"cold");

    server.s3.advance(3 * DAY).await.unwrap();
    assert_eq!(head(&server).await.restore(), None);
    assert_eq!(refusal(get(&server).await), "InvalidObjectState");
}

#[tokio::test]
async fn a_second_restore_extends_the_existing_copy() {
    let server = server().await;
    server.s3.set_restore_delay(HOURS_5);
    put(&server, "key", "GLACIER").await;
    restore(&server, 1, Tier::Standard).await.unwrap();
    server.s3.advance(HOURS_5).await.unwrap();
    let before = listed_expiry(&server).await;

    let (status, again) = restore_with_status(&server, 10).await;

    assert!(again.is_ok());
    assert_eq!(status, 200);
    assert_eq!(listed_expiry(&server).await, before + 9 * DAY);
    server.s3.advance(9 * DAY).await.unwrap();
    assert_eq!(server.get("key").await, b"cold");
}

#[tokio::test]
async fn a_listing_has_restore_statuses_if_requested() {
    let server = server().await;
    server.s3.set_restore_delay(HOURS_5);
    put(&server, "key", "GLACIER").await;
    assert!(listed(&server).await.restore_status().is_none(), "nothing was restored");
    restore(&server, 1, Tier::Standard).await.unwrap();

    assert_eq!(
        listed(&server).await.restore_status().unwrap().is_restore_in_progress(),
        Some(true)
    );
    server.s3.advance(HOURS_5).await.unwrap();
    let done = listed(&server).await.restore_status.unwrap();
    assert_eq!(done.is_restore_in_progress(), Some(false));
    assert!(done.restore_expiry_date().is_some());

    let without_statuses = server.client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert!(without_statuses.contents()[0].restore_status().is_none());
}

#[tokio::test]
async fn an_invalid_restore_is_refused() {
    let server = server().await;
    put(&server, "key", "DEEP_ARCHIVE").await;
    assert_eq!(refusal(restore(&server, 1, Tier::Expedited).await), "InvalidArgument");
    assert_eq!(refusal(restore(&server, 0, Tier::Standard).await), "InvalidArgument");

    put(&server, "key", "GLACIER").await;
    restore(&server, 1, Tier::Expedited).await.unwrap();

    put(&server, "key", "STANDARD").await;
    assert_eq!(refusal(restore(&server, 1, Tier::Standard).await), "InvalidObjectState");
    let absent = server.client.restore_object().bucket(BUCKET).key("absent");
    let absent = absent.restore_request(RestoreRequest::builder().days(1).build());
    assert_eq!(refusal(absent.send().await), "NoSuchKey");
}

#[tokio::test]
async fn an_overwritten_object_is_archived_again() {
    let server = server().await;
    put(&server, "key", "GLACIER").await;
    restore(&server, 1, Tier::Standard).await.unwrap();

    put(&server, "key", "GLACIER").await;

    assert_eq!(refusal(get(&server).await), "InvalidObjectState");
}

#[tokio::test]
async fn a_restore_applies_to_one_version_only() {
    let server = versioned_server().await;
    let old = put(&server, "key", "GLACIER").await;
    put(&server, "key", "GLACIER").await;

    let restore = server.client.restore_object().bucket(BUCKET).key("key").version_id(&old);
    let request = RestoreRequest::builder().days(1).build();
    restore.restore_request(request).send().await.unwrap();

    let of_old = server.client.get_object().bucket(BUCKET).key("key").version_id(&old);
    assert!(of_old.send().await.is_ok());
    assert_eq!(refusal(get(&server).await), "InvalidObjectState");
}

#[tokio::test]
async fn an_archived_object_can_be_inspected_and_deleted_without_a_restore() {
    let server = server().await;
    put(&server, "key", "DEEP_ARCHIVE").await;

    assert_eq!(head(&server).await.content_length(), Some(4));
    server.client.delete_object().bucket(BUCKET).key("key").send().await.unwrap();

    assert_eq!(status(server.client.head_object().bucket(BUCKET).key("key").send().await), 404);
}

#[tokio::test]
async fn a_restore_and_the_clock_survive_a_restart() {
    let server = server().await;
    server.s3.set_restore_delay(HOURS_5);
    put(&server, "key", "GLACIER").await;
    restore(&server, 1, Tier::Standard).await.unwrap();
    server.s3.advance(HOURS_5).await.unwrap();
    let header = head(&server).await.restore;

    let server = server.restart().await;

    assert_eq!(head(&server).await.restore, header);
    assert_eq!(server.get("key").await, b"cold");
}

type Restored = Result<RestoreObjectOutput, SdkError<RestoreObjectError>>;

async fn restore(server: &Server, days: i32, tier: Tier) -> Restored {
    restoring(server, days, tier).send().await
}

/// Requests a restore, and also returns the status of the answer.
async fn restore_with_status(server: &Server, days: i32) -> (u16, Restored) {
    let seen = StatusRecorder::default();
    let restoring = restoring(server, days, Tier::Standard).customize().interceptor(seen.clone());
    let restored = restoring.send().await;
    (seen.get(), restored)
}

fn restoring(
    server: &Server,
    days: i32,
    tier: Tier,
) -> aws_sdk_s3::operation::restore_object::builders::RestoreObjectFluentBuilder {
    let job = GlacierJobParameters::builder().tier(tier).build().expect("a tier is given");
    let request = RestoreRequest::builder().days(days).glacier_job_parameters(job).build();
    server.client.restore_object().bucket(BUCKET).key("key").restore_request(request)
}

/// Puts an object and returns its version id.
async fn put(server: &Server, key: &str, class: &str) -> String {
    let put = server.client.put_object().bucket(BUCKET).key(key).body(bytes(b"cold"));
    let put = put.storage_class(StorageClass::from(class)).send().await.expect("the object is put");
    put.version_id.unwrap_or_default()
}

async fn get(
    server: &Server,
) -> Result<
    aws_sdk_s3::operation::get_object::GetObjectOutput,
    SdkError<aws_sdk_s3::operation::get_object::GetObjectError>,
> {
    server.client.get_object().bucket(BUCKET).key("key").send().await
}

async fn head(server: &Server) -> HeadObjectOutput {
    let head = server.client.head_object().bucket(BUCKET).key("key").send().await;
    head.expect("the object is there")
}

/// Returns the first object of a listing, with its restore status.
async fn listed(server: &Server) -> Object {
    let list = server.client.list_objects_v2().bucket(BUCKET);
    let list = list.optional_object_attributes(OptionalObjectAttributes::RestoreStatus);
    let listed = list.send().await.expect("the bucket is listed").contents.unwrap_or_default();
    listed.into_iter().next().expect("an object")
}

async fn listed_expiry(server: &Server) -> SystemTime {
    let status = listed(server).await.restore_status.expect("a restore");
    let expiry = status.restore_expiry_date.expect("the restore is done");
    SystemTime::try_from(expiry).expect("a time after 1970")
}

fn midnight_after(time: SystemTime) -> SystemTime {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970");
    SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs().div_ceil(86400) * 86400)
}
