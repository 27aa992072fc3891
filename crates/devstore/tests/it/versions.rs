//! Versions and delete markers.

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};

use crate::support::{BUCKET, Server, body, bytes, refusal, server, status, versioned_server};

#[tokio::test]
async fn an_overwritten_object_is_kept_as_a_version() {
    let server = versioned_server().await;
    let (first, second) = (put(&server, b"one").await, put(&server, b"two").await);

    assert_ne!(first, second);
    assert_eq!(get(&server, &first).await, b"one");
    assert_eq!(get(&server, &second).await, b"two");
    assert_eq!(server.get("key").await, b"two");
    let head = server.client.head_object().bucket(BUCKET).key("key").version_id(&first);
    assert_eq!(head.send().await.unwrap().version_id(), Some(first.as_str()));
}

#[tokio::test]
async fn a_deleted_object_is_hidden_by_a_delete_marker() {
    let server = versioned_server().await;
    let version = put(&server, b"one").await;

    let deleted = server.client.delete_object().bucket(BUCKET).key("key").send().await.unwrap();
    let head = server.client.head_object().bucket(BUCKET).key("key").send().await;
    let marker = deleted.version_id().unwrap();
    let of_marker = server.client.get_object().bucket(BUCKET).key("key").version_id(marker);

    assert_eq!(deleted.delete_marker(), Some(true));
    assert_eq!(
        head.as_ref().unwrap_err().raw_response().unwrap().headers().get("x-amz-delete-marker"),
        Some("true")
    );
    assert_eq!(status(head), 404);
    assert_eq!(refusal(of_marker.send().await), "MethodNotAllowed");
    assert_eq!(server.keys().await, [""; 0]);
    assert_eq!(get(&server, &version).await, b"one");
}

#[tokio::test]
async fn deleting_a_delete_marker_restores_the_object() {
    let server = versioned_server().await;
    put(&server, b"one").await;
    let deleted = server.client.delete_object().bucket(BUCKET).key("key").send().await.unwrap();

    let undo = server.client.delete_object().bucket(BUCKET).key("key");
    let undone = undo.version_id(deleted.version_id().unwrap()).send().await.unwrap();

    assert_eq!(undone.delete_marker(), Some(true));
    assert_eq!(server.get("key").await, b"one");
}

#[tokio::test]
async fn a_deleted_version_is_gone_permanently() {
    let server = versioned_server().await;
    let (first, second) = (put(&server, b"one").await, put(&server, b"two").await);

    let delete = server.client.delete_object().bucket(BUCKET).key("key").version_id(&second);
    delete.send().await.unwrap();

    assert_eq!(server.get("key").await, b"one");
    let gone = server.client.get_object().bucket(BUCKET).key("key").version_id(&second);
    assert_eq!(refusal(gone.send().await), "NoSuchVersion");
    assert_eq!(get(&server, &first).await, b"one");
    assert_eq!(server.files("blobs").len(), 1);
}

#[tokio::test]
async fn all_versions_are_listed_newest_first_and_in_pages() {
    let server = versioned_server().await;
    let first = put(&server, b"one").await;
    let second = put(&server, b"two").await;
    let deleted = server.client.delete_object().bucket(BUCKET).key("key").send().await.unwrap();
    let marker = deleted.version_id.unwrap();

    let listed = server.client.list_object_versions().bucket(BUCKET).send().await.unwrap();
    assert_eq!(ids(&listed), [second.as_str(), first.as_str()]);
    assert_eq!(listed.delete_markers()[0].version_id(), Some(marker.as_str()));
    assert_eq!(listed.delete_markers()[0].is_latest(), Some(true));
    assert_eq!(listed.versions()[0].is_latest(), Some(false));

    assert_eq!(in_pages_of_one(&server).await, [marker, second, first]);
}

#[tokio::test]
async fn versioning_is_enabled_and_suspended() {
    let server = server().await;
    assert_eq!(versioning(&server).await, None);
    server.put("key", b"null").await;

    set_versioning(&server, BucketVersioningStatus::Enabled).await;
    assert_eq!(versioning(&server).await, Some(BucketVersioningStatus::Enabled));
    let kept = put(&server, b"kept").await;

    set_versioning(&server, BucketVersioningStatus::Suspended).await;
    assert_eq!(put(&server, b"null again").await, "null");

    let listed = server.client.list_object_versions().bucket(BUCKET).send().await.unwrap();
    assert_eq!(ids(&listed), ["null", kept.as_str()], "only one null version, which is the newest");
}

#[tokio::test]
async fn a_condition_ignores_a_delete_marker() {
    let server = versioned_server().await;
    put(&server, b"one").await;
    server.client.delete_object().bucket(BUCKET).key("key").send().await.unwrap();

    let put = server.client.put_object().bucket(BUCKET).key("key").if_none_match("*");

    assert!(put.send().await.is_ok());
}

/// Puts `key` and returns its version id.
async fn put(server: &Server, body: &[u8]) -> String {
    let put = server.client.put_object().bucket(BUCKET).key("key").body(bytes(body));
    put.send().await.expect("the object is put").version_id.expect("a version id")
}

async fn get(server: &Server, version: &str) -> Vec<u8> {
    let get = server.client.get_object().bucket(BUCKET).key("key").version_id(version);
    let got = get.send().await.expect("the version is there");
    assert_eq!(got.version_id(), Some(version));
    body(got).await
}

async fn in_pages_of_one(server: &Server) -> Vec<String> {
    let (mut all, mut key, mut id) = (Vec::new(), None, None);
    loop {
        let list = server.client.list_object_versions().bucket(BUCKET).max_keys(1);
        let list = list.set_key_marker(key).set_version_id_marker(id);
        let page = list.send().await.expect("the versions are listed");
        all.extend(ids(&page).into_iter().map(str::to_owned));
        all.extend(page.delete_markers().iter().filter_map(|m| m.version_id.clone()));
        if page.is_truncated() != Some(true) {
            return all;
        }
        (key, id) = (page.next_key_marker, page.next_version_id_marker);
    }
}

fn ids(page: &ListObjectVersionsOutput) -> Vec<&str> {
    page.versions().iter().filter_map(|version| version.version_id()).collect()
}

async fn versioning(server: &Server) -> Option<BucketVersioningStatus> {
    let got = server.client.get_bucket_versioning().bucket(BUCKET).send().await;
    got.expect("the versioning is returned").status
}

async fn set_versioning(server: &Server, status: BucketVersioningStatus) {
    let configuration = VersioningConfiguration::builder().status(status).build();
    let put = server.client.put_bucket_versioning().bucket(BUCKET);
    let put = put.versioning_configuration(configuration).send().await;
    put.expect("the versioning is set");
}
