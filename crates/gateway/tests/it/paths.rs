//! The grammar of paths, on every address, by raw HTTP.

use s3up_core::Code;
use s3up_devstore::Op;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{KEY, OTHER_KEY, World, refused, stored};

/// Paths as they stand in an address or a query, percent-encoded.
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

/// One raw request, so that no client library tidies the address up.
async fn raw(world: &World, method: &str, address: &str) -> String {
    let host = world.url.strip_prefix("http://").expect("an http URL");
    let mut socket = TcpStream::connect(host).await.expect("a connection");
    let request = format!(
        "{method} {address} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.expect("a request that is taken");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer in UTF-8");
    answer
}

#[tokio::test]
async fn a_bad_path_is_refused_on_every_address_and_never_reaches_s3() {
    let world = World::start().await;
    let head_before = world.s3.faults().calls(Op::HeadObject);
    for path in BAD {
        for (method, address) in [
            ("PUT", format!("/files/{path}")),
            ("GET", format!("/exists?path={path}")),
            ("GET", format!("/download?path={path}")),
            ("HEAD", format!("/download?path={path}")),
        ] {
            let answer = raw(&world, method, &address).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{method} {address}: {answer}");
            if method != "HEAD" {
                assert!(answer.contains(r#""code":"bad_path""#), "{method} {address}: {answer}");
            }
        }
    }
    let faults = world.s3.faults();
    assert_eq!(world.calls(Op::PutObject) + world.calls(Op::GetObject), 0);
    assert_eq!(faults.calls(Op::HeadObject), head_before);
    world.stop().await;
}

#[tokio::test]
async fn a_bad_path_in_a_form_is_refused() {
    let world = World::start().await;
    for path in ["", ".", "../a", "a/../b", "/a", "a//b", "a/", "a\\b", "a\u{7f}"] {
        let form = reqwest::multipart::Form::new().text("path", path).text("file", "x");
        let request = world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY);
        let problem = refused(request.multipart(form)).await;
        assert_eq!(problem.code, Code::BadPath, "{path:?}");
    }
    assert_eq!(world.calls(Op::PutObject), 0);
    world.stop().await;
}

#[tokio::test]
async fn odd_but_honest_paths_are_kept_apart() {
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
async fn the_whole_key_counts_against_the_limit() {
    let world = World::start().await;
    let room = 1024 - "sites/webapp/".len();
    stored(world.put(&"x".repeat(room), "x")).await;

    let problem = refused(world.put(&"x".repeat(room + 1), "x")).await;

    assert_eq!(problem.code, Code::BadPath);
    assert!(problem.detail.contains("1025") && problem.detail.contains("1024"));
    world.stop().await;
}

#[tokio::test]
async fn one_client_never_sees_files_of_another() {
    let world = World::start().await;
    stored(world.put("a.jpg", "mine")).await;
    stored(world.put("-prod/a.jpg", "a trap")).await;

    let url = format!("{}/exists?path=a.jpg", world.url);
    let other = world.http.get(url).bearer_auth(OTHER_KEY).send().await.unwrap();

    assert_eq!(other.text().await.unwrap(), r#"{"exists":false}"#);
    world.stop().await;
}

#[tokio::test]
async fn a_path_given_twice_is_refused() {
    let world = World::start().await;
    stored(world.put("a", "x")).await;
    for address in ["/exists?path=a&path=a", "/download?path=a&p%61th=b"] {
        assert_eq!(refused(world.get(address)).await.code, Code::BadRequest, "{address}");
    }
    assert_eq!(refused(world.put("b?path=a", "x")).await.code, Code::BadRequest);
    world.stop().await;
}
