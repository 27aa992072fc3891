//! A long outage of the gateway, with a configuration that makes it short: quick retries after
//! 50 ms, so that seconds have as many retries as an hour by default.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use s3up_devstore::Op;
use tokio::net::TcpListener;

use crate::fixture::{Host, World, until};
use crate::process::Process;

const FILES: u64 = 2000;
/// Time during which nothing changes and the gateway is away.
const QUIET: Duration = Duration::from_secs(10);
/// CPU time in hundredths of a second that the agent may use in it: a tenth of one core.
const QUIET_TICKS_MAX: u64 = 100;
const MEMORY_MAX: u64 = 150 << 20;

#[tokio::test]
async fn in_a_long_outage_the_agent_rests_and_afterwards_each_file_is_stored_once() {
    let mut world = World::start().await;
    let host = Host::new(&world.url());
    let mut agent = Process::start(&host, &["run"]);
    host.write("before", "before");
    host.until_stored("before", "before").await;
    world.gateway_down().await;
    let tries = Tries::count(TcpListener::bind(world.address()).await.unwrap());

    for round in 0..3 {
        for n in 0..FILES {
            host.write(format!("{}/{n}", n % 40), format!("{n} in round {round}"));
        }
    }
    host.write("before", "after");
    until("all are pending", async || host.status().await.total.pending.files == FILES + 1).await;
    let (ticks, tried) = (agent.cpu_ticks(), tries.so_far());
    tokio::time::sleep(QUIET).await;
    let (ticks, tried) = (agent.cpu_ticks() - ticks, tries.so_far() - tried);
    let memory = agent.peak_memory_bytes();
    tries.stop().await;
    let puts = world.calls(Op::PutObject);
    world.gateway_up().await;

    // The delay before the next probe may be half a minute.
    until("some are stored", async || host.status().await.total.pending.files <= FILES).await;
    let status = host.until_nothing_is_pending().await;
    assert_eq!((status.total.protected.files, status.total.problems.files), (FILES + 1, 0));
    assert_eq!(world.calls(Op::PutObject) - puts, FILES + 1, "a file was stored twice");
    for n in [0, 1, FILES / 2, FILES - 1] {
        let content = host.content(format!("{}/{n}", n % 40)).await;
        assert_eq!(content, format!("{n} in round 2").as_bytes());
    }
    assert_eq!(host.content("before").await, b"after");
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
    assert!(ticks <= QUIET_TICKS_MAX, "{ticks} ticks of CPU in {QUIET:?}");
    // One probe at a time, each later than the one before; a loop without a delay makes thousands.
    assert!(tried <= 100, "{tried} connections in {QUIET:?}");
    assert!(memory < MEMORY_MAX, "{memory} bytes");
}

/// Accepts connections in the place of the gateway, counts and closes them.
struct Tries {
    count: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Tries {
    fn count(listener: TcpListener) -> Tries {
        let count = Arc::new(AtomicU64::new(0));
        let shared = count.clone();
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                shared.fetch_add(1, Ordering::Relaxed);
                drop(connection);
            }
        });
        Tries { count, task }
    }

    fn so_far(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    async fn stop(self) {
        self.task.abort();
        // An error, because the task was aborted.
        drop(self.task.await);
    }
}
