//! `overwrite: never`: a stored file is not replaced, on any server; one that was still being
//! written is.

use reqwest::RequestBuilder;
use s3up_core::{Code, Sha256Digest};
use s3up_devstore::{Behaviours, ConditionBehaviour, Op, Versioning};

use crate::concurrency::open_body;
use crate::fixture::{KEY, MIB, World, noise, problem, refused, stored};

async fn world(behaviours: Behaviours) -> World {
    let never = |config: String| config.replace("max_file_size_mb: 40", "overwrite: never");
    World::on(behaviours, s3up_server::SHUTDOWN_GRACE, Versioning::Enabled, never).await
}

fn announced(request: RequestBuilder, content: &[u8]) -> RequestBuilder {
    request.header("repr-digest", Sha256Digest::of(content).to_repr_digest())
}

#[tokio::test]
async fn a_file_is_kept_on_a_server_that_ignores_every_condition() {
    let world = world(Behaviours::with_conditions(ConditionBehaviour::Ignored)).await;
    let long = noise(9 * MIB);
    stored(world.put("short", "one")).await;
    stored(world.put("long", long.clone())).await;

    for path in ["short", "long"] {
        for size in [5, 9 * MIB] {
            let other = vec![7; size];
            assert_eq!(refused(world.put(path, other.clone())).await.code, Code::Exists);
            let request = announced(world.put(path, other.clone()), &other);
            assert_eq!(refused(request).await.code, Code::Exists, "{path} {size}");
        }
    }
    assert!(stored(announced(world.put("short", "one"), b"one")).await.unchanged);
    assert_eq!(world.content("webapp/short").await.unwrap(), b"one");
    assert!(world.content("webapp/long").await.unwrap() == long);
    world.stop().await;
}

/// Both see no file when they begin.
#[tokio::test]
async fn of_two_uploads_at_once_one_is_stored() {
    for conditions in [ConditionBehaviour::Honoured, ConditionBehaviour::Ignored] {
        let world = world(Behaviours::with_conditions(conditions)).await;
        let first = noise(9 * MIB);
        let (open, body) = open_body(first.clone());
        let older = tokio::spawn(world.put("a", body).send());
        world.called(Op::UploadPart, 1).await;

        let newer = stored(world.put("a", "newer")).await;
        drop(open);

        assert!(!newer.unchanged);
        assert_eq!(problem(older.await.unwrap().unwrap()).await.code, Code::Superseded);
        assert_eq!(world.content("webapp/a").await.unwrap(), b"newer");
        world.stop_and_expect_files(&["webapp/a"]).await;
    }
}

#[tokio::test]
async fn a_file_that_was_hot_is_replaced_once_by_its_next_version() {
    let versions =
        [ConditionBehaviour::Honoured, ConditionBehaviour::Ignored, ConditionBehaviour::BareETag];
    for conditions in versions {
        let world = world(Behaviours::with_conditions(conditions)).await;
        let hot = |request: RequestBuilder| request.header("x-hot", "true");
        stored(hot(world.put("a", "half"))).await;
        stored(hot(world.put("a", "more than half"))).await;
        let again = hot(announced(world.put("a", "more than half"), b"more than half"));
        assert!(stored(again).await.unchanged);

        stored(world.put("a", "the whole file")).await;

        for is_hot in ["true", "false"] {
            let request = world.put("a", "another").header("x-hot", is_hot);
            assert_eq!(refused(request).await.code, Code::Exists, "{conditions:?}");
        }
        assert_eq!(world.content("webapp/a").await.unwrap(), b"the whole file");
        world.stop().await;
    }
}

/// The content was whole already, but its mark says that it may not be.
#[tokio::test]
async fn the_same_content_without_the_mark_ends_the_hot_state() {
    let world = world(Behaviours::default()).await;
    let form = |hot: &'static str| {
        let form = reqwest::multipart::Form::new();
        let form = form.text("path", "a").text("hot", hot).text("file", "same");
        world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY).multipart(form)
    };
    stored(form("true")).await;

    let settled = stored(announced(world.put("a", "same"), b"same")).await;

    assert!(!settled.unchanged);
    assert_eq!(refused(world.put("a", "other")).await.code, Code::Exists);
    assert_eq!(refused(form("maybe")).await.code, Code::BadRequest);
    world.stop().await;
}
