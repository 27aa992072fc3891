//! Conditional writes: PUT and CompleteMultipartUpload.

use s3up_devstore::{Behaviours, ConditionBehaviour, DevStore, Options, Versioning};

use crate::support::{BUCKET, PART, Server, bytes, client, list_of, refusal, server, status};

#[tokio::test]
async fn a_key_that_must_be_new_is_written_only_once() {
    let server = server().await;
    let put = |body: &[u8]| {
        server.client.put_object().bucket(BUCKET).key("key").if_none_match("*").body(bytes(body))
    };

    put(b"first").send().await.unwrap();
    let again = put(b"again").send().await;

    assert_eq!(status(again), 412);
    assert_eq!(server.get("key").await, b"first");
}

#[tokio::test]
async fn exactly_one_of_many_writers_of_a_new_key_wins() {
    let server = server().await;
    let writers = (0..16).map(|n| {
        let put = server.client.put_object().bucket(BUCKET).key("key").if_none_match("*");
        tokio::spawn(put.body(bytes(format!("{n}").as_bytes())).send())
    });
    let mut winners = Vec::new();
    for (n, writer) in writers.collect::<Vec<_>>().into_iter().enumerate() {
        if writer.await.unwrap().is_ok() {
            winners.push(n.to_string());
        }
    }

    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(server.get("key").await, winners[0].as_bytes());
}

#[tokio::test]
async fn an_object_is_replaced_only_if_it_still_has_the_etag() {
    let server = server().await;
    let read = server.put("key", b"one").await;
    let put = |etag: &str, body: &[u8]| {
        server.client.put_object().bucket(BUCKET).key("key").if_match(etag).body(bytes(body))
    };

    put(&read, b"two").send().await.unwrap();
    let stale = put(&read, b"three").send().await;

    assert_eq!(refusal(stale), "PreconditionFailed");
    assert_eq!(server.get("key").await, b"two");
}

#[tokio::test]
async fn an_absent_object_cannot_be_replaced() {
    let server = server().await;

    let put = server.client.put_object().bucket(BUCKET).key("absent").if_match("\"0\"");
    let refused = put.body(bytes(b"x")).send().await;

    assert_eq!(refusal(refused), "NoSuchKey");
    assert_eq!(server.keys().await, [""; 0]);
}

#[tokio::test]
async fn a_client_with_a_large_body_gets_the_refusal() {
    let server = server().await;
    server.put("key", b"first").await;
    let large = vec![0; 64 << 20];

    let put = server.client.put_object().bucket(BUCKET).key("key").if_none_match("*");
    let refused = put.body(bytes(&large)).send().await;
    let absent = server.client.put_object().bucket("absent").key("key");
    let absent = absent.body(bytes(&large)).send().await;

    assert_eq!(refusal(refused), "PreconditionFailed");
    assert_eq!(refusal(absent), "NoSuchBucket");
    assert_eq!(server.get("key").await, b"first");
}

#[tokio::test]
async fn only_one_upload_of_a_key_that_must_be_new_completes() {
    let server = server().await;
    let (first, again) = (upload(&server).await, upload(&server).await);

    complete(&server, &first).if_none_match("*").send().await.unwrap();
    let refused = complete(&server, &again).if_none_match("*").send().await;

    assert_eq!(refusal(refused), "PreconditionFailed");
    // The upload still exists, and completes without the condition.
    complete(&server, &again).send().await.unwrap();
}

#[tokio::test]
async fn exactly_one_of_many_uploads_of_a_new_key_completes() {
    let server = server().await;
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(upload(&server).await);
    }

    let completing = ids.iter().map(|id| complete(&server, id).if_none_match("*"));
    let completing: Vec<_> = completing.map(|complete| tokio::spawn(complete.send())).collect();
    let mut won = 0;
    for completed in completing {
        won += usize::from(completed.await.unwrap().is_ok());
    }

    assert_eq!(won, 1);
    let left = server.client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
    assert_eq!(left.uploads().len(), 7, "the other uploads still exist");
}

#[tokio::test]
async fn exactly_one_of_many_replacements_wins() {
    let server = server().await;
    let read = server.put("key", b"read").await;
    let writers = (0..8).map(|n| {
        let put = server.client.put_object().bucket(BUCKET).key("key").if_match(&read);
        tokio::spawn(put.body(bytes(format!("{n}").as_bytes())).send())
    });
    let mut winners = Vec::new();
    for (n, writer) in writers.collect::<Vec<_>>().into_iter().enumerate() {
        if writer.await.unwrap().is_ok() {
            winners.push(n.to_string());
        }
    }

    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(server.get("key").await, winners[0].as_bytes());
}

#[tokio::test]
async fn an_upload_replaces_only_the_object_with_the_etag() {
    let server = server().await;
    let id = upload(&server).await;

    let absent = complete(&server, &id).if_match("\"0\"").send().await;
    let read = server.put("key", b"one").await;
    let other = complete(&server, &id).if_match("\"0\"").send().await;
    complete(&server, &id).if_match(&read).send().await.unwrap();

    assert_eq!(refusal(absent), "NoSuchKey");
    assert_eq!(refusal(other), "PreconditionFailed");
    assert_eq!(server.get("key").await, [1; PART]);
}

#[tokio::test]
async fn a_server_that_ignores_conditions_executes_every_write() {
    let dir = tempfile::tempdir().unwrap();
    let behaviours = Behaviours::with_conditions(ConditionBehaviour::Ignored);
    let options = Options { behaviours, ..Options::new(dir.path()) };
    let s3 = DevStore::start(options).await.unwrap();
    s3.create_bucket(BUCKET, Versioning::Off).await.unwrap();
    let client = client(&s3.endpoint(), Options::ACCESS_KEY_ID, Options::SECRET_ACCESS_KEY);
    let put = |body: &[u8]| client.put_object().bucket(BUCKET).key("key").body(bytes(body));

    put(b"1").if_none_match("*").send().await.unwrap();
    put(b"2").if_none_match("*").send().await.unwrap();
    put(b"3").if_match("\"0\"").send().await.unwrap();

    assert_eq!(s3.object(BUCKET, "key").await.unwrap(), b"3");
    s3.stop().await;
}

/// Starts an upload of `key` with one part.
async fn upload(server: &Server) -> String {
    let id = server.start_upload("key").await;
    server.put_part("key", &id, 1, &[1; PART]).await;
    id
}

fn complete(
    server: &Server,
    id: &str,
) -> aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder
{
    // The ETag of eight bytes with the value 1.
    let part = aws_sdk_s3::types::CompletedPart::builder()
        .part_number(1)
        .e_tag("\"8afef86de3b0eff1ded7591aa5ff2769\"")
        .build();
    let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("key");
    complete.upload_id(id).multipart_upload(list_of([part]))
}
