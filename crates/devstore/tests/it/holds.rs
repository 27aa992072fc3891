//! Held answers: the call was executed, but the client never gets the answer.

use s3up_devstore::Op;

use crate::support::{BUCKET, Server, bytes, is_broken, server};

#[tokio::test]
async fn the_nth_call_of_any_operation_is_executed_and_not_answered() {
    let server = server().await;
    let held = server.faults().hold(3);

    server.put("first", b"1").await;
    server.keys().await;
    assert!(!held.has_fired());
    let putting = put(&server, "third");
    held.reached().await;

    assert!(held.has_fired());
    assert!(!putting.is_finished());
    assert_eq!(server.keys().await, ["first", "third"], "other calls are answered");
    assert_eq!(server.faults().calls_total(), 4);

    held.release();
    assert!(is_broken(&putting.await.unwrap()));
}

#[tokio::test]
async fn a_hold_for_a_call_that_never_comes_has_not_fired() {
    let server = server().await;
    let held = server.faults().hold(2);

    server.put("only", b"1").await;

    assert!(!held.has_fired());
    drop(held);
    server.put("next", b"2").await;
}

#[tokio::test]
async fn a_test_that_stops_at_each_call_in_turn_finds_the_end() {
    let server = server().await;
    let mut stopped_at = Vec::new();
    for nth in 1.. {
        let held = server.faults().hold(nth);
        let client = server.client.clone();
        let program = tokio::spawn(async move {
            client.put_object().bucket(BUCKET).key("a").send().await.ok()?;
            client.delete_object().bucket(BUCKET).key("a").send().await.ok()
        });
        tokio::select! {
            () = held.reached() => program.abort(),
            _ = wait_for(&program) => {}
        }
        if !held.has_fired() {
            break;
        }
        stopped_at.push(server.keys().await.len());
    }

    assert_eq!(stopped_at, [1, 0], "one object after the PUT, none after the DELETE");
}

#[tokio::test]
async fn the_nth_call_of_one_operation_is_held() {
    let server = server().await;
    let held = server.faults().hold_op(Op::PutObject, 2);

    server.put("first", b"1").await;
    server.keys().await;
    let putting = put(&server, "second");
    held.reached().await;

    drop(held);
    assert!(is_broken(&putting.await.unwrap()));
    assert_eq!(server.keys().await, ["first", "second"]);
}

#[tokio::test]
async fn a_refused_call_is_held_too() {
    let server = server().await;
    let held = server.faults().hold(1);
    let client = server.client.clone();
    let get = client.get_object().bucket(BUCKET).key("absent").send();
    let getting = tokio::spawn(get);

    held.reached().await;

    assert!(!getting.is_finished());
    drop(held);
    assert!(is_broken(&getting.await.unwrap()));
}

type Put = Result<
    aws_sdk_s3::operation::put_object::PutObjectOutput,
    aws_sdk_s3::error::SdkError<aws_sdk_s3::operation::put_object::PutObjectError>,
>;

fn put(server: &Server, key: &str) -> tokio::task::JoinHandle<Put> {
    let put = server.client.put_object().bucket(BUCKET).key(key).body(bytes(b"x"));
    tokio::spawn(put.send())
}

async fn wait_for<T>(task: &tokio::task::JoinHandle<T>) {
    while !task.is_finished() {
        tokio::task::yield_now().await;
    }
}
