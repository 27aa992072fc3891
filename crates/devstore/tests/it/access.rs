//! Credentials, and calls on buckets.

use s3up_devstore::{DevStore, Options, StartError, Versioning};

use crate::support::{BUCKET, client, refusal, server};

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let server = server().await;
    let intruder = client(&server.s3.endpoint(), Options::ACCESS_KEY_ID, "wrong");

    let refused = intruder.list_objects_v2().bucket(BUCKET).send().await;

    assert_eq!(refusal(refused), "SignatureDoesNotMatch");
}

#[tokio::test]
async fn an_unknown_access_key_is_refused() {
    let server = server().await;
    let intruder = client(&server.s3.endpoint(), "stranger", Options::SECRET_ACCESS_KEY);

    let refused = intruder.list_objects_v2().bucket(BUCKET).send().await;

    assert_eq!(refusal(refused), "InvalidAccessKeyId");
}

#[tokio::test]
async fn a_signature_for_another_region_is_refused() {
    let server = server().await;
    let config = server.client.config().to_builder();
    let config = config.region(aws_sdk_s3::config::Region::new("eu-west-9"));
    let astray = aws_sdk_s3::Client::from_conf(config.build());

    let refused = astray.list_objects_v2().bucket(BUCKET).send().await;

    assert_eq!(refusal(refused), "AuthorizationHeaderMalformed");
}

#[tokio::test]
async fn a_request_without_a_signature_is_refused() {
    let server = server().await;

    let answer = reqwest::get(format!("{}/{BUCKET}/key", server.s3.endpoint())).await.unwrap();

    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().contains("<Code>AccessDenied</Code>"));
}

#[tokio::test]
async fn every_call_on_an_absent_bucket_is_refused() {
    let server = server().await;
    let client = &server.client;

    let put = client.put_object().bucket("absent").key("k").send().await;
    let get = client.get_object().bucket("absent").key("k").send().await;
    let list = client.list_objects_v2().bucket("absent").send().await;
    let start = client.create_multipart_upload().bucket("absent").key("k").send().await;

    let refusals = [refusal(put), refusal(get), refusal(list), refusal(start)];
    assert_eq!(refusals, ["NoSuchBucket"; 4]);
}

#[tokio::test]
async fn a_bucket_is_created_listed_found_and_deleted() {
    let server = server().await;
    let client = &server.client;

    client.create_bucket().bucket("another").send().await.unwrap();
    client.head_bucket().bucket("another").send().await.unwrap();
    client.get_bucket_location().bucket("another").send().await.unwrap();
    let again = client.create_bucket().bucket("another").send().await;
    let listed = client.list_buckets().send().await.unwrap();
    client.delete_bucket().bucket("another").send().await.unwrap();

    assert_eq!(refusal(again), "BucketAlreadyOwnedByYou");
    let names: Vec<_> = listed.buckets().iter().filter_map(|bucket| bucket.name()).collect();
    assert_eq!(names, ["another", BUCKET]);
    assert!(client.head_bucket().bucket("another").send().await.is_err());
}

#[tokio::test]
async fn a_bucket_that_is_not_empty_is_not_deleted() {
    let server = server().await;
    server.put("key", b"1").await;

    let refused = server.client.delete_bucket().bucket(BUCKET).send().await;

    assert_eq!(refusal(refused), "BucketNotEmpty");
    assert_eq!(server.get("key").await, b"1");
}

#[tokio::test]
async fn an_invalid_bucket_name_is_refused() {
    let server = server().await;

    let refused = server.s3.create_bucket("No_Bucket", Versioning::Off).await.unwrap_err();

    let message = r#"create bucket "No_Bucket": not a valid S3 bucket name"#;
    assert_eq!(refused.to_string(), message);
}

#[tokio::test]
async fn a_directory_that_is_in_use_is_not_opened_again() {
    let server = server().await;

    let refused = DevStore::start(Options::new(server.dir.path())).await.err().unwrap();

    assert!(matches!(refused, StartError::Open(_)), "{refused:?}");
}
