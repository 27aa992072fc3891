//! Answers that the catalogue completes: it knows the SHA-256 of files whose object does not.

use std::time::Duration;

use s3up_core::Sha256Digest;
use s3up_devstore::{Behaviours, Checksums, Fault, Op, Versioning};

use crate::fixture::{MIB, World, noise, stored};

/// The second upload costs one HEAD: its bytes are read, and nothing is written.
#[tokio::test]
async fn a_long_file_that_announced_no_digest_is_unchanged_the_next_time() {
    let world = World::start().await;
    let content = noise(9 * MIB);
    let first = stored(world.put("long", content.clone())).await;
    world.commit_records().await;
    let heads = world.calls(Op::HeadObject);

    let digest = Sha256Digest::of(&content).to_repr_digest();
    let again = stored(world.put("long", content).header("repr-digest", digest)).await;

    assert!(again.unchanged);
    assert_eq!(again.version_id, first.version_id);
    assert_eq!(world.calls(Op::HeadObject) - heads, 1);
    assert_eq!(world.calls(Op::CreateMultipartUpload), 1);
    world.stop().await;
}

/// An entry of the catalogue is about one version, not about the path.
#[tokio::test]
async fn a_file_that_was_replaced_past_the_gateway_is_not_unchanged() {
    let world = World::start().await;
    let content = noise(9 * MIB);
    stored(world.put("long", content.clone())).await;
    world.commit_records().await;
    world.s3_put("webapp/long", &vec![0; content.len()]).await;

    let digest = Sha256Digest::of(&content).to_repr_digest();
    let again = stored(world.put("long", content.clone()).header("repr-digest", digest)).await;

    assert!(!again.unchanged);
    assert!(world.content("webapp/long").await.unwrap() == content);
    world.stop().await;
}

#[tokio::test]
async fn a_long_file_is_verified_on_a_server_that_keeps_no_checksum() {
    let behaviours = Behaviours { checksums: Checksums::Ignored, ..Behaviours::default() };
    let grace = s3up_server::SHUTDOWN_GRACE;
    let world = World::on(behaviours, grace, Versioning::Enabled, |config| config).await;
    let content = noise(20 * MIB);
    stored(world.put("long", content.clone())).await;
    world.commit_records().await;

    assert!(world.download("long").await == content);
    world.s3.faults().inject(Op::GetObject, 2, Fault::FlipByte { offset: 17 });
    let damaged = world.get("/download?path=long").send().await.unwrap();
    let digest = damaged.headers().get("repr-digest").cloned();
    let damaged = damaged.bytes().await;

    assert!(damaged.is_err(), "a damaged file was delivered as complete");
    assert_eq!(digest.unwrap(), *Sha256Digest::of(&content).to_repr_digest());
    world.stop().await;
}

/// The first upload of a client lists its prefix once: it is empty, so the catalogue is complete.
/// Later uploads of new paths ask S3 nothing.
#[tokio::test]
async fn a_path_that_the_catalogue_knows_to_be_new_costs_no_request() {
    let world = World::start().await;
    let put = |path: &str, content: &'static [u8]| {
        let digest = Sha256Digest::of(content).to_repr_digest();
        world.put(path, content).header("repr-digest", digest)
    };
    stored(put("first", b"first")).await;
    world.commit_records().await;
    let (heads, lists) = (world.calls(Op::HeadObject), world.calls(Op::ListObjectsV2));

    stored(put("second", b"second")).await;
    stored(put("third", b"third")).await;

    assert_eq!(world.calls(Op::HeadObject), heads);
    assert_eq!((world.calls(Op::ListObjectsV2), lists), (1, 1));
    // It is not new any more, also before its record is written.
    assert!(stored(put("third", b"third")).await.unchanged);
    assert_eq!(world.calls(Op::HeadObject), heads + 1);
    world.stop().await;
}

/// An upload without a digest asks S3 nothing. It still finds out that the prefix is empty, before
/// it has more files than S3 lists at once.
#[tokio::test]
async fn an_upload_without_a_digest_saves_the_requests_of_those_that_follow() {
    let world = World::start().await;
    stored(world.put("plain", b"plain".to_vec())).await;
    let complete = "SELECT client FROM clients WHERE complete_since IS NOT NULL";
    for number in 1..=100 {
        world.commit_records().await;
        if !world.rows(complete).await.is_empty() {
            break;
        }
        // S3 may have listed the file of the upload itself before it was recorded: a later upload tries again.
        if number % 25 == 0 {
            stored(world.put(&format!("plain-{number}"), b"plain".to_vec())).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let digest = Sha256Digest::of(b"new").to_repr_digest();
    stored(world.put("new", b"new".to_vec()).header("repr-digest", digest)).await;

    assert_eq!(world.rows(complete).await, ["webapp"]);
    assert_eq!(world.calls(Op::HeadObject), 0);
    assert!((1..=3).contains(&world.calls(Op::ListObjectsV2)));
    world.stop().await;
}

/// S3 lists the files of uploads that are in progress, which the catalogue does not have yet.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_begin_together_find_out_that_the_catalogue_is_complete() {
    let world = World::start().await;
    let digest = |content: &[u8]| Sha256Digest::of(content).to_repr_digest();
    let faults = world.s3.faults();
    // The first upload finds nothing out.
    faults.inject(Op::ListObjectsV2, 1, Fault::InternalError);
    let held = faults.hold_op(Op::PutObject, 1);
    let first = tokio::spawn(world.put("held", b"held".to_vec()).send());
    held.reached().await;
    faults.called(Op::ListObjectsV2, 1).await;
    // The object of the first upload is in S3, and its record is not in the catalogue until its answer arrives.

    for number in 0.. {
        let heads = world.calls(Op::HeadObject);
        let (path, content) = (format!("later-{number}"), number.to_string().into_bytes());
        let announced = digest(&content);
        stored(world.put(&path, content).header("repr-digest", announced)).await;
        if world.calls(Op::HeadObject) == heads {
            break;
        }
        assert!(number < 100, "each upload still costs a request");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    held.release();
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    world.stop().await;
}

/// The database is new, the bucket is not.
#[tokio::test]
async fn a_catalogue_that_lacks_files_takes_no_path_for_new() {
    let world = World::start().await;
    world.s3_put("webapp/old", b"old").await;
    let put = |path: &str, content: &'static [u8]| {
        let digest = Sha256Digest::of(content).to_repr_digest();
        world.put(path, content).header("repr-digest", digest)
    };

    stored(put("a", b"a")).await;
    world.commit_records().await;
    assert!(stored(put("old", b"old")).await.unchanged);
    stored(put("b", b"b")).await;

    assert_eq!(world.calls(Op::HeadObject), 3);
    let complete = world.rows("SELECT client FROM clients WHERE complete_since IS NOT NULL").await;
    assert_eq!(complete, Vec::<String>::new());
    world.stop().await;
}
