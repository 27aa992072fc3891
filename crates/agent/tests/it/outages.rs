//! Outages: of the gateway, of the key, of the agent itself.

use std::time::Duration;

use s3up_devstore::Op;

use crate::fixture::{Host, KEY, MIB, World, noise, until};
use crate::process::Process;

#[tokio::test]
async fn files_written_while_the_gateway_is_down_are_stored_later() {
    let mut world = World::start().await;
    let host = Host::new(&world.url());
    let agent = host.start().await;
    host.write("before", "before");
    host.until_stored("before", "before").await;

    world.gateway_down().await;
    for n in 0..50 {
        host.write(format!("file-{n}"), format!("{n}"));
    }
    host.write("big", noise(9 * MIB));
    until("all are pending", async || host.status().await.total.pending.files == 51).await;
    world.gateway_up().await;

    let status = host.until_nothing_is_pending().await;
    assert_eq!(status.total.protected.files, 52);
    for n in 0..50 {
        assert_eq!(host.content(format!("file-{n}")).await, format!("{n}").as_bytes());
    }
    assert!(host.content("big").await == noise(9 * MIB));
    agent.stop().await;
}

#[tokio::test]
async fn a_scan_ends_if_the_gateway_stays_down_and_counts_what_is_pending() {
    let mut world = World::start().await;
    let host = Host::new(&world.url());
    for n in 0..20 {
        host.write(format!("file-{n}"), "x");
    }
    world.gateway_down().await;

    let summary = host.scan().await;

    assert_eq!(summary.uploaded, 0);
    assert_eq!((summary.pending, summary.problems), (20, 0), "{summary}");
    let text = summary.to_string();
    assert!(text.contains("\nnot uploaded: /") || text.starts_with("not uploaded: /"), "{text}");
    let total = host.status().await.total;
    assert_eq!((total.pending.files, total.problems.files), (20, 0));
    world.gateway_up().await;
    assert_eq!(host.scan().await.uploaded, 20);
}

#[tokio::test]
async fn with_a_wrong_key_files_stay_pending_and_one_line_is_logged() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    let wrong = KEY.replace("webapp", "strange");
    host.edit(KEY, &wrong);
    for n in 0..20 {
        host.write(format!("file-{n}"), "x");
    }
    let mut agent = Process::start(&host, &["run"]);
    until("it is logged", async || agent.log().contains("event=unauthorized")).await;
    until("all are pending", async || host.status().await.total.pending.files == 20).await;

    agent.terminate();

    assert_eq!(agent.wait().await, Some(0));
    assert_eq!(agent.log().matches("event=unauthorized").count(), 1, "{}", agent.log());
    assert!(!agent.log().contains(&wrong), "the key is in the log");

    let mut scan = Process::start(&host, &["scan"]);
    assert_eq!(scan.wait().await, Some(1));
    assert!(scan.log().contains("event=stopped pending=20"), "{}", scan.log());
    let summary = host.scan().await;
    assert_eq!((summary.pending, summary.problems), (20, 0), "{summary}");
    assert!(!summary.not_uploaded.is_empty(), "{summary}");

    host.edit(&wrong, KEY);
    assert_eq!(host.scan().await.uploaded, 20);
}

#[tokio::test]
async fn a_key_that_is_replaced_under_a_running_agent_loses_nothing() {
    let mut world = World::start().await;
    let mut host = Host::new(&world.url());
    let mut agent = Process::start(&host, &["run"]);
    host.write("before", "before");
    host.until_stored("before", "before").await;
    let new = KEY.replace("webapp", "newkey");

    world.restart_with_key(&new).await;
    for n in 0..20 {
        host.write(format!("file-{n}"), format!("{n}"));
    }
    until("it is refused", async || agent.log().contains("event=unauthorized")).await;
    until("all are pending", async || host.status().await.total.pending.files == 20).await;
    let requests = agent.log().matches("event=upload_failed").count();
    host.edit(KEY, &new);
    host.config_file();
    agent.hang_up();

    let status = host.until_nothing_is_pending().await;
    assert_eq!((status.total.protected.files, status.total.problems.files), (21, 0));
    assert_eq!(requests, 0, "a refused key is logged as such");
    assert_eq!(agent.log().matches("event=unauthorized").count(), 1, "{}", agent.log());
    assert!(!agent.log().contains(&new), "the key is in the log");
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn a_slow_gateway_gets_each_file_once() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for n in 0..20 {
        host.write(format!("file-{n}"), format!("{n}"));
    }
    host.write("long", noise(9 * MIB));
    world.slow(Duration::from_millis(400));

    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    assert_eq!(summary.uploaded, 21);
    let calls = [Op::PutObject, Op::CreateMultipartUpload].map(|op| world.calls(op));
    assert_eq!(calls, [20, 1], "a slow answer was taken for a failure");
}

