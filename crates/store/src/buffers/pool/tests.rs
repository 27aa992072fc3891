//! The budget, the rounding of lengths, and who waits for whom.

use super::*;

#[test]
fn lengths_are_rounded_so_that_maps_can_be_reused() {
    #[rustfmt::skip]
    let cases = [
        (0,             UNIT_BYTES),
        (1,             UNIT_BYTES),
        (UNIT_BYTES,    UNIT_BYTES),
        (UNIT_BYTES+1,  2 * UNIT_BYTES),
        (MIB,           MIB),
        (MIB + 1,       2 * MIB),
        (8 * MIB,       8 * MIB),
        (8 * MIB + 1,   9 * MIB),
    ];
    for (bytes, want) in cases {
        assert_eq!(map_bytes(bytes), want, "{bytes}");
    }
}

#[tokio::test]
async fn the_memory_of_a_buffer_is_reused() {
    let pool = Pool::new(4 * MIB);
    let mut first = pool.take(2 * MIB, None).await.unwrap();
    let address = first.unfilled().as_ptr();
    drop(first);

    let mut second = pool.take(2 * MIB, None).await.unwrap();

    assert_eq!(second.unfilled().as_ptr(), address);
}

#[tokio::test]
async fn used_and_idle_buffers_stay_within_the_budget() {
    let pool = Pool::new(4 * MIB);
    for bytes in [4 * MIB, MIB, UNIT_BYTES, 3 * MIB, 2 * MIB, 4 * MIB] {
        let buffer = pool.take(bytes, None).await.unwrap();
        let idle = pool.0.idle.bytes();
        assert!(pool.used_bytes() + idle <= 4 * MIB, "{bytes}: {idle} idle");
        drop(buffer);
    }
    assert_eq!(pool.used_bytes(), 0);
}

#[tokio::test]
async fn a_request_without_room_waits_until_a_buffer_comes_back() {
    let pool = Pool::new(2 * MIB);
    let held = pool.take(2 * MIB, None).await.unwrap();
    assert!(pool.try_take(MIB, None).unwrap().is_none());
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.take(MIB, None).await.map(|buffer| buffer.capacity()) }
    });

    drop(held);

    assert_eq!(waiting.await.unwrap().unwrap() as u64, MIB);
}

#[tokio::test]
async fn a_user_with_an_exhausted_share_leaves_the_rest_to_others() {
    let pool = Pool::new(4 * MIB);
    let greedy = Share::new(2 * MIB);
    let held = pool.take(2 * MIB, Some(&greedy)).await.unwrap();

    assert!(pool.try_take(MIB, Some(&greedy)).unwrap().is_none());
    assert!(pool.try_take(MIB, Some(&Share::new(2 * MIB))).unwrap().is_some());
    assert!(pool.try_take(3 * MIB, Some(&greedy)).is_err(), "it would wait forever");
    drop(held);
    assert!(pool.try_take(2 * MIB, Some(&greedy)).unwrap().is_some());
}

/// Two users hold all, and a third one has a hundred requests that wait.
#[tokio::test]
async fn a_new_user_gets_the_next_buffer_that_comes_back() {
    let pool = Pool::new(4 * MIB);
    let busy = [Share::new(2 * MIB), Share::new(2 * MIB)];
    let mut held = Vec::new();
    for share in [&busy[0], &busy[1], &busy[0], &busy[1]] {
        held.push(pool.take(MIB, Some(share)).await.unwrap());
    }
    let mut queued: tokio::task::JoinSet<_> = (0..100)
        .map(|_| {
            let pool = pool.clone();
            async move { pool.take(MIB, None).await.unwrap() }
        })
        .collect();
    while pool.0.units.waiting() < 100 {
        tokio::task::yield_now().await;
    }
    let new = tokio::spawn({
        let (pool, share) = (pool.clone(), Share::new(2 * MIB));
        async move { pool.take(MIB, Some(&share)).await.unwrap() }
    });
    while pool.0.units.waiting() < 101 {
        tokio::task::yield_now().await;
    }

    held.truncate(2);

    let new = new.await.unwrap();
    assert_eq!(pool.0.units.waiting(), 99, "one was there before it");
    drop((held, new));
    while let Some(buffer) = queued.join_next().await {
        drop(buffer);
    }
    assert_eq!(pool.used_bytes(), 0);
}

#[tokio::test]
async fn a_wait_that_is_dropped_lets_the_next_one_pass() {
    let pool = Pool::new(4 * MIB);
    let held = pool.take(3 * MIB, None).await.unwrap();
    let shares = [Share::new(4 * MIB), Share::new(4 * MIB)];
    let mut long = Box::pin(pool.take(4 * MIB, Some(&shares[0])));
    assert!(futures::poll!(&mut long).is_pending());
    let mut short = Box::pin(pool.take(MIB, Some(&shares[1])));
    assert!(futures::poll!(&mut short).is_pending(), "it waits behind the long one");

    drop(long);

    assert!(futures::poll!(&mut short).is_ready());
    drop((short, held));
    assert_eq!(pool.used_bytes(), 0);
}

#[tokio::test]
async fn a_buffer_over_the_budget_is_refused_with_both_numbers() {
    let err = Pool::new(MIB).take(8 * MIB, None).await.unwrap_err();
    assert_eq!(
        err.to_string(),
        "a part of 8.0 MiB does not fit into the buffer budget of 1.0 MiB; reduce the part size or \
         increase the budget"
    );
}

#[tokio::test]
async fn the_last_reader_returns_the_buffer() {
    let pool = Pool::new(MIB);
    let mut buffer = pool.take(10, None).await.unwrap();
    assert_eq!(buffer.fill_from(b"hello, world"), 10);
    let bytes = buffer.into_bytes();
    let slice = bytes.slice(3..);
    drop(bytes);
    assert_eq!((&slice[..], pool.used_bytes()), (&b"lo, wor"[..], UNIT_BYTES));

    drop(slice);

    assert_eq!(pool.used_bytes(), 0);
}
