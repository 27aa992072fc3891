//! Listings: prefix, delimiter, pages, escaped keys.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;

use crate::support::{BUCKET, Server, refusal, server};

#[tokio::test]
async fn keys_of_several_pages_are_each_listed_once() {
    let server = server().await;
    let mut want: Vec<String> = (0..1005).map(|n| format!("key-{n:04}")).collect();
    for key in &want {
        server.put(key, b"").await;
    }

    let first = server.client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert_eq!(first.contents().len(), 1000, "a page has a thousand keys");

    want.sort();
    assert_eq!(all_keys(&server, 1000).await, want);
    assert_eq!(all_keys(&server, 334).await, want);
}

#[tokio::test]
async fn a_page_can_have_a_single_entry() {
    let server = server().await;
    let want = ["a", "a/b", "b/c", "b/d", "c"];
    for key in want {
        server.put(key, b"").await;
    }

    assert_eq!(all_keys(&server, 1).await, want);
}

#[tokio::test]
async fn a_delimiter_rolls_up_the_keys_below_it() {
    let server = server().await;
    for key in ["top", "w/a/1", "w/a/2", "w/b", "w/c/3", "x/1"] {
        server.put(key, b"").await;
    }

    let root = list(&server, "").await;
    let below = list(&server, "w/").await;

    assert_eq!((keys(&root), prefixes(&root)), (vec!["top"], vec!["w/", "x/"]));
    assert_eq!((keys(&below), prefixes(&below)), (vec!["w/b"], vec!["w/a/", "w/c/"]));
    assert_eq!(below.key_count(), Some(3));
}

#[tokio::test]
async fn a_listing_starts_after_the_given_key() {
    let server = server().await;
    for key in ["a", "b", "c"] {
        server.put(key, b"").await;
    }

    let list = server.client.list_objects_v2().bucket(BUCKET).start_after("a");
    let listed = list.send().await.unwrap();

    assert_eq!(keys(&listed), ["b", "c"]);
}

#[tokio::test]
async fn keys_are_escaped_on_request() {
    let server = server().await;
    server.put("a b/\u{1}ä+", b"").await;

    let list = server.client.list_objects_v2().bucket(BUCKET).encoding_type(EncodingType::Url);
    let listed = list.send().await.unwrap();

    assert_eq!(keys(&listed), ["a%20b/%01%C3%A4%2B"]);
}

#[tokio::test]
async fn a_listing_has_size_class_and_checksum() {
    let server = server().await;
    let etag = server.put("key", b"12345").await;

    let listed = list(&server, "").await;

    let [object] = listed.contents() else { panic!("one object") };
    assert_eq!(object.size(), Some(5));
    assert_eq!(object.e_tag(), Some(etag.as_str()));
    assert_eq!(object.storage_class().unwrap().as_str(), "STANDARD");
    assert_eq!(object.checksum_algorithm()[0].as_str(), "CRC64NVME");
}

#[tokio::test]
async fn an_invalid_token_is_refused() {
    let server = server().await;

    let list = server.client.list_objects_v2().bucket(BUCKET).continuation_token("!");

    assert_eq!(refusal(list.send().await), "InvalidArgument");
}

#[tokio::test]
async fn list_objects_version_1_pages_by_key() {
    let server = server().await;
    for key in ["a/1", "a/2", "b", "c"] {
        server.put(key, b"").await;
    }
    let list = || server.client.list_objects().bucket(BUCKET).delimiter("/").max_keys(1);

    let first = list().send().await.unwrap();
    let second = list().marker(first.next_marker().unwrap()).send().await.unwrap();

    assert_eq!(first.common_prefixes()[0].prefix(), Some("a/"));
    assert_eq!(second.contents()[0].key(), Some("b"));
}

#[tokio::test]
async fn uploads_and_parts_are_listed_in_pages() {
    let server = server().await;
    let mut want = Vec::new();
    for key in ["a", "a", "b"] {
        want.push((key.to_owned(), server.start_upload(key).await));
    }
    for number in [1, 3, 7] {
        server.put_part("b", &want[2].1, number, b"x").await;
    }

    assert_eq!(all_uploads(&server).await, want);
    assert_eq!(all_parts(&server, "b", &want[2].1).await, [1, 3, 7]);
}

#[tokio::test]
async fn uploads_below_a_prefix_are_listed_with_their_start() {
    let server = server().await;
    let before = server.s3.now();
    for key in ["a/1", "b/1", "b/2", "c"] {
        server.start_upload(key).await;
    }
    server.s3.advance(Duration::from_secs(86400)).await.unwrap();
    server.start_upload("b/3").await;

    let list = server.client.list_multipart_uploads().bucket(BUCKET).prefix("b/");
    let listed = list.send().await.unwrap();

    let keys: Vec<_> = listed.uploads().iter().filter_map(|upload| upload.key()).collect();
    assert_eq!(keys, ["b/1", "b/2", "b/3"]);
    let started =
        |n: usize| SystemTime::try_from(*listed.uploads()[n].initiated().unwrap()).unwrap();
    // The listing has a precision of one millisecond.
    assert!(started(0) + Duration::from_millis(1) >= before);
    assert!(started(2) >= before + Duration::from_secs(86400 - 1));
}

#[tokio::test]
async fn uploads_are_rolled_up_by_a_delimiter() {
    let server = server().await;
    for key in ["a/1", "a/2", "b"] {
        server.start_upload(key).await;
    }

    let list = server.client.list_multipart_uploads().bucket(BUCKET).delimiter("/");
    let listed = list.send().await.unwrap();

    assert_eq!(listed.common_prefixes()[0].prefix(), Some("a/"));
    assert_eq!(listed.uploads().len(), 1);
}

async fn list(server: &Server, prefix: &str) -> ListObjectsV2Output {
    let list = server.client.list_objects_v2().bucket(BUCKET).prefix(prefix).delimiter("/");
    list.send().await.expect("the bucket is listed")
}

async fn all_keys(server: &Server, max_keys: i32) -> Vec<String> {
    let mut pages =
        server.client.list_objects_v2().bucket(BUCKET).max_keys(max_keys).into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.expect("the bucket is listed");
        assert!(page.contents().len() <= max_keys as usize);
        all.extend(keys(&page).into_iter().map(str::to_owned));
    }
    all
}

async fn all_uploads(server: &Server) -> Vec<(String, String)> {
    let (mut all, mut key, mut id) = (Vec::new(), None, None);
    loop {
        let list = server.client.list_multipart_uploads().bucket(BUCKET).max_uploads(1);
        let list = list.set_key_marker(key).set_upload_id_marker(id);
        let page = list.send().await.expect("the uploads are listed");
        for upload in page.uploads() {
            let pair = (upload.key().expect("a key"), upload.upload_id().expect("an id"));
            all.push((pair.0.to_owned(), pair.1.to_owned()));
        }
        if page.is_truncated() != Some(true) {
            return all;
        }
        (key, id) = (page.next_key_marker, page.next_upload_id_marker);
    }
}

async fn all_parts(server: &Server, key: &str, id: &str) -> Vec<i32> {
    let list = server.client.list_parts().bucket(BUCKET).key(key).upload_id(id).max_parts(2);
    let mut pages = list.into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.expect("the parts are listed");
        all.extend(page.parts().iter().filter_map(|part| part.part_number()));
    }
    all
}

fn keys(page: &ListObjectsV2Output) -> Vec<&str> {
    page.contents().iter().filter_map(|object| object.key()).collect()
}

fn prefixes(page: &ListObjectsV2Output) -> Vec<&str> {
    page.common_prefixes().iter().filter_map(|prefix| prefix.prefix()).collect()
}