#[tokio::test]
async fn a_second_agent_on_one_database_exits_with_75() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let agent = host.start().await;

    for command in ["run", "scan"] {
        let mut second = Process::start(&host, &[command]);
        assert_eq!(second.wait().await, Some(75), "{}", second.log());
        let process = format!("another agent (process {}) uses database", std::process::id());
        assert!(second.log().contains(&process), "{}", second.log());
    }
    agent.stop().await;
}

#[tokio::test]
async fn sigterm_stops_the_daemon_with_exit_code_0() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "x");
    let mut agent = Process::start(&host, &[]);
    host.until_stored("file", "x").await;
    let is_scanned = || agent.log().contains("event=scan_done");
    assert!(s3up_testkit::wait_until(Duration::from_secs(20), is_scanned), "{}", agent.log());

    agent.terminate();

    assert_eq!(agent.wait().await, Some(0));
    let log = agent.log();
    for event in ["started", "upload_done", "scan_done", "stopped"] {
        assert!(log.contains(&format!("event={event}")), "{event}: {log}");
    }
    assert!(log.contains("/up/file bytes=1 "), "{log}");
    assert!(!log.contains(KEY), "the key is in the log");
}

#[tokio::test]
async fn an_agent_that_is_killed_repeatedly_stores_every_file() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("debounce_seconds: 0.2", "debounce_seconds: 0.1");
    let mut expected = Vec::new();
    for round in 0..8 {
        let mut agent = Process::start(&host, &[]);
        for n in 0..60 {
            let name = format!("{round}/file-{n}");
            host.write(&name, name.as_bytes());
            expected.push(name);
        }
        host.write(format!("{round}/big"), noise(9 * MIB + round));
        // Kill it in the middle of the work, each time a little later.
        until("some are uploaded", async || agent.log().matches("upload_done").count() > round)
            .await;
        agent.kill();
    }

    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    let status = host.status().await;
    assert_eq!(status.total.protected.files, 8 * 61);
    for name in expected {
        assert_eq!(host.content(&name).await, name.as_bytes());
    }
    for round in 0..8 {
        assert!(host.content(format!("{round}/big")).await == noise(9 * MIB + round));
    }
}

#[tokio::test]
async fn a_low_limit_of_open_files_is_raised_or_reported_and_no_file_is_at_fault() {
    let world = World::start().await;
    // soft:hard, and whether the limit stays low
    for (limit, is_low) in [("--nofile=24:4096", false), ("--nofile=64:64", true)] {
        let host = Host::new(&world.url());
        for n in 0..200 {
            host.write(format!("{limit}/{n}"), format!("{limit} {n}"));
        }
        let mut prlimit = std::process::Command::new("prlimit");
        prlimit.arg(limit);

        let mut agent = Process::start_through(&host, prlimit, &["run"]);
        until("it has scanned", async || agent.log().contains("event=scan_done")).await;
        until("all are protected", async || {
            let total = host.status().await.total;
            assert_eq!(total.problems.files, 0, "{limit}: {}", agent.log());
            total.protected.files == 200
        })
        .await;

        assert_eq!(agent.log().contains("event=open_files_limited"), is_low, "{limit}");
        agent.terminate();
        assert_eq!(agent.wait().await, Some(0));
    }
}
