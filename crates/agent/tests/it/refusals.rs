//! Refusals that end when the gateway is configured otherwise, that concern one file only, or
//! that ask for fewer uploads at a time.

use std::fs;
use std::time::Duration;

use s3up::states::gateway_state::GatewayStatus;

use crate::faulty_proxy::{Fault, FaultyProxy};
use crate::fixture::{Host, World, noise, until};
use crate::process::Process;
use crate::proxy::Proxy;

const FILES: usize = 60;

#[tokio::test]
async fn a_refused_file_is_retried_when_the_gateway_came_back() {
    let mut world = World::start().await;
    world.restart_with("max_file_size_mb: 1").await;
    let host = Host::new(&world.url());
    host.write("large", noise(2 << 20));
    let mut agent = Process::start(&host, &["run"]);
    until("it is a problem", async || {
        host.scanned_once().await && host.status().await.total.problems.files == 1
    })
    .await;

    world.gateway_down().await;
    host.write("small", "small");
    until("the failure is noticed", async || is_unavailable(&host).await).await;
    world.set_client("max_file_size_mb: 5");
    world.gateway_up().await;

    host.until_stored("small", "small").await;
    host.until_stored("large", noise(2 << 20)).await;
    until("no problem is left", async || host.status().await.total.problems.files == 0).await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
}

#[tokio::test]
async fn a_refused_file_is_retried_after_an_outage_that_only_a_heartbeat_noticed() {
    let mut world = World::start().await;
    world.restart_with("max_file_size_mb: 1").await;
    let proxy = FaultyProxy::start(world.address()).await;
    let mut host = Host::new(&proxy.url());
    let other = host.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    let entry = "remote_prefix: \"uploads/\" }";
    let both = format!(
        "{entry}\n  - {{ local_path: \"{}\", remote_prefix: \"other/\" }}",
        other.display()
    );
    host.edit(entry, &both);
    host.write("large", noise(2 << 20));
    let mut agent = Process::start(&host, &["run"]);
    until("it is a problem", async || {
        host.scanned_once().await && host.status().await.total.problems.files == 1
    })
    .await;

    proxy.set(Fault::Refuses { method: "POST /heartbeat", status: 503 });
    // A watch that is gone is reported at once, and the other one is not scanned for it.
    fs::remove_dir(&other).unwrap();
    until("the heartbeat fails", async || is_unavailable(&host).await).await;
    world.restart_with("max_file_size_mb: 5").await;
    proxy.set(Fault::None);
    host.write("small", "small");

    host.until_stored("small", "small").await;
    host.until_stored("large", noise(2 << 20)).await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
}

#[tokio::test]
async fn a_refused_file_is_retried_on_command() {
    let mut world = World::start().await;
    world.restart_with("allowed_extensions: [jpg]").await;
    let host = Host::new(&world.url());
    for name in ["a.pdf", "sub/b.pdf", "c.jpg"] {
        host.write(name, name);
    }
    let nothing = Process::output(&host, &["retry"]).await;
    assert_eq!(nothing.code, Some(1), "no agent runs: {nothing:?}");
    let mut agent = Process::start(&host, &["run"]);
    until("two are problems", async || {
        host.scanned_once().await && host.status().await.total.problems.files == 2
    })
    .await;
    world.restart_with("").await;

    let unknown = Process::output(&host, &["retry", host.up.join("c.jpg").to_str().unwrap()]).await;
    let one = Process::output(&host, &["retry", host.up.join("sub").to_str().unwrap()]).await;
    host.until_stored("sub/b.pdf", "sub/b.pdf").await;
    // The agent records it a moment after the gateway stored it.
    until("only the other is a problem", async || host.status().await.total.problems.files == 1)
        .await;
    let rest = Process::output(&host, &["retry"]).await;
    host.until_stored("a.pdf", "a.pdf").await;

    assert_eq!((unknown.code, one.code, rest.code), (Some(1), Some(0), Some(0)));
    assert!(unknown.stderr.contains("has no recorded problem"), "{unknown:?}");
    assert_eq!(one.stdout, "1 file is retried\n");
    until("no problem is left", async || host.status().await.total.problems.files == 0).await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn a_file_that_fails_by_itself_does_not_stop_the_others() {
    let mut world = World::start().await;
    world.restart_with("max_file_size_mb: 1").await;
    let Some(proxy) = Proxy::start(&world.url()) else { return };
    let mut host = Host::new(&proxy.url());
    // Long enough that a blocked upload would be noticed by the end of the test.
    host.edit("retry_delay_seconds: 0.05", "retry_delay_seconds: 0.3");
    for n in 0..5 {
        host.write(format!("large-{n}"), noise((2 << 20) + n));
    }
    let mut agent = Process::start(&host, &["run"]);
    until("they fail", async || agent.log().contains("event=upload_failed")).await;

    let mut written = 0;
    until("all that fail are problems", async || {
        let name = format!("small-{written}");
        host.write(&name, &name);
        written += 1;
        host.until_stored(&name, &name).await;
        host.status().await.total.problems.files == 5
    })
    .await;

    let status = host.status().await;
    let reason = status.watches[0].files.problems[0].problem.to_string();
    assert!(
        reason.contains(
            "while other files were stored: expected an answer of the gateway, found status 502"
        ),
        "{reason}"
    );
    // The last file is in S3 before its row is committed.
    until("nothing is pending", async || host.status().await.total.pending.files == 0).await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
}

#[tokio::test]
async fn too_many_uploads_are_no_problem_and_their_number_is_lowered() {
    let mut world = World::start().await;
    world.restart_with("max_concurrent_uploads: 2").await;
    let host = Host::new(&world.url());
    for n in 0..FILES {
        host.write(format!("file-{n}"), format!("{n}"));
    }

    // Longer than the gateway lets an upload wait for one of the two.
    world.slow(Duration::from_secs(3));
    let mut scan = Process::start(&host, &["scan"]);
    until("fewer are sent", async || scan.log().contains("event=concurrency_lowered")).await;
    world.slow(Duration::ZERO);

    assert_eq!(scan.wait().await, Some(0), "{}", scan.log());
    assert!(!scan.log().contains("event=file_problem"), "{}", scan.log());
    assert_eq!(host.status().await.total.protected.files, FILES as u64);
}

/// Returns true if the agent has noticed that the gateway is unavailable.
async fn is_unavailable(host: &Host) -> bool {
    let gateway = host.status().await.gateway;
    gateway.is_some_and(|gateway| gateway.status == GatewayStatus::Unavailable)
}
