//! The rules for remote paths, checked on every call that takes a path.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;
use s3up_core::{Code, Sha256Digest};
use s3up_devstore::Versioning;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{KEY, OTHER_KEY, World, noise, refused, stored};
use crate::wiretap::Wiretap;

/// Invalid paths, percent-encoded for a URL.
pub const BAD: [&str; 42] = [
    "",
    ".",
    "..",
    "./a",
    "a/./b",
    "../a",
    "a/../b",
    "a/..",
    "a/.",
    "/a",
    "//a",
    "a//b",
    "a/",
    "/",
    "%2f",
    "%2fa",
    "a%2f%2fb",
    "a%2f",
    "a%00b",
    "%00",
    "..%2fa",
    "%2e%2e/a",
    "%2e%2e%2fa",
    "%2e/a",
    "a%2f..%2fb",
    "..%5ca",
    "a%5C..%5Cb",
    "C:%5Cx",
    "%5c%5csrv%5cx",
    // Overlong UTF-8.
    "%c0%ae%c0%ae/a",
    "%c0%af",
    "%e0%80%ae",
    // Surrogates, alone and as a pair (CESU-8).
    "%ed%a0%80",
    "%ed%a0%bd%ed%b8%80",
    // Latin-1, and a sequence that is cut.
    "caf%e9",
    "%f0%9f%98",
    "a%01b",
    "a%09b",
    "a%0ab",
    "a%1fb",
    "a%7f",
    "a%c2%85b",
];

/// Sends a request without an HTTP library, which would normalise the URL.
async fn raw(world: &World, method: &str, url: &str, fields: &str, body: &[u8]) -> String {
    let host = world.url.strip_prefix("http://").expect("an http URL");
    let mut socket = TcpStream::connect(host).await.expect("a connection");
    let head = format!(
        "{method} {url} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: {}\r\nConnection: close\r\n{fields}\r\n",
        body.len()
    );
    socket.write_all(&[head.as_bytes(), body].concat()).await.expect("a request that is sent");
    let mut response = Vec::new();
    socket.read_to_end(&mut response).await.expect("a response");
    String::from_utf8(response).expect("a response in UTF-8")
}

/// Uploads a form whose field `path` has exactly these bytes.
async fn raw_form(world: &World, path: &[u8]) -> String {
    let field = "--X\r\nContent-Disposition: form-data; name=";
    let form = [
        format!("{field}\"path\"\r\n\r\n").as_bytes(),
        path,
        format!("\r\n{field}\"file\"; filename=\"x\"\r\n\r\nx\r\n--X--\r\n").as_bytes(),
    ]
    .concat();
    let form_type = "Content-Type: multipart/form-data; boundary=X\r\n";
    raw(world, "POST", "/upload", form_type, &form).await
}

/// Returns a string of JSON whose content has exactly these bytes, also if they are not UTF-8.
fn json_string(content: &[u8]) -> Vec<u8> {
    match str::from_utf8(content) {
        Ok(text) => serde_json::to_vec(text).expect("a text is JSON"),
        Err(_) => [b"\"", content, b"\""].concat(),
    }
}

