//! The turns of uploads of one path by two gateways.

use super::*;
use crate::database::HoldError;

#[tokio::test]
async fn the_upload_that_began_last_wins_and_waits_for_one_that_becomes_visible() {
    let Some(postgres) = postgres_or_skip() else { return };
    let server = Server::Postgres(postgres);
    let (one, other) = (server.start("one").await, server.start("other").await);
    let path = RemotePath::parse("a").unwrap();

    let older = one.take_turn(&web(), &path).await;
    let newer = other.take_turn(&web(), &path).await;
    assert_eq!(older.hold().await, Err(HoldError::Superseded), "a newer upload has begun");
    assert_eq!(newer.hold().await, Ok(()));
    let newest = one.take_turn(&web(), &path).await;
    let waiting = tokio::spawn(async move { (newest.hold().await, newest) });
    // Its first look finds the path held.
    let looked = async {
        while server.rows("SELECT newest FROM turns WHERE newest <> holder").await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looked).await.expect("a newer turn");
    assert!(!waiting.is_finished());
    newer.end().await;

    let (holds, newest) = waiting.await.unwrap();
    assert_eq!(holds, Ok(()));
    newest.end().await;
    assert_eq!(
        older.hold().await,
        Err(HoldError::Superseded),
        "also after the newest one has ended"
    );
    assert_eq!(server.rows("SELECT path FROM turns").await, Vec::<String>::new());
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_path_that_a_killed_gateway_held_is_free_after_a_time() {
    let Some(postgres) = postgres_or_skip() else { return };
    let server = Server::Postgres(postgres);
    let database = server.start("one").await;
    let path = RemotePath::parse("a").unwrap();
    let killed = database.take_turn(&web(), &path).await;
    assert_eq!(killed.hold().await, Ok(()));
    let next = database.take_turn(&web(), &path).await;
    assert_eq!(next.hold_within(Duration::ZERO).await, Err(HoldError::Busy));

    server.execute("UPDATE turns SET held_until = held_until - 11000").await;

    assert_eq!(next.hold().await, Ok(()));
    database.close().await;
}

#[tokio::test]
async fn without_the_database_an_upload_has_no_turn_and_continues() {
    let Some(postgres) = postgres_or_skip() else { return };
    let server = Server::Postgres(postgres);
    let Server::Postgres(postgres) = &server else { unreachable!() };
    let database = server.start("one").await;
    let path = RemotePath::parse("a").unwrap();
    let before = database.take_turn(&web(), &path).await;
    postgres.stop();

    let after = database.take_turn(&web(), &path).await;

    assert_eq!((before.hold().await, after.hold().await), (Ok(()), Ok(())));
    postgres.start();
    database.close().await;
}
