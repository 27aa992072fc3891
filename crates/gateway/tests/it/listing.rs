//! Listing the files of a client, their versions, and asking about many files at once.

use reqwest::{RequestBuilder, StatusCode};
use s3up_core::wire::{Listing, Verdict, Verdicts, Versions};
use s3up_core::{Code, Sha256Digest};
use s3up_devstore::{Op, Versioning};
use serde_json::json;

use crate::fixture::{KEY, MIB, OTHER_KEY, READER_KEY, World, noise, refused, stored};

async fn page(world: &World, query: &str) -> Listing {
    let response = world.get(&format!("/list{query}")).send().await.expect("a response");
    let (status, text) = (response.status(), response.text().await.expect("a body"));
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).expect("a listing")
}

fn paths(listing: &Listing) -> Vec<&str> {
    listing.files.iter().map(|file| file.path.as_str()).collect()
}

fn exists(world: &World, key: &str, files: &[(&str, &[u8])]) -> RequestBuilder {
    let files = files.iter().map(|(path, content)| {
        json!({"path": path, "size": content.len(), "sha256": Sha256Digest::of(content)})
    });
    let body = json!({"files": files.collect::<Vec<_>>()}).to_string();
    world.http.post(format!("{}/exists", world.url)).bearer_auth(key).body(body)
}

async fn verdicts(request: RequestBuilder) -> Vec<Verdict> {
    let response = request.send().await.expect("a response");
    let (status, text) = (response.status(), response.text().await.expect("a body"));
    assert_eq!(status, StatusCode::OK, "{text}");
    let verdicts: Verdicts = serde_json::from_str(&text).expect("verdicts");
    verdicts.files.into_iter().map(|file| file.verdict).collect()
}

#[tokio::test]
async fn a_client_lists_its_own_files_page_by_page() {
    let world = World::start().await;
    for path in ["a", "b/1", "b/2", "b-c", "é"] {
        stored(world.put(path, path).header("x-mtime-ns", "7").header("x-mode", "0600")).await;
    }
    let url = format!("{}/files/b/other.jpg", world.url);
    stored(world.http.put(url).bearer_auth(OTHER_KEY).body("not yours")).await;

    let all = page(&world, "").await;
    assert_eq!(paths(&all), ["a", "b-c", "b/1", "b/2", "é"]);
    assert_eq!(all.cursor, None);
    assert_eq!(paths(&page(&world, "?prefix=b").await), ["b/1", "b/2"]);
    assert_eq!(paths(&page(&world, "?prefix=none/").await), Vec::<&str>::new());

    let (mut cursor, mut found) = (String::new(), Vec::new());
    loop {
        let one = page(&world, &format!("?limit=2{cursor}")).await;
        assert!(one.files.len() <= 2);
        found.extend(one.files.iter().map(|file| file.path.clone()));
        match one.cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, paths(&all));
    world.stop().await;
}

