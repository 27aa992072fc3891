//! A network that is unreachable or slow, and a server that is overwhelmed.

use std::io;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use s3up_core::Key;
use s3up_devstore::{Fault, Op};
use s3up_store::{Bandwidth, Put, Settings, Store, StoreErrorKind, Timeouts, UploadError};

use crate::fixture::{RETRY_FOR, SMALL_PART, World, noise, put_small, settings};
use crate::proxy::Proxy;

#[tokio::test]
async fn an_upload_survives_an_outage_and_an_operator_is_warned() {
    let logged = Logged::default();
    let _guard = logged.listen();
    let world = World::small().await;
    let proxy = Proxy::start(&world.s3.endpoint()).await;
    let timeouts = Timeouts { warn_every: Duration::from_millis(1), ..Timeouts::default() };
    let through = Settings { timeouts, ..settings(proxy.endpoint.clone()) };
    let store = Store::connect(through).await.unwrap();
    let body = noise(4 * SMALL_PART);
    store.upload(put_small("before"), &body[..]).await.unwrap();

    proxy.go_away();
    let upload = store.upload(put_small("a"), &body[..]);
    let back = async {
        proxy.refused(5).await;
        proxy.come_back();
    };
    let (uploaded, ()) = tokio::join!(upload, back);

    uploaded.unwrap();
    assert!(world.read("a").await.unwrap() == body);
    let waiting = logged.lines_with("store_waiting");
    assert!(!waiting.is_empty(), "an operator sees why nothing moves");
    assert!(waiting[0].contains("key=a") && waiting[0].contains("cause="), "{}", waiting[0]);
    world.stop().await;
}

/// The call is dropped as a program drops it that gets SIGTERM.
#[tokio::test]
async fn a_call_that_is_dropped_while_it_retries_says_what_it_was_waiting_for() {
    let logged = Logged::default();
    let _guard = logged.listen();
    let world = World::small().await;
    let proxy = Proxy::start(&world.s3.endpoint()).await;
    let timeouts = Timeouts { warn_every: Duration::from_millis(1), ..Timeouts::default() };
    let through = Settings { timeouts, ..settings(proxy.endpoint.clone()) };
    let store = Store::connect(through).await.unwrap();
    proxy.go_away();

    tokio::select! {
        uploaded = store.upload(put_small("a"), &b"x"[..]) => panic!("{uploaded:?}"),
        () = proxy.refused(5) => {}
    }

    let interrupted = logged.lines_with("store_wait_interrupted");
    assert_eq!(interrupted.len(), 1, "{interrupted:?}");
    assert!(interrupted[0].contains("put a: S3 is busy or unreachable"), "{}", interrupted[0]);
    world.stop().await;
}

#[tokio::test]
async fn an_outage_fails_the_upload_when_its_retry_time_is_over() {
    let world = World::small().await;
    let proxy = Proxy::start(&world.s3.endpoint()).await;
    let store = Store::connect(settings(proxy.endpoint.clone())).await.unwrap();
    proxy.go_away();

    let short = Put { retry_for: Duration::from_millis(300), ..put_small("a") };
    let err = store.upload(short, &noise(4 * SMALL_PART)[..]).await.unwrap_err();

    assert!(matches!(err, UploadError::Store(err) if err.kind == StoreErrorKind::Transient));
    world.stop().await;
}

