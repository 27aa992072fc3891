//! A key is any text of up to 1,024 bytes, and is never interpreted.

use aws_sdk_s3::types::{Delete, EncodingType, ObjectIdentifier};
use percent_encoding::percent_decode_str;

use crate::support::{BUCKET, Server, list_of, refusal, server};

const ODD: [&str; 24] = [
    " leading space",
    "a b",
    "a+b",
    "a%20b",
    "a%b",
    "%",
    "trailing space ",
    "trailing/",
    "ä/日本",
    "🗄️/📦",
    "a?b&c=d#e",
    "../../etc/passwd",
    "..",
    ".",
    "a/./b",
    "a/../b",
    "a//b",
    "/a",
    "//",
    "a\\b",
    "quote\"'<>&amp;",
    "tab\there",
    "line\nbreak\r\n",
    "\u{1}\u{1f}\u{7f}",
];

#[tokio::test]
async fn any_key_is_stored_and_listed_unchanged() {
    let server = server().await;
    let longest = ["x".repeat(1024), "é".repeat(512)];
    let mut keys: Vec<&str> =
        ODD.iter().copied().chain(longest.iter().map(String::as_str)).collect();
    for key in &keys {
        server.put(key, key.as_bytes()).await;
    }

    for key in &keys {
        assert_eq!(server.get(key).await, key.as_bytes(), "{key:?}");
        server.client.head_object().bucket(BUCKET).key(*key).send().await.unwrap();
    }
    keys.sort_unstable();
    assert_eq!(listed(&server).await, keys);
}

#[tokio::test]
async fn any_key_is_uploaded_in_parts_and_deleted() {
    let server = server().await;
    // The answers contain the key, and XML 1.0 cannot express some characters.
    for key in ODD.into_iter().filter(|key| !key.contains('\u{1}')) {
        let id = server.start_upload(key).await;
        let part = server.put_part(key, &id, 1, b"x").await;
        let complete = server.client.complete_multipart_upload().bucket(BUCKET).key(key);
        let complete = complete.upload_id(id).multipart_upload(list_of([part]));
        complete.send().await.unwrap();

        server.client.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
    }

    assert_eq!(listed(&server).await, [""; 0]);
    assert_eq!(server.files("blobs").len(), 0);
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused() {
    let server = server().await;
    for key in ["x".repeat(1025), "é".repeat(513)] {
        let put = server.client.put_object().bucket(BUCKET).key(&key).send().await;
        let start = server.client.create_multipart_upload().bucket(BUCKET).key(&key).send().await;
        assert_eq!(refusal(put), "KeyTooLongError");
        assert_eq!(refusal(start), "KeyTooLongError");
    }
}

#[tokio::test]
async fn a_batch_reports_each_key_that_could_not_be_deleted() {
    let server = server().await;
    let etag = server.put("fine", b"1").await;
    server.put("other", b"2").await;
    let object = |key: &str| ObjectIdentifier::builder().key(key).e_tag(&etag).build().unwrap();
    let batch = |quiet| {
        let delete = Delete::builder().objects(object("fine")).objects(object("other"));
        server.client.delete_objects().bucket(BUCKET).delete(delete.quiet(quiet).build().unwrap())
    };

    let loud = batch(false).send().await.unwrap();
    assert_eq!(loud.deleted()[0].key(), Some("fine"));
    assert_eq!(loud.errors()[0].key(), Some("other"));
    assert_eq!(loud.errors()[0].code(), Some("PreconditionFailed"));

    server.put("fine", b"1").await;
    let quiet = batch(true).send().await.unwrap();
    assert_eq!((quiet.deleted().len(), quiet.errors().len()), (0, 1));
    assert_eq!(listed(&server).await, ["other"]);
}

#[tokio::test]
async fn a_batch_has_at_most_a_thousand_keys() {
    let server = server().await;
    server.put("500", b"x").await;
    let batch = |count: usize| {
        let objects = (0..count).map(|n| ObjectIdentifier::builder().key(n.to_string()).build());
        let objects = objects.collect::<Result<Vec<_>, _>>().unwrap();
        let delete = Delete::builder().set_objects(Some(objects)).build().unwrap();
        server.client.delete_objects().bucket(BUCKET).delete(delete).send()
    };

    assert_eq!(refusal(batch(1001).await), "MalformedXML");
    assert_eq!(listed(&server).await, ["500"]);
    let done = batch(1000).await.unwrap();

    assert_eq!(
        (done.deleted().len(), done.errors().len()),
        (1000, 0),
        "deleting an absent key is no error"
    );
    assert_eq!(listed(&server).await, [""; 0]);
}

/// Returns all keys of a listing with escapes, which some of them need.
async fn listed(server: &Server) -> Vec<String> {
    let list = server.client.list_objects_v2().bucket(BUCKET).encoding_type(EncodingType::Url);
    let listed = list.send().await.expect("the bucket is listed").contents.unwrap_or_default();
    let keys = listed.into_iter().filter_map(|object| object.key);
    keys.map(|key| percent_decode_str(&key).decode_utf8().expect("text").into_owned()).collect()
}
