//! Answers that no server of the tests gives, from a server that gives nothing else.

use std::time::Duration;

use s3up_core::{Key, KeyPrefix};
use s3up_store::{
    AbortRule, ArchiveState, ExpiryRules, Settings, Store, StoreErrorKind, ThawRequest, Tier,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{RETRY_FOR, settings};

const LISTING: &str = "<?xml version=\"1.0\"?>\
    <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
    <KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>a</Key>\
    <LastModified>2026-01-31T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>1</Size>\
    <StorageClass>INTELLIGENT_TIERING</StorageClass></Contents></ListBucketResult>";

/// Serves until the test ends. `answer` returns the answer to a request line.
async fn serve(answer: fn(&str) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve_one(connection, answer));
        }
    });
    format!("http://{address}")
}

/// Answers one request and closes the connection.
async fn serve_one(mut connection: TcpStream, answer: fn(&str) -> String) {
    let mut request = Vec::new();
    let head = loop {
        match connection.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                break head.to_owned();
            }
        }
    };
    let answer = answer(head.lines().next().unwrap_or_default());
    // A client that went away shows in its own error.
    if connection.write_all(answer.as_bytes()).await.is_ok() {
        connection.shutdown().await.ok();
    }
}

fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

fn error(status: &str, code: &str) -> String {
    response(status, "", &format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
}

async fn store(answer: fn(&str) -> String) -> Store {
    let settings = Settings { bucket: "b".to_owned(), ..settings(serve(answer).await) };
    Store::connect(settings).await.expect("a store")
}

#[tokio::test]
async fn a_redirect_without_a_body_names_the_region_of_its_header() {
    let redirect =
        |_: &str| response("301 Moved Permanently", "x-amz-bucket-region: eu-central-1\r\n", "");
    let store = store(redirect).await;
    let key = Key::parse("a").unwrap();

    let listed = store.list("", RETRY_FOR).next_page().await.unwrap_err();
    let head = store.head(&key, None, RETRY_FOR).await.unwrap_err();

    for err in [listed, head] {
        assert_eq!(err.kind, StoreErrorKind::WrongRegion, "{err}");
        let text = s3up_core::error_chain(&err);
        assert!(text.contains("eu-central-1") && text.contains("`region`"), "{text}");
    }
}

/// An object of INTELLIGENT_TIERING that was read meanwhile has left its archive tier.
#[tokio::test]
async fn an_object_that_left_its_archive_tier_needs_no_thaw() {
    let answer = |request: &str| match request.split(' ').next() {
        Some("HEAD") => response(
            "200 OK",
            "etag: \"e\"\r\nlast-modified: Sat, 31 Jan 2026 00:00:00 GMT\r\n\
             x-amz-storage-class: INTELLIGENT_TIERING\r\nx-amz-archive-status: ARCHIVE_ACCESS\r\n",
            "",
        ),
        Some("POST") => error("403 Forbidden", "ObjectAlreadyInActiveTierError"),
        _ if request.contains("list-type=2") => {
            response("200 OK", "content-type: application/xml\r\n", LISTING)
        }
        _ => error("403 Forbidden", "InvalidObjectState"),
    };
    let store = store(answer).await;
    let keys = [Key::parse("a").unwrap()];
    let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let thaw = ThawRequest {
        tier: Tier::Standard,
        days: 7,
        speeds_up: false,
        in_flight: 1,
        retry_for: RETRY_FOR,
    };

    let thawed = store.thaw(&keys, &thaw, now).await.unwrap();

    let states: Vec<_> = thawed.into_iter().map(|thawed| thawed.outcome.unwrap()).collect();
    assert_eq!(states, [ArchiveState::NotArchived]);
}

#[tokio::test]
async fn only_the_answer_that_there_are_no_lifecycle_rules_says_so() {
    type Answer = fn(&str) -> String;
    #[rustfmt::skip]
    let cases: [(Answer, bool); 5] = [
        (|_| error("404 Not Found", "NoSuchLifecycleConfiguration"), true),
        (|_| error("404 Not Found", "NoSuchBucket"),                 false),
        (|_| error("404 Not Found", "NoSuchKey"),                    false),
        (|_| response("404 Not Found", "", ""),                      false),
        (|_| error("501 Not Implemented", "NotImplemented"),         false),
    ];
    for (n, (answer, is_none)) in cases.into_iter().enumerate() {
        let store = store(answer).await;

        let abort = store.abort_rule(&KeyPrefix::parse("p").unwrap(), RETRY_FOR).await;
        let expiry = store.expiry_rules(RETRY_FOR).await;

        assert_eq!(abort == AbortRule::Missing, is_none, "case {n}: {abort:?}");
        assert_eq!(expiry == ExpiryRules::Known(Vec::new()), is_none, "case {n}: {expiry:?}");
        assert_eq!(matches!(abort, AbortRule::Unknown { .. }), !is_none, "case {n}: {abort:?}");
        assert_eq!(matches!(expiry, ExpiryRules::Unknown { .. }), !is_none, "case {n}: {expiry:?}");
    }
}