/// Sends a batch of one file whose path has exactly these bytes.
async fn raw_batch(world: &World, path: &[u8]) -> String {
    let path = json_string(path);
    let digest = Sha256Digest::of(b"x");
    let header =
        [br#"{"path":"#, path.as_slice(), format!(r#","size":1,"sha256":"{digest}"}}"#).as_bytes()]
            .concat();
    let length = (header.len() as u32).to_be_bytes();
    raw(world, "POST", "/batch", "", &[&length, header.as_slice(), b"x"].concat()).await
}

async fn raw_exists(world: &World, path: &str) -> String {
    let sha256 = Sha256Digest::of(b"x");
    let body = serde_json::json!({"files": [{"path": path, "size": 1, "sha256": sha256}]});
    raw(world, "POST", "/exists", "", body.to_string().as_bytes()).await
}

/// Asks for the proof of one file whose path has exactly these bytes.
async fn raw_proof(world: &World, path: &[u8]) -> String {
    let body = [br#"{"paths":["#, json_string(path).as_slice(), b"]}"].concat();
    raw(world, "POST", "/proof", "", &body).await
}

fn assert_bad_path(response: &str, request: &str) {
    assert!(response.starts_with("HTTP/1.1 400 "), "{request}: {response}");
    if !request.starts_with("HEAD ") {
        assert!(response.contains(r#""code":"bad_path""#), "{request}: {response}");
    }
}

#[tokio::test]
async fn an_invalid_path_is_refused_by_every_call_and_never_reaches_s3() {
    let world = World::start().await;
    let calls_before = world.s3.faults().calls_total();
    let too_long = "x".repeat(1025);
    for path in BAD.into_iter().chain([too_long.as_str()]) {
        for (method, url) in [
            ("PUT", format!("/files/{path}")),
            ("PATCH", format!("/files/{path}")),
            ("GET", format!("/exists?path={path}")),
            ("GET", format!("/download?path={path}")),
            ("HEAD", format!("/download?path={path}")),
            ("GET", format!("/download?path={path}&version_id=1")),
            ("GET", format!("/versions?path={path}")),
            ("GET", format!("/list?prefix={path}")),
            ("GET", format!("/versions?prefix={path}")),
        ] {
            // A prefix is a directory: it may be empty, and it may end with one slash.
            if url.contains("?prefix=") && ["", "a/", "a%2f"].contains(&path) {
                continue;
            }
            let response = raw(&world, method, &url, "", b"").await;
            assert_bad_path(&response, &format!("{method} {url}"));
        }
        let bytes: Vec<u8> = percent_decode_str(path).collect();
        assert_bad_path(&raw_form(&world, &bytes).await, &format!("POST /upload {path}"));
        let response = raw_batch(&world, &bytes).await;
        if str::from_utf8(&bytes).is_ok() {
            let refused = r#"{"file":0,"refused":{"status":400,"#;
            assert!(response.contains(refused), "POST /batch {path}: {response}");
            assert!(response.contains(r#""code":"bad_path""#), "POST /batch {path}: {response}");
        } else {
            assert!(response.starts_with("HTTP/1.1 400 "), "POST /batch {path}: {response}");
        }
        if let Ok(text) = str::from_utf8(&bytes) {
            let response = raw_exists(&world, text).await;
            assert!(response.contains(r#""verdict":"bad_path""#), "{path}: {response}");
        }
    }
    assert_eq!(world.s3.faults().calls_total(), calls_before);
    world.stop_and_expect_files(&[]).await;
}

#[tokio::test]
async fn a_proof_of_an_invalid_path_is_refused_and_nothing_is_asked_of_s3() {
    let world = World::start().await;
    let calls_before = world.s3.faults().calls_total();
    let too_long = "x".repeat(1025);
    for path in BAD.into_iter().chain([too_long.as_str()]) {
        let bytes: Vec<u8> = percent_decode_str(path).collect();
        let response = raw_proof(&world, &bytes).await;
        if str::from_utf8(&bytes).is_ok() {
            assert_bad_path(&response, &format!("POST /proof {path}"));
        } else {
            assert!(response.starts_with("HTTP/1.1 400 "), "POST /proof {path}: {response}");
        }
    }
    let after_a_good_one = serde_json::json!({"paths": ["good", "a/../b"]}).to_string();
    let proof = world.http.post(format!("{}/proof", world.url)).bearer_auth(KEY);
    assert_eq!(refused(proof.body(after_a_good_one)).await.code, Code::BadPath);
    assert_eq!(world.s3.faults().calls_total(), calls_before);
    world.stop_and_expect_files(&[]).await;
}

/// Each is a fragment of a path or of an attack on one. Two or three of them are joined.
const FRAGMENTS: [&str; 24] = [
    "a",
    ".",
    "..",
    "/",
    "%2f",
    "%2F",
    "\\",
    "%5c",
    "%2e",
    "%2e%2e",
    "%252e",
    "%00",
    "%0d%0a",
    "+",
    "%20",
    "webapp",
    "webapp-prod",
    "-prod",
    "sites",
    "\u{2024}",
    "\u{ff0e}",
    "\u{2215}",
    "%c0%ae",
    "?path=..",
];

/// The gateway has no other key below its prefix: the probe of its start.
const PROBE_KEY: &str = "/backups/sites/.s3up-probe";

#[tokio::test]
async fn no_request_touches_a_key_outside_the_prefix_of_its_client() {
    let taps = std::sync::Mutex::new(Vec::new());
    let world = World::with(Versioning::Enabled, |config| {
        let (_, rest) = config.split_once("endpoint: \"http://").expect("an endpoint");
        let (address, _) = rest.split_once('"').expect("a quote");
        let tap = Wiretap::start(address.parse().expect("an address"));
        taps.lock().unwrap().push(tap.clone());
        config.replace(&format!("http://{address}"), &tap.endpoint())
    })
    .await;
    let tap = taps.lock().unwrap().pop().unwrap();

    let mut numbers = noise(4000).into_iter().map(usize::from);
    let mut fragment = || FRAGMENTS[numbers.next().unwrap() % FRAGMENTS.len()];
    let digest = Sha256Digest::of(b"").to_repr_digest();
    let metadata = format!("Repr-Digest: {digest}\r\nX-Mode: 0600\r\n");
    let (mut stored, mut patched, mut proven, mut requests) = (0, 0, 0, 0);
    for _ in 0..120 {
        let path = [fragment(), fragment(), fragment()].concat();
        let cursor = URL_SAFE_NO_PAD.encode(&path);
        let of_version = serde_json::json!([path, null]).to_string();
        let of_version = URL_SAFE_NO_PAD.encode(of_version);
        for (method, url) in [
            ("PUT", format!("/files/{path}")),
            ("PATCH", format!("/files/{path}")),
            ("GET", format!("/exists?path={path}")),
            ("GET", format!("/download?path={path}")),
            ("GET", format!("/versions?path={path}")),
            ("GET", format!("/list?prefix={path}&cursor={cursor}")),
            ("GET", format!("/list?cursor={cursor}&limit=1")),
            ("GET", format!("/versions?prefix={path}&cursor={of_version}")),
            ("GET", format!("/versions?prefix=&cursor={of_version}&limit=1")),
        ] {
            let fields = if method == "PATCH" { metadata.as_str() } else { "" };
            let response = raw(&world, method, &url, fields, b"").await;
            let status: u16 = response["HTTP/1.1 ".len()..][..3].parse().expect("a status");
            assert!([200, 400, 404].contains(&status), "{method} {url}: {response}");
            stored += u32::from(method == "PUT" && status == 200);
            patched += u32::from(method == "PATCH" && status == 200);
            requests += 1;
        }
        let form: Vec<u8> = percent_decode_str(&path).collect();
        raw_form(&world, &form).await;
        raw_batch(&world, &form).await;
        raw_batch(&world, path.as_bytes()).await;
        raw_exists(&world, &path).await;
        for path in [form.as_slice(), path.as_bytes()] {
            let response = raw_proof(&world, path).await;
            let status = &response["HTTP/1.1 ".len()..][..3];
            assert!(["200", "400"].contains(&status), "{path:?}: {response}");
            proven += u32::from(response.contains(r#""stored":{"#));
        }
    }

    assert!(stored > 10 && stored < 120, "{stored} of {requests}: the paths are no mixture");
    assert_eq!(patched, stored, "the metadata of each stored file changes");
    assert!(proven > 10, "{proven}: no stored file was proven");
    let sources = tap.headers("x-amz-copy-source");
    assert!(!sources.is_empty(), "nothing was copied");
    for source in sources {
        let source = percent_decode_str(&source).decode_utf8().expect("a source in UTF-8");
        let dots = source.split('/').any(|segment| [".", ".."].contains(&segment));
        assert!(source.starts_with("backups/sites/webapp/") && !dots, "{source}");
    }
    let touched = tap.requests();
    assert!(touched.len() > 100, "{touched:?}");
    for (method, target) in touched {
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let key = percent_decode_str(path).decode_utf8().expect("a key in UTF-8");
        let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix="));
        let prefix = prefix.map(|prefix| percent_decode_str(prefix).decode_utf8().expect("UTF-8"));
        let is_ours = match prefix {
            Some(prefix) => prefix.starts_with("sites/webapp/") || prefix == "sites/",
            None => key.starts_with("/backups/sites/webapp/") || key == PROBE_KEY,
        };
        let is_of_bucket = ["/backups", "/backups/"].contains(&&*key)
            && ["versioning", "lifecycle"].iter().any(|part| query.starts_with(part));
        assert!(is_ours || is_of_bucket, "{method} {target}");
        let dots = key.split('/').any(|segment| [".", ".."].contains(&segment));
        assert!(!dots, "{method} {target}");
    }
    world.stop().await;
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
