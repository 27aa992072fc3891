//! Short files are sent in batches, each with its own outcome, and by themselves where a batch does not
//! reach the gateway.

use s3up::uploading::queue::BATCHED_BYTES_MAX;
use s3up_devstore::Op;

use crate::faulty_proxy::{Fault, FaultyProxy};
use crate::fixture::{Host, World, noise};
use crate::proxy::Proxy;

const COUNT: usize = 150;

/// Writes files of many lengths, also some that are too long for a batch.
fn write_files(host: &Host) {
    for n in 0..COUNT {
        host.write(format!("d{}/{n}.jpg", n % 7), noise(n * 97));
    }
    host.write("empty", "");
    host.write("longest", noise(BATCHED_BYTES_MAX as usize));
    host.write("longer", noise(BATCHED_BYTES_MAX as usize + 1));
}

async fn assert_stored(host: &Host) {
    for n in 0..COUNT {
        assert_eq!(host.content(format!("d{}/{n}.jpg", n % 7)).await, noise(n * 97), "{n}");
    }
    assert_eq!(host.content("empty").await, b"");
    assert_eq!(host.content("longest").await, noise(BATCHED_BYTES_MAX as usize));
    assert_eq!(host.content("longer").await, noise(BATCHED_BYTES_MAX as usize + 1));
}

/// The first files of a client may be looked for before it is known that there are none.
#[tokio::test]
async fn new_short_files_cost_one_request_to_s3_each() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("first", "x");
    assert_eq!(host.scan().await.uploaded, 1);
    let before = [Op::HeadObject, Op::PutObject].map(|op| world.calls(op));
    write_files(&host);

    let summary = host.scan().await;

    assert_eq!((summary.uploaded, summary.problems), (COUNT as u64 + 3, 0));
    let after = [Op::HeadObject, Op::PutObject].map(|op| world.calls(op));
    assert_eq!(after, [before[0], before[1] + COUNT as u64 + 3]);
    assert_stored(&host).await;
    let again = host.scan().await;
    assert_eq!((again.uploaded, again.pending), (0, 0));
}

#[tokio::test]
async fn a_refused_file_of_a_batch_is_a_problem_and_the_others_are_stored() {
    let mut world = World::start().await;
    world.restart_with("allowed_extensions: [jpg], max_file_size_mb: 1").await;
    let host = Host::new(&world.url());
    for n in 0..40 {
        let extension = if n % 8 == 0 { "php" } else { "jpg" };
        host.write(format!("{n}.{extension}"), noise(n * 10));
    }

    let summary = host.scan().await;

    assert_eq!((summary.uploaded, summary.problems), (35, 5));
    assert!(
        summary
            .failed
            .iter()
            .all(|(path, reason)| path.ends_with(".php") && reason.contains("extension of jpg")),
        "{:?}",
        summary.failed
    );
    assert_eq!(host.content("39.jpg").await, noise(390));
}

#[tokio::test]
async fn files_are_sent_by_themselves_where_a_batch_is_refused() {
    let faults = [
        Fault::AnswersAsOldGateway { method: "POST /batch" },
        Fault::Refuses { method: "POST /batch", status: 404 },
        Fault::Refuses { method: "POST /batch", status: 413 },
    ];
    for fault in faults {
        let world = World::start().await;
        let proxy = FaultyProxy::start(world.address()).await;
        proxy.set(fault);
        let host = Host::new(&proxy.url());
        write_files(&host);

        let summary = host.scan().await;

        assert_eq!((summary.uploaded, summary.problems), (COUNT as u64 + 3, 0), "{fault:?}");
        assert_stored(&host).await;
    }
}

/// The gateway has the files. Each is sent again by itself and found to be unchanged.
#[tokio::test]
async fn a_batch_whose_answers_are_lost_is_sent_again() {
    let world = World::start().await;
    let proxy = FaultyProxy::start(world.address()).await;
    proxy.set(Fault::LosesAnswer { method: "POST /batch" });
    let host = Host::new(&proxy.url());
    write_files(&host);

    let summary = host.scan().await;

    assert_eq!((summary.uploaded, summary.problems, summary.pending), (COUNT as u64 + 3, 0, 0));
    assert_stored(&host).await;
}

/// nginx passes the body on while it arrives, and the answers as well.
#[tokio::test]
async fn batches_pass_nginx() {
    let world = World::start().await;
    let Some(proxy) = Proxy::start(&world.url()) else { return };
    let host = Host::new(&proxy.url());
    write_files(&host);

    let summary = host.scan().await;

    assert_eq!((summary.uploaded, summary.problems), (COUNT as u64 + 3, 0));
    assert_stored(&host).await;
}