#[tokio::test]
async fn a_path_that_xml_cannot_hold_is_listed_like_any_other() {
    let world = World::start().await;
    for path in ["a+b%20c", "%EF%BF%BE", "%25E9"] {
        stored(world.put(path, "x")).await;
    }

    let found = page(&world, "").await;
    let first = page(&world, "?limit=2").await;
    let rest = page(&world, &format!("?cursor={}", first.cursor.expect("a cursor"))).await;
    let versions = world.get("/versions?path=%EF%BF%BE").send().await.expect("a response");
    let versions: Versions = versions.json().await.expect("versions");

    assert_eq!(paths(&found), ["%E9", "a+b c", "\u{fffe}"]);
    assert_eq!(paths(&rest), ["\u{fffe}"]);
    assert_eq!(versions.versions.len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn the_catalogue_adds_facts_about_the_listed_versions_only() {
    let world = World::start().await;
    let content = noise(9 * MIB);
    stored(world.put("long", content.clone()).header("x-mtime-ns", "7")).await;
    stored(world.put("other", "recorded").header("x-mode", "0600")).await;
    world.commit_records().await;
    world.s3_put("webapp/other", b"replaced by other means").await;
    world.s3_put("webapp/unknown", b"never recorded").await;

    let files = page(&world, "").await.files;

    let facts: Vec<_> = files
        .iter()
        .map(|file| (file.path.as_str(), file.size, file.sha256, file.mtime_ns))
        .collect();
    let want = [
        ("long", 9 * MIB as u64, Some(Sha256Digest::of(&content)), Some(7)),
        ("other", 23, None, None),
        ("unknown", 14, None, None),
    ];
    assert_eq!(facts, want);
    world.stop().await;
}

#[tokio::test]
async fn list_and_versions_need_a_right_and_a_valid_query() {
    let world = World::start().await;
    for call in ["/list", "/versions?path=a", "/versions?prefix="] {
        let url = format!("{}{call}", world.url);
        let forbidden = refused(world.http.get(url).bearer_auth(READER_KEY)).await;
        assert_eq!(forbidden.code, Code::Forbidden, "{call}");
    }
    #[rustfmt::skip]
    let cases = [
        ("/list?prefix=../x",        Code::BadPath),
        ("/list?prefix=a%2f..%2fb",  Code::BadPath),
        ("/list?prefix=/",           Code::BadPath),
        ("/list?prefix=a&prefix=b",  Code::BadRequest),
        ("/list?limit=0",            Code::BadRequest),
        ("/list?cursor=!",           Code::BadRequest),
        ("/versions",                Code::BadRequest),
        ("/versions?path=a/../b",    Code::BadPath),
        ("/versions?path=none",      Code::NotFound),
        ("/versions?prefix=../x",    Code::BadPath),
        ("/versions?prefix=a%2f..",  Code::BadPath),
        ("/versions?prefix=/",       Code::BadPath),
        ("/versions?prefix=a&path=a", Code::BadRequest),
        ("/versions?prefix=a&prefix=b", Code::BadRequest),
        ("/versions?prefix=&limit=0", Code::BadRequest),
        ("/versions?prefix=&cursor=!", Code::BadRequest),
    ];
    for (call, code) in cases {
        assert_eq!(refused(world.get(call)).await.code, code, "{call}");
    }
    world.stop().await;
}

#[tokio::test]
async fn the_versions_of_one_file_are_listed_newest_first() {
    let world = World::start().await;
    let old = stored(world.put("a", "old")).await.version_id.expect("a version");
    let new = stored(world.put("a", "newer")).await.version_id.expect("a version");
    stored(world.put("a.txt", "another file")).await;

    let response = world.get("/versions?path=a").send().await.expect("a response");
    let found: Versions = response.json().await.expect("versions");

    let facts: Vec<_> =
        found.versions.iter().map(|it| (it.version_id.as_str(), it.size, it.is_latest)).collect();
    assert_eq!(facts, [(new.as_str(), 5, true), (old.as_str(), 3, false)]);
    let download = world.get(&format!("/download?path=a&version_id={old}")).send().await;
    assert_eq!(download.expect("a response").text().await.expect("a body"), "old");
    world.stop().await;
}

/// A limit of 2 ends each page between two files, the others also between versions of one file.
#[tokio::test]
async fn the_versions_below_a_directory_are_listed_page_by_page() {
    let world = World::start().await;
    let mut want = Vec::new();
    for path in ["d/a", "d/b c", "d/é/1"] {
        let old = stored(world.put(path, "old")).await.version_id.expect("a version");
        let new = stored(world.put(path, "newer")).await.version_id.expect("a version");
        want.extend([(path.to_owned(), new, 5, true), (path.to_owned(), old, 3, false)]);
    }
    for path in ["d-other", "d", "e"] {
        stored(world.put(path, "not below it")).await;
    }
    let url = format!("{}/files/d/a.jpg", world.url);
    stored(world.http.put(url).bearer_auth(OTHER_KEY).body("not yours")).await;

    for limit in [1, 2, 4, 6, 1000] {
        let (mut cursor, mut found, mut pages) = (String::new(), Vec::new(), 0);
        loop {
            let call = format!("/versions?prefix=d&limit={limit}{cursor}");
            let response = world.get(&call).send().await.expect("a response");
            assert_eq!(response.status(), StatusCode::OK, "{call}");
            let page: Versions = response.json().await.expect("versions");
            assert!(page.versions.len() <= limit, "{call}: {page:?}");
            let facts = page.versions.into_iter();
            found.extend(facts.map(|it| (it.path, it.version_id, it.size, it.is_latest)));
            pages += 1;
            match page.cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(found, want, "{limit} on a page");
        assert_eq!(pages, want.len().div_ceil(limit), "{limit} on a page");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_bucket_without_versions_has_one_version() {
    let world = World::with(Versioning::Off, |config| config).await;
    stored(world.put("a", "old")).await;
    stored(world.put("a", "newer")).await;

    let response = world.get("/versions?path=a").send().await.expect("a response");
    let found: Versions = response.json().await.expect("versions");

    assert_eq!((found.versions.len(), found.versions[0].size), (1, 5));
    world.stop().await;
}

#[tokio::test]
async fn each_file_of_a_query_gets_a_verdict() {
    let world = World::start().await;
    let long = noise(9 * MIB);
    stored(world.put("same", "hello")).await;
    stored(world.put("other", "hello")).await;
    stored(world.put("long", long.clone())).await;
    world.commit_records().await;
    let too_long = vec![0; 41 * MIB];
    let files: [(&str, &[u8]); 7] = [
        ("same", b"hello"),
        ("other", b"world"),
        ("none", b"hello"),
        ("long", &long),
        ("huge", &too_long),
        ("a/../b", b"hello"),
        ("same", b"hell"),
    ];

    let found = verdicts(exists(&world, KEY, &files)).await;

    use Verdict::*;
    assert_eq!(found, [Unchanged, Differs, Missing, Unchanged, TooLarge, BadPath, Differs]);
    world.stop().await;
}

#[tokio::test]
async fn a_verdict_says_why_an_upload_would_be_refused() {
    let world = World::start().await;
    let url = format!("{}/files/a.jpg", world.url);
    stored(world.http.put(url).bearer_auth(OTHER_KEY).body("hello")).await;
    let files: [(&str, &[u8]); 4] =
        [("a.jpg", b"hello"), ("a.jpg", b"world"), ("a.php", b"hello"), ("b.jpg", b"hello")];

    let found = verdicts(exists(&world, OTHER_KEY, &files)).await;
    let of_reader = verdicts(exists(&world, READER_KEY, &[("a.php", b"hello")])).await;

    use Verdict::*;
    assert_eq!(found, [Unchanged, Forbidden, Forbidden, Missing]);
    assert_eq!(of_reader, [Missing], "it may not upload, so it does not ask for that");
    world.stop().await;
}

#[tokio::test]
async fn the_versions_of_one_file_have_no_pages() {
    let world = World::start().await;
    for query in ["limit=5", "limit=", "cursor=YQ"] {
        let found = refused(world.get(&format!("/versions?path=a&{query}"))).await;
        assert_eq!(found.code, Code::BadRequest, "{query}");
        let want = "expected only with `prefix`, found with `path`";
        assert!(found.detail.ends_with(want), "{}", found.detail);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_query_of_too_many_files_is_refused_before_s3_is_asked() {
    let world = World::start().await;
    let files = vec![("a", b"hello".as_slice()); 1001];

    let problem = refused(exists(&world, KEY, &files)).await;

    assert_eq!(problem.code, Code::BadRequest);
    assert_eq!(world.calls(Op::HeadObject), 0);
    world.stop().await;
}
