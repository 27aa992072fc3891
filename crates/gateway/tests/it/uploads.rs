//! Uploads: what is stored, what is refused, and what the bucket holds then.

use reqwest::multipart::{Form, Part};
use s3up_core::{Code, Sha256Digest};
use s3up_devstore::Op;

use crate::fixture::{KEY, MIB, World, noise, refused, stored};

#[tokio::test]
async fn a_raw_body_of_any_length_is_stored_unchanged() {
    let world = World::start().await;
    for len in [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 20 * MIB] {
        let body = noise(len);
        let path = format!("dir/len-{len}.bin");

        let response = stored(world.put(&path, body.clone())).await;

        assert!(response.success && !response.unchanged);
        assert_eq!(response.s3_key, format!("sites/webapp/{path}"));
        assert_eq!((response.size, response.sha256), (len as u64, Sha256Digest::of(&body)));
        assert!(response.version_id.is_some());
        assert!(world.download(&path).await == body, "{len} bytes changed on the way");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_form_is_stored_with_its_fields_in_either_order() {
    let world = World::start().await;
    for len in [0, 5, 9 * MIB] {
        let body = noise(len);
        let digest = Sha256Digest::of(&body);
        let file = || Part::bytes(body.clone()).file_name("x");
        let path_first = Form::new()
            .text("path", format!("p-{len}"))
            .part("file", file())
            .text("sha256", digest.to_string());
        let file_first = Form::new()
            .part("file", file())
            .text("sha256", digest.to_string())
            .text("path", format!("f-{len}"));
        for (form, path) in [(path_first, format!("p-{len}")), (file_first, format!("f-{len}"))] {
            let request = world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY);

            let response = stored(request.multipart(form)).await;

            assert_eq!((response.size, response.sha256), (len as u64, digest));
            assert!(world.download(&path).await == body);
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn announced_metadata_is_stored_with_the_file() {
    let world = World::start().await;
    for (path, len) in [("small.html", 5), ("long.html", 9 * MIB)] {
        let body = noise(len);
        let digest = Sha256Digest::of(&body);
        let request = world.put(path, body).header("x-mtime-ns", "-1700000000123456789");
        stored(request.header("x-mode", "0640").header("repr-digest", digest.to_repr_digest()))
            .await;

        let exists = world.exists(path).await;

        assert_eq!(exists["exists"], true);
        assert_eq!(exists["size"], len);
        assert_eq!(exists["sha256"], digest.to_string());
        assert_eq!(exists["mtime_ns"], -1_700_000_000_123_456_789i64);
        assert!(exists["uploaded_at"].as_str().unwrap().ends_with('Z'));
        assert!(exists["version_id"].is_string());
    }
    world.stop().await;
}

#[tokio::test]
async fn exists_has_no_sha256_of_a_long_file_that_no_gateway_recorded() {
    let world = World::start().await;
    stored(world.put("short", noise(100))).await;
    stored(world.put("long", vec![1; 9 * MIB])).await;
    world.commit_records().await;
    world.s3_put("webapp/long", &noise(9 * MIB)).await;

    assert!(world.exists("short").await["sha256"].is_string());
    assert!(world.exists("long").await["sha256"].is_null());
    assert_eq!(world.exists("none").await.to_string(), r#"{"exists":false}"#);
    world.stop().await;
}

#[tokio::test]
async fn content_that_differs_from_its_announced_sha256_is_not_stored() {
    let world = World::start().await;
    let wrong = Sha256Digest::of(b"something else");
    for len in [5, 9 * MIB] {
        let request = world.put("a", noise(len)).header("repr-digest", wrong.to_repr_digest());
        let problem = refused(request).await;
        assert_eq!(problem.code, Code::DigestMismatch);
        assert!(problem.detail.contains(&wrong.to_string()), "{}", problem.detail);

        for file_first in [false, true] {
            let file = Part::bytes(noise(len)).file_name("x");
            let form = match file_first {
                false => Form::new().text("path", "a").part("file", file),
                true => Form::new().part("file", file).text("path", "a"),
            };
            let request = world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY);
            let problem = refused(request.multipart(form.text("sha256", wrong.to_string()))).await;
            assert_eq!(problem.code, Code::DigestMismatch);
        }
    }

    assert_eq!(world.exists("a").await["exists"], false);
    assert_eq!(world.calls(Op::PutObject), 0);
    assert_eq!(world.calls(Op::CompleteMultipartUpload), 0);
    world.stop_and_expect_files(&[]).await;
}

#[tokio::test]
async fn content_that_is_already_stored_is_not_written_again() {
    let world = World::start().await;
    for len in [5, 9 * MIB] {
        let body = noise(len);
        let digest = Sha256Digest::of(&body).to_repr_digest();
        let path = format!("again-{len}");
        let first = stored(world.put(&path, body.clone()).header("repr-digest", &digest)).await;
        let writes = || {
            let faults = world.s3.faults();
            faults.calls(Op::PutObject) + faults.calls(Op::CreateMultipartUpload)
        };
        let before = writes();

        let second = stored(world.put(&path, body.clone()).header("repr-digest", &digest)).await;

        assert!(second.unchanged && !first.unchanged);
        assert_eq!(second.version_id, first.version_id);
        assert_eq!(writes(), before);
        assert!(world.download(&path).await == body);
    }
    world.stop().await;
}

#[tokio::test]
async fn an_overwritten_file_remains_as_a_version() {
    let world = World::start().await;
    let first = stored(world.put("a", "one")).await;
    let second = stored(world.put("a", "two")).await;
    assert_ne!(first.version_id, second.version_id);

    assert_eq!(world.download("a").await, b"two");
    let version = first.version_id.unwrap();
    assert_eq!(world.download(&format!("a&version_id={version}")).await, b"one");
    world.stop().await;
}

#[tokio::test]
async fn a_file_over_the_size_limit_is_refused_and_not_stored() {
    let world = World::start().await;
    let limit = 40 * MIB;
    stored(world.put("fits", noise(limit))).await;
    let before = world.s3.faults().calls(Op::CompleteMultipartUpload);

    let announced = refused(world.put("over", noise(limit + 1))).await;
    let chunks = futures::stream::iter((0..60).map(|_| Ok::<_, std::io::Error>(noise(MIB))));
    let chunked = refused(world.put("over", reqwest::Body::wrap_stream(chunks))).await;

    assert_eq!(announced.code, Code::TooLarge);
    assert!(announced.detail.contains("41943040"), "{}", announced.detail);
    assert_eq!(chunked.code, Code::TooLarge);
    for file_first in [false, true] {
        let file = Part::bytes(noise(limit + 1)).file_name("x");
        let form = match file_first {
            false => Form::new().text("path", "over").part("file", file),
            true => Form::new().part("file", file).text("path", "over"),
        };
        let request = world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY);
        assert_eq!(refused(request.multipart(form)).await.code, Code::TooLarge);
    }
    assert_eq!(world.exists("over").await["exists"], false);
    assert_eq!(world.s3.faults().calls(Op::CompleteMultipartUpload), before);
    world.stop_and_expect_files(&["webapp/fits"]).await;
}

#[tokio::test]
async fn overwrite_never_keeps_the_first_content() {
    let world = World::start().await;
    let put = |body: &'static str| {
        let url = format!("{}/files/a.jpg", world.url);
        world.http.put(url).bearer_auth(crate::fixture::OTHER_KEY).body(body)
    };
    stored(put("one")).await;

    let other = refused(put("two")).await;
    let announced = Sha256Digest::of(b"two").to_repr_digest();
    let other_announced = refused(put("two").header("repr-digest", announced)).await;
    let same = stored(put("one")).await;

    assert_eq!((other.code, other_announced.code), (Code::Exists, Code::Exists));
    assert!(same.unchanged);
    assert_eq!(world.content("webapp-prod/a.jpg").await.unwrap(), b"one");
    world.stop_and_expect_files(&["webapp-prod/a.jpg"]).await;
}
