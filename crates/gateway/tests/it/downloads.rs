//! Downloads.

use reqwest::{StatusCode, header};
use s3up_core::Code;
use s3up_devstore::{Fault, Op};

use crate::fixture::{MIB, World, noise, problem, refused, stored};

#[tokio::test]
async fn a_download_is_an_attachment_that_no_browser_runs() {
    let world = World::start().await;
    stored(world.put("dir/caf%C3%A9%20%22x%22.html", "<script>")).await;

    let get = world.get("/download?path=dir/caf%C3%A9%20%22x%22.html").send().await.unwrap();
    let headers = get.headers().clone();

    assert_eq!(headers[header::CONTENT_TYPE], "text/html");
    assert_eq!(headers[header::CONTENT_LENGTH], "8");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(
        headers[header::CONTENT_DISPOSITION],
        "attachment; filename*=UTF-8''caf%C3%A9%20%22x%22%2Ehtml"
    );
    assert!(headers[header::ETAG].to_str().unwrap().starts_with('"'));
    assert_eq!(get.bytes().await.unwrap(), "<script>");
    world.stop().await;
}

#[tokio::test]
async fn a_download_has_the_mtime_and_the_mode_of_the_upload() {
    let world = World::start().await;
    let put = world.put("a", "x").header("x-mtime-ns", "-1700000000123456789");
    stored(put.header("x-mode", "0640")).await;
    stored(world.put("b", "x")).await;

    let a = world.get("/download?path=a").send().await.unwrap();
    let b = world.get("/download?path=b").send().await.unwrap();

    assert_eq!(a.headers()["x-mtime-ns"], "-1700000000123456789");
    assert_eq!(a.headers()["x-mode"], "0640");
    assert!(!b.headers().contains_key("x-mtime-ns") && !b.headers().contains_key("x-mode"));
    world.stop().await;
}

#[tokio::test]
async fn head_returns_the_same_headers_without_a_body() {
    let world = World::start().await;
    stored(world.put("a", noise(1000))).await;
    let get = world.get("/download?path=a").send().await.unwrap();

    let url = format!("{}/download?path=a", world.url);
    let head = world.http.head(url).bearer_auth(crate::fixture::KEY).send().await.unwrap();

    assert_eq!(head.status(), StatusCode::OK);
    for name in [header::CONTENT_LENGTH, header::ETAG, header::CONTENT_TYPE] {
        assert_eq!(head.headers()[&name], get.headers()[&name], "{name}");
    }
    assert_eq!(world.s3.faults().calls(Op::GetObject), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_short_download_costs_one_call_to_s3() {
    let world = World::start().await;
    let short = usize::try_from(s3up_store::SHORT_BYTES_MAX).unwrap();
    let faults = world.s3.faults();
    #[rustfmt::skip]
    let cases = [
        // path    length      HEAD  GET
        ("short",  short,      0,    1),
        ("long",   short + 1,  1,    2),
        // There is no range in an empty object.
        ("empty",  0,          1,    1),
    ];
    for (path, bytes, heads, gets) in cases {
        let body = noise(bytes);
        stored(world.put(path, body.clone())).await;
        let before = [Op::HeadObject, Op::GetObject].map(|op| faults.calls(op));

        let get = world.get(&format!("/download?path={path}")).send().await.unwrap();

        assert_eq!(get.headers()[header::CONTENT_LENGTH], bytes.to_string(), "{path}");
        assert!(get.bytes().await.unwrap() == body, "{path}");
        let after = [Op::HeadObject, Op::GetObject].map(|op| faults.calls(op));
        assert_eq!([after[0] - before[0], after[1] - before[1]], [heads, gets], "{path}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_range_returns_exactly_its_bytes() {
    let world = World::start().await;
    let body = noise(20 * MIB);
    stored(world.put("a", body.clone())).await;
    let last = body.len() - 1;
    for (range, from, to) in [
        ("bytes=0-0", 0, 0),
        ("bytes=5-104", 5, 104),
        ("bytes=8388600-8388700", 8_388_600, 8_388_700),
        ("bytes=20971519-", last, last),
        ("bytes=-10", last - 9, last),
        ("bytes=1000000-99999999", 1_000_000, last),
    ] {
        let part = world.get("/download?path=a").header("range", range).send().await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        let content_range = format!("bytes {from}-{to}/{}", body.len());
        assert_eq!(part.headers()[header::CONTENT_RANGE], content_range);
        assert!(part.bytes().await.unwrap() == body[from..=to], "{range}");
    }

    let outside = world.get("/download?path=a").header("range", "bytes=20971520-");
    let outside = outside.send().await.unwrap();
    assert_eq!(outside.headers()[header::CONTENT_RANGE], "bytes */20971520");
    assert_eq!(problem(outside).await.code, Code::RangeNotSatisfiable);
    world.stop().await;
}

#[tokio::test]
async fn a_missing_file_or_version_is_404() {
    let world = World::start().await;
    let a = stored(world.put("a", "x")).await.version_id.unwrap();
    let b = stored(world.put("b", "x")).await.version_id.unwrap();
    assert_eq!(world.download(&format!("a&version_id={a}")).await, b"x");
    for url in [
        "/download?path=c",
        "/download?path=a&version_id=no-such-version",
        "/download?path=a&version_id=",
        "/download?path=c&version_id=no-such-version",
        &format!("/download?path=a&version_id={b}"),
    ] {
        assert_eq!(refused(world.get(url)).await.code, Code::NotFound, "{url}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_failing_connection_to_s3_does_not_fail_the_download() {
    let world = World::start().await;
    let body = noise(20 * MIB);
    stored(world.put("a", body.clone())).await;
    let faults = world.s3.faults();
    // The first call asks for a short file.
    faults.inject(Op::GetObject, 2, Fault::CutBody { after_bytes: 1_000_000 });
    faults.inject(Op::GetObject, 3, Fault::CutBody { after_bytes: 0 });
    faults.inject(Op::GetObject, 4, Fault::InternalError);

    assert!(world.download("a").await == body);
    for fault in [Fault::CutBody { after_bytes: 500 }, Fault::InternalError] {
        let body = noise(1000);
        stored(world.put("short", body.clone())).await;
        faults.inject(Op::GetObject, 1, fault);
        assert!(world.download("short").await == body);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_damaged_file_is_never_delivered_as_complete() {
    let world = World::start().await;
    stored(world.put("small", noise(1000))).await;
    stored(world.put("long", noise(20 * MIB))).await;

    let faults = world.s3.faults();
    faults.inject(Op::GetObject, 1, Fault::FlipByte { offset: 17 });
    let damaged_on_the_way = world.download("small").await;
    for call in [1, 2] {
        faults.inject(Op::GetObject, call, Fault::FlipByte { offset: 17 });
    }
    let small = refused(world.get("/download?path=small")).await;
    // After the call that asks for a short file, the second part.
    faults.inject(Op::GetObject, 3, Fault::FlipByte { offset: 17 });
    let long = world.get("/download?path=long").send().await.unwrap().bytes().await;

    assert!(damaged_on_the_way == noise(1000), "fetched once more");
    assert_eq!(small.code, Code::StoreRefused);
    assert!(small.detail.contains("does not match its checksum"), "{}", small.detail);
    assert!(long.is_err(), "a damaged file was delivered as complete");
    world.stop().await;
}
