//! The rules for remote paths, checked on every call that takes a path.

use s3up_core::Code;
use s3up_devstore::Op;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{KEY, OTHER_KEY, World, refused, stored};

/// Invalid paths, percent-encoded for a URL.
const BAD: [&str; 24] = [
    "",
    ".",
    "..",
    "./a",
    "a/./b",
    "../a",
    "a/../b",
    "a/..",
    "/a",
    "//a",
    "a//b",
    "a/",
    "a%00b",
    "%00",
    "..%2fa",
    "%2e%2e/a",
    "%2e%2e%2fa",
    "..%5ca",
    "a%5C..%5Cb",
    "C:%5Cx",
    "%c0%ae%c0%ae/a",
    "%ed%a0%80",
    "a%0ab",
    "a%7f",
];

/// Sends a request without an HTTP library, which would normalise the URL.
async fn raw(world: &World, method: &str, url: &str) -> String {
    let host = world.url.strip_prefix("http://").expect("an http URL");
    let mut socket = TcpStream::connect(host).await.expect("a connection");
    let request = format!(
        "{method} {url} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.expect("a request that is sent");
    let mut response = String::new();
    socket.read_to_string(&mut response).await.expect("a response in UTF-8");
    response
}

#[tokio::test]
async fn an_invalid_path_is_refused_by_every_call_and_never_reaches_s3() {
    let world = World::start().await;
    let head_before = world.s3.faults().calls(Op::HeadObject);
    for path in BAD {
        for (method, url) in [
            ("PUT", format!("/files/{path}")),
            ("GET", format!("/exists?path={path}")),
            ("GET", format!("/download?path={path}")),
            ("HEAD", format!("/download?path={path}")),
            ("GET", format!("/versions?path={path}")),
        ] {
            let response = raw(&world, method, &url).await;
            assert!(response.starts_with("HTTP/1.1 400 "), "{method} {url}: {response}");
            if method != "HEAD" {
                assert!(response.contains(r#""code":"bad_path""#), "{method} {url}: {response}");
            }
        }
    }
    let faults = world.s3.faults();
    assert_eq!(world.calls(Op::PutObject) + world.calls(Op::GetObject), 0);
    assert_eq!(faults.calls(Op::HeadObject) + faults.calls(Op::ListObjectVersions), head_before);
    world.stop_and_expect_files(&[]).await;
}

#[tokio::test]
async fn an_invalid_path_in_a_form_is_refused_and_not_stored() {
    let world = World::start().await;
    for path in ["", ".", "../a", "a/../b", "/a", "a//b", "a/", "a\\b", "a\u{7f}"] {
        let form = reqwest::multipart::Form::new().text("path", path).text("file", "x");
        let request = world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY);
        let problem = refused(request.multipart(form)).await;
        assert_eq!(problem.code, Code::BadPath, "{path:?}");
    }
    assert_eq!(world.calls(Op::PutObject), 0);
    world.stop_and_expect_files(&[]).await;
}

#[tokio::test]
async fn unusual_but_valid_paths_are_different_files() {
    let world = World::start().await;
    let paths = [
        "foo..bar.jpg",
        "...",
        ".htaccess",
        "a..",
        "a%20",
        "%20a",
        "a%2Bb",
        "a+b%20c",
        "caf%C3%A9",
        "cafe%CC%81",
        "%25E9",
        "%252e%252e",
        "%E2%80%A4%E2%80%A4",
        "%EF%BC%8E",
        "a%3Fb%23c",
        "%F0%9F%98%80",
        "q%22%3C%3E%26'",
        "A",
        "a",
        "a%EF%BF%BE",
    ];
    for path in paths {
        stored(world.put(path, path)).await;
    }
    for path in paths {
        assert_eq!(world.download(&path.replace('+', "%2B")).await, path.as_bytes(), "{path}");
    }
    world.stop().await;
}

#[tokio::test]
async fn the_length_limit_is_that_of_the_whole_key() {
    let world = World::start().await;
    let len_max = 1024 - "sites/webapp/".len();
    stored(world.put(&"x".repeat(len_max), "x")).await;

    let problem = refused(world.put(&"x".repeat(len_max + 1), "x")).await;

    assert_eq!(problem.code, Code::BadPath);
    assert!(problem.detail.contains("1025") && problem.detail.contains("1024"));
    world.stop().await;
}

#[tokio::test]
async fn a_client_cannot_see_or_read_files_of_another() {
    let world = World::start().await;
    stored(world.put("a.jpg", "mine")).await;
    stored(world.put("-prod/a.jpg", "a trap")).await;

    let get = |call: &str| {
        world.http.get(format!("{}/{call}?path=a.jpg", world.url)).bearer_auth(OTHER_KEY)
    };
    let exists = get("exists").send().await.unwrap();
    let download = refused(get("download")).await;

    assert_eq!(exists.text().await.unwrap(), r#"{"exists":false}"#);
    assert_eq!(download.code, Code::NotFound);
    world.stop().await;
}

#[tokio::test]
async fn a_path_given_twice_is_refused() {
    let world = World::start().await;
    stored(world.put("a", "x")).await;
    for url in ["/exists?path=a&path=a", "/download?path=a&p%61th=b"] {
        assert_eq!(refused(world.get(url)).await.code, Code::BadRequest, "{url}");
    }
    assert_eq!(refused(world.put("b?path=a", "x")).await.code, Code::BadRequest);
    world.stop_and_expect_files(&["webapp/a"]).await;
}
