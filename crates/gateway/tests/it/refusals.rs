//! The texts of refusals, in a golden file, so that they are reviewed as texts.

use std::fmt::Write;
use std::path::Path;

use reqwest::RequestBuilder;
use reqwest::multipart::{Form, Part};
use s3up_core::Sha256Digest;
use s3up_devstore::Versioning;
use s3up_testkit::golden::{Redactions, assert_golden};

use crate::concurrency::open_body;
use crate::fixture::{KEY, MIB, OTHER_KEY, READER_KEY, World, noise, problem, stored};

/// The texts of the golden file.
struct Page(String);

impl Page {
    async fn add(&mut self, what: &str, request: RequestBuilder) {
        let problem = problem(request.send().await.expect("a response")).await;
        let code = serde_json::to_value(problem.code).expect("a code");
        let code = code.as_str().expect("a text");
        writeln!(self.0, "{what}\n  {} {code}: {}", problem.status, problem.detail)
            .expect("a text");
    }
}

fn form(world: &World, form: Form) -> RequestBuilder {
    world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY).multipart(form)
}

fn file() -> Part {
    Part::bytes(vec![1, 2, 3]).file_name("x")
}

const OTHER_VERSION: &str = r#"{"version":2,
    "agent":{"version":"9","host":"h","started_at":"2026-01-01T00:00:00Z"},
    "files":{"protected":{"files":0,"bytes":0},"pending":{"files":0,"bytes":0},
        "baseline":{"files":0,"bytes":0},"excluded":{"files":0,"bytes":0},
        "problems":{"files":0,"bytes":0}},
    "watcher":{"state":"ok"}}"#;

#[tokio::test]
async fn the_texts_of_refusals_are_those_of_the_golden_file() {
    let world = World::start().await;
    let mut page = Page(String::new());
    let put = |path: &str, key: &str| {
        world.http.put(format!("{}/files/{path}", world.url)).bearer_auth(key).body("x")
    };
    let post = |call: &str, body: &str| {
        world.http.post(format!("{}{call}", world.url)).bearer_auth(KEY).body(body.to_owned())
    };
    page.add("an unknown key", put("a", "unknown")).await;
    page.add("a key without the right", put("a", READER_KEY)).await;
    page.add("an extension that is not allowed", put("a.php", OTHER_KEY)).await;
    page.add("another URL", world.get("/nothing")).await;
    page.add("another method", world.http.delete(format!("{}/files/a", world.url))).await;
    for path in ["", "%2fa", "a//b", "a%2F..%2Fb", "a/", "a%00", "a%5Cb", "a%ff", "a%0ab"] {
        page.add(&format!("the path {path:?}"), put(path, KEY)).await;
    }
    page.add("a path that is too long", put(&"x".repeat(1030), KEY)).await;
    page.add("a path twice", put("a?path=a", KEY)).await;
    page.add("no path", world.get("/exists")).await;
    page.add("a path twice in a query", world.get("/exists?path=a&path=b")).await;

    for (name, value) in [
        ("Repr-Digest", "sha-256=abc"),
        ("X-Mtime-Ns", "soon"),
        ("X-Mode", "rwx"),
        ("X-Hot", "1"),
        ("Content-Range", "bytes 5-9/10"),
        ("Content-Encoding", "gzip"),
    ] {
        page.add(&format!("{name}: {value}"), put("a", KEY).header(name, value)).await;
    }
    page.add("X-Mode twice", put("a", KEY).header("X-Mode", "644").header("X-Mode", "600")).await;
    page.add("a file that is too large", world.put("a", noise(40 * MIB + 1))).await;
    let wrong = Sha256Digest::of(b"other").to_repr_digest();
    page.add("another SHA-256", put("a", KEY).header("Repr-Digest", wrong)).await;

    let fields = || Form::new().text("path", "a");
    page.add("a form without a file", form(&world, fields())).await;
    page.add("a form without a path", form(&world, Form::new().part("file", file()))).await;
    page.add("an unknown field", form(&world, fields().text("x", "y"))).await;
    page.add("a field twice", form(&world, fields().text("path", "b"))).await;
    page.add("a wrong field", form(&world, fields().text("mode", "rwx"))).await;
    let late = fields().part("file", file()).text("mtime_ns", "1");
    page.add("metadata after the file", form(&world, late)).await;
    page.add("no form", post("/upload", "x")).await;

    let jpg = || world.http.put(format!("{}/files/a.jpg", world.url)).bearer_auth(OTHER_KEY);
    stored(jpg().body("one")).await;
    page.add("a file that may not be overwritten", jpg().body("two")).await;
    page.add("a missing file", world.get("/download?path=none")).await;
    stored(world.put("a", "x")).await;
    page.add("a missing version", world.get("/download?path=a&version_id=none")).await;
    let outside = world.get("/download?path=a").header("range", "bytes=5-");
    page.add("a range outside of the file", outside).await;
    page.add("a wrong limit", world.get("/list?limit=0")).await;
    page.add("a wrong cursor", world.get("/list?cursor=!")).await;
    page.add("no JSON", post("/exists", "{")).await;
    page.add("a heartbeat of another version", post("/heartbeat", OTHER_VERSION)).await;
    page.add("a heartbeat that is too long", post("/heartbeat", &"x".repeat(70_000))).await;
    world.stop().await;

    let limited =
        |config: String| config.replace("max_file_size_mb: 40", "max_concurrent_uploads: 1");
    let world = World::with(Versioning::Enabled, limited).await;
    let (open, body) = open_body(noise(9 * MIB));
    let older = tokio::spawn(world.put("a", body).send());
    world.called(s3up_devstore::Op::UploadPart, 1).await;
    page.add("too many uploads", world.put("b", "x")).await;
    stored(world.put("a", "newer")).await;
    drop(open);
    let older = problem(older.await.expect("no panic").expect("a response")).await;
    writeln!(page.0, "an older upload\n  {} superseded: {}", older.status, older.detail).unwrap();
    world.stop().await;

    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/refusals.txt");
    assert_golden(&golden, &page.0, &Redactions::new());
}