#[tokio::test]
async fn a_refused_call_is_not_retried() {
    let world = World::small().await;
    let wrong = Settings { bucket: "nowhere".to_owned(), ..settings(world.s3.endpoint()) };
    let store = Store::connect(wrong).await.unwrap();
    let key = Key::parse("a").unwrap();
    store.upload(put_small("a"), &b"x"[..]).await.unwrap_err();
    store.upload(put_small("a"), &noise(2 * SMALL_PART)[..]).await.unwrap_err();
    store.delete(&key, RETRY_FOR).await.unwrap_err();
    store.list("", RETRY_FOR).next_page().await.unwrap_err();

    // An unknown server may refuse the checksum header once.
    for (op, calls) in [
        (Op::PutObject, 1),
        (Op::CreateMultipartUpload, 1),
        (Op::DeleteObject, 1),
        (Op::ListObjectsV2, 1),
    ] {
        assert_eq!(world.calls(op), calls, "{op:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn all_uploads_survive_a_slow_down_and_it_is_reported_once() {
    let logged = Logged::default();
    let _guard = logged.listen();
    let world = World::small().await;
    let faults = world.s3.faults();
    for nth in 3..6 {
        faults.inject(Op::UploadPart, nth, Fault::SlowDown { retry_after_seconds: None });
    }
    let body = noise(12 * SMALL_PART);
    let uploads = (0..4).map(|n| {
        let (store, body) = (world.store.clone(), &body);
        async move { store.upload(put_small(&format!("{n}")), &body[..]).await.map(drop) }
    });

    futures::future::try_join_all(uploads).await.unwrap();

    for n in 0..4 {
        assert!(world.read(&format!("{n}")).await.unwrap() == body, "{n}");
    }
    assert_eq!(logged.lines_with("store_slow_down").len(), 1, "once for all uploads");
    assert_eq!(logged.lines_with("store_recovered").len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn bodies_pass_no_faster_than_the_bandwidth_limit() {
    let rate = NonZeroU64::new(1 << 20);
    let bandwidth = Bandwidth { upload_bytes_per_second: rate, download_bytes_per_second: rate };
    let world = World::with(|settings| Settings { bandwidth, ..settings }).await;
    // More than a second's bytes in one part, and two that share the limit.
    let long = noise(3 << 19);
    let short = noise(1 << 18);

    let started = s3up_testkit::CLOCK.start();
    let (one, two) = tokio::join!(
        world.store.upload(put_of(2 << 20, "long"), &long[..]),
        world.store.upload(put_of(2 << 20, "short"), &short[..])
    );
    let up = started.elapsed();
    one.unwrap();
    two.unwrap();
    let started = s3up_testkit::CLOCK.start();
    assert!(world.read("long").await.unwrap() == long);
    let down = started.elapsed();

    // 1.75 s less the burst of a quarter of a second, and 1.5 s less the same (the
    // bucket for downloads is full).
    assert!(up >= Duration::from_millis(1450), "{up:?}");
    assert!(down >= Duration::from_millis(1200), "{down:?}");
    let header = world.s3.faults().headers(Op::PutObject, 2).unwrap();
    assert!(header.contains_key("x-amz-checksum-crc64nvme"));
    world.stop().await;
}

#[tokio::test]
async fn a_part_under_a_low_bandwidth_limit_does_not_count_as_stalled() {
    let timeouts = Timeouts {
        answer: Duration::from_millis(1500),
        bytes_per_second_min: 1 << 40,
        ..Timeouts::default()
    };
    let bandwidth =
        Bandwidth { upload_bytes_per_second: NonZeroU64::new(32 << 10), ..Bandwidth::default() };
    let world = World::with(|settings| Settings { timeouts, bandwidth, ..settings }).await;

    // Four seconds at this rate; a standstill may last 1.5 s.
    let once = Put { retry_for: Duration::ZERO, ..put_of(1 << 20, "a") };
    world.store.upload(once, &noise(128 << 10)[..]).await.unwrap();

    assert_eq!(world.calls(Op::PutObject), 1);
    world.s3.faults().inject(Op::PutObject, 1, Fault::Stall);
    let once = Put { retry_for: Duration::ZERO, ..put_of(1 << 20, "b") };
    let err = world.store.upload(once, &b"x"[..]).await.unwrap_err();
    assert!(matches!(err, UploadError::Store(err) if err.kind == StoreErrorKind::Transient));
    world.stop().await;
}

fn put_of(part_bytes: u64, key: &str) -> Put {
    Put { part_bytes, ..put_small(key) }
}

/// The log lines of the store.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let lines = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || lines.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn lines_with(&self, event: &str) -> Vec<String> {
        let text = self.0.lock().expect("no writer panics").clone();
        let text = String::from_utf8(text).expect("UTF-8");
        text.lines().filter(|line| line.contains(event)).map(str::to_owned).collect()
    }
}

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
