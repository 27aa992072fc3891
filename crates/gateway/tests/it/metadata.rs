//! `PATCH /files/{path}`: metadata of a stored file, without its content.

use reqwest::{RequestBuilder, StatusCode};
use s3up_core::{Code, Sha256Digest};
use s3up_devstore::{Op, Versioning};

use crate::fixture::{World, refused, stored};

const CONTENT: &[u8] = b"content";

#[tokio::test]
async fn mtime_and_mode_change_without_the_content_and_survive_a_lost_database() {
    let world = World::start().await;
    let first = stored(put(&world, "a b/ü").header("X-Mode", "0644")).await;

    let second = stored(patch(&world, "a b/ü", CONTENT).header("X-Mode", "0600")).await;
    let third = stored(patch(&world, "a b/ü", CONTENT).header("X-Mtime-Ns", "-5")).await;
    let again = stored(patch(&world, "a b/ü", CONTENT).header("X-Mode", "0600")).await;

    assert_eq!((third.size, third.sha256), (7, Sha256Digest::of(CONTENT)));
    assert!(first.version_id != second.version_id && second.version_id != third.version_id);
    assert_eq!((again.unchanged, &again.version_id), (true, &third.version_id));
    assert_eq!((world.calls(Op::PutObject), world.calls(Op::CopyObject)), (1, 2));
    let old = format!("/download?path=a%20b/%C3%BC&version_id={}", first.version_id.unwrap());
    assert_eq!(headers(&world, &old).await, (Some("0644".to_owned()), None));
    world.commit_records().await;
    let rows = world.rows("SELECT mode || ' ' || mtime_ns || ' ' || version_id FROM files").await;
    assert_eq!(rows, [format!("384 -5 {}", third.version_id.unwrap())]);
    // What a download tells comes from S3 alone.
    let now = headers(&world, "/download?path=a%20b/%C3%BC").await;
    assert_eq!(now, (Some("0600".to_owned()), Some("-5".to_owned())));
    assert_eq!(world.download("a b/ü").await, CONTENT);
    world.stop().await;
}

#[tokio::test]
async fn only_the_stored_content_gets_metadata() {
    let world = World::start().await;
    stored(put(&world, "file").header("X-Mode", "0644")).await;
    #[rustfmt::skip]
    let cases = [
        (patch(&world, "file", b"other"),                               422, Code::DigestMismatch),
        (patch(&world, "none", CONTENT),                                404, Code::NotFound),
        (patch(&world, "a%5Cb", CONTENT),                               400, Code::BadPath),
        (patch(&world, "file", CONTENT).header("X-Mode", "99"),         400, Code::BadRequest),
        (world.patch("file").header("X-Mode", "0600"),                  400, Code::BadRequest),
    ];
    for (request, status, code) in cases {
        let problem = refused(request.header("X-Mtime-Ns", "7")).await;
        assert_eq!((problem.status, problem.code), (status, code), "{}", problem.detail);
    }
    assert_eq!(world.calls(Op::CopyObject), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_file_that_may_not_be_overwritten_keeps_its_metadata() {
    let never = |yaml: String| yaml.replace("max_file_size_mb: 40", "overwrite: never");
    let world = World::with(Versioning::Enabled, never).await;
    stored(put(&world, "file").header("X-Mode", "0644")).await;

    let answer = stored(patch(&world, "file", CONTENT).header("X-Mode", "0600")).await;

    assert!(answer.unchanged);
    assert_eq!(headers(&world, "/download?path=file").await.0.as_deref(), Some("0644"));
    world.stop().await;
}

/// A copy that outlasts its request could end on top of a newer upload, whose content would be gone.
#[tokio::test]
async fn in_a_bucket_without_versions_a_file_keeps_the_metadata_of_its_upload() {
    for versioning in [Versioning::Off, Versioning::Suspended] {
        let world = World::with(versioning, |config| config).await;
        stored(put(&world, "file").header("X-Mode", "0644")).await;

        let answer = stored(patch(&world, "file", CONTENT).header("X-Mode", "0600")).await;

        assert!(answer.unchanged);
        assert_eq!(world.calls(Op::CopyObject), 0);
        assert_eq!(headers(&world, "/download?path=file").await.0.as_deref(), Some("0644"));
        world.stop().await;
    }
}

fn put(world: &World, path: &str) -> RequestBuilder {
    world.put(path, CONTENT).header("Repr-Digest", Sha256Digest::of(CONTENT).to_repr_digest())
}

fn patch(world: &World, path: &str, content: &[u8]) -> RequestBuilder {
    let digest = Sha256Digest::of(content).to_repr_digest();
    world.patch(path).header("Repr-Digest", digest)
}

/// Returns mode and mtime of a download.
async fn headers(world: &World, call: &str) -> (Option<String>, Option<String>) {
    let response = world.get(call).send().await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK, "{call}");
    let header =
        |name| response.headers().get(name).map(|it| it.to_str().expect("text").to_owned());
    (header("X-Mode"), header("X-Mtime-Ns"))
}
