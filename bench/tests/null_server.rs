//! The null S3 server as the store sees it: it reports the sizes of discarded
//! objects and returns stored ones.

use std::collections::BTreeMap;
use std::time::Duration;

use s3up_bench::load::engine;
use s3up_bench::null_server::{NullServer, Options};
use s3up_core::Key;
use s3up_store::{Document, Get, Overwrite, PutChunks, PutDocument, Store};
use s3up_testkit::noise;

const RETRY_FOR: Duration = Duration::from_secs(5);
const PART: u64 = 5 << 20;
const LEN: u64 = (12 << 20) + 1;

async fn store_on(options: Options) -> Store {
    let server = NullServer::bind(([127, 0, 0, 1], 0).into(), options).expect("a free port");
    let url = format!("http://{}", server.address().expect("its address"));
    // The thread serves until the process ends.
    std::thread::spawn(move || server.serve());
    engine::connect(&url, 4 * PART).await.expect("a store")
}

fn key(number: u64) -> Key {
    Key::parse(&format!("folder/chunk-{number}")).expect("a key")
}

async fn upload(store: &Store, bytes: &[u8]) -> usize {
    let put = PutChunks {
        key_of: &key,
        chunk_bytes: 2 * PART,
        part_bytes: PART,
        chunk_count_max: 10,
        content_type: None,
        metadata: BTreeMap::new(),
        overwrite: Overwrite::Allowed,
        storage_class: None,
        in_flight: 2,
        retry_for: RETRY_FOR,
    };
    store.upload_chunks(&put, bytes).await.expect("an upload").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_object_has_its_size() {
    let store = store_on(Options::default()).await;
    let bytes = noise(LEN);
    assert_eq!(upload(&store, &bytes).await, 2);
    let mut sizes = Vec::new();
    for number in 0..2 {
        sizes.push(store.head(&key(number), None, RETRY_FOR).await.unwrap().unwrap().size);
    }
    assert_eq!(sizes, [2 * PART, LEN - 2 * PART]);
    let listed = store.list("folder/", RETRY_FOR).next_page().await.unwrap().unwrap();
    assert_eq!(listed.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_object_is_served() {
    let store = store_on(Options { keep: true, ..Options::default() }).await;
    let bytes = noise(LEN);
    upload(&store, &bytes).await;
    let mut gets = Vec::new();
    for number in 0..2 {
        let facts = store.head(&key(number), None, RETRY_FOR).await.unwrap().unwrap();
        assert!(facts.crc64nvme.is_some(), "the store verifies it");
        gets.push(Get {
            key: key(number),
            range: 0..facts.size,
            facts,
            part_bytes: 1 << 20,
            part_sha256: None,
            in_flight: 3,
            retry_for: RETRY_FOR,
            buffer_wait: None,
            share: None,
        });
    }
    let mut row = store.download_sequence(gets);
    let mut downloaded = Vec::new();
    while let Some(piece) = row.next().await.unwrap() {
        downloaded.extend_from_slice(&piece.bytes);
    }
    assert!(downloaded == bytes, "the server returned other bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_stored_and_replaced_under_conditions() {
    let store = store_on(Options::default()).await;
    let key = Key::parse("folder/current.json").unwrap();
    let write = async |text: &str, overwrite| {
        let put = PutDocument {
            key: key.clone(),
            content_type: "application/json",
            metadata: BTreeMap::new(),
            overwrite,
            storage_class: None,
            retry_for: RETRY_FOR,
        };
        store.write(put, text.as_bytes()).await
    };
    write("one", Overwrite::Never).await.unwrap();
    write("two", Overwrite::Never).await.unwrap_err();
    let Document { bytes, facts } = store.read(&key, 100, RETRY_FOR).await.unwrap().unwrap();
    assert_eq!(bytes, b"one");
    write("two", Overwrite::Only { etag: "\"other\"".to_owned() }).await.unwrap_err();
    write("two", Overwrite::Only { etag: facts.etag }).await.unwrap();
    let found = store.read(&key, 100, RETRY_FOR).await.unwrap().unwrap();
    assert_eq!(found.bytes, b"two");
    engine::empty_store(&store).await.unwrap();
    assert!(store.read(&key, 100, RETRY_FOR).await.unwrap().is_none());
}
