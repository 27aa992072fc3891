//! SIGHUP, and what a service manager hears of the agent.

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::fixture::{Host, World, until};
use crate::process::Process;

#[tokio::test]
async fn a_hangup_reloads_the_configuration() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.write("first", "1");
    let mut agent = Process::start(&host, &["run"]);
    host.until_stored("first", "1").await;
    let second = host.dir.path().join("second");
    std::fs::create_dir(&second).unwrap();
    std::fs::write(second.join("file"), "2").unwrap();

    let watch = format!("  - {{ local_path: \"{}\", remote_prefix: \"s\" }}\n", second.display());
    host.edit("scan: {", &format!("{watch}scan: {{"));
    host.config_file();
    agent.hang_up();

    until("both are protected", async || host.status().await.total.protected.files == 2).await;
    assert!(agent.log().contains("event=config_reloaded"), "{}", agent.log());
    host.write("third", "3");
    host.until_stored("third", "3").await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
}

#[tokio::test]
async fn a_broken_configuration_is_refused_and_the_old_one_stays() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    let mut agent = Process::start(&host, &["run"]);
    until("it runs", async || host.scanned_once().await).await;
    let database = host.dir.path().join("state/client.db").display().to_string();

    #[rustfmt::skip]
    let breaks = [
        ("max_attempts: 8", "max_atempts: 8", "stability.max_atempts"),
        ("remote_prefix: \"uploads/\"", "remote_prefix: \"../x\"", "watches[0].remote_prefix"),
        (database.as_str(), "/var/lib/other.db", "database.path: expected"),
    ];
    for (n, (good, bad, key)) in breaks.into_iter().enumerate() {
        host.edit(good, bad);
        host.config_file();
        agent.hang_up();
        until("it is refused", async || {
            let log = agent.log();
            log.matches("event=config_refused").count() == n + 1 && log.contains(key)
        })
        .await;
        host.edit(bad, good);
        host.write(format!("file-{n}"), "still uploaded");
        host.until_stored(format!("file-{n}"), "still uploaded").await;
    }

    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
    assert!(!agent.log().contains("event=config_reloaded"), "{}", agent.log());
}

#[tokio::test]
async fn the_service_manager_hears_that_the_agent_is_ready_alive_and_stopping() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let path = host.dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut command = Command::new("env");
    command.arg(format!("NOTIFY_SOCKET={}", path.display())).arg("WATCHDOG_USEC=200000");

    let mut agent = Process::start_through(&host, command, &["run"]);

    let mut heard = Vec::new();
    let mut hears = async |what: &str, count: usize| {
        until(&format!("{what} is heard"), async || {
            let mut buffer = [0; 256];
            while let Ok(len) = socket.recv(&mut buffer) {
                heard.push(String::from_utf8_lossy(&buffer[..len]).into_owned());
            }
            heard.iter().filter(|message| message.contains(what)).count() >= count
        })
        .await;
    };
    hears("READY=1", 1).await;
    hears("WATCHDOG=1", 5).await;
    hears("STATUS=0 files protected, 0 pending, 0 problems; gateway: ", 1).await;
    agent.hang_up();
    hears("RELOADING=1", 1).await;
    hears("READY=1", 2).await;
    agent.terminate();
    hears("STOPPING=1", 1).await;
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
}
