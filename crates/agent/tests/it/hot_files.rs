//! Files that change more often than an upload takes.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::fixture::{Host, MIB, World, noise, until};
use crate::mounts::{Kind, Mount};

/// Size of the file: an upload takes three seconds on the slow line.
const BYTES: usize = 12 * MIB;
const LINE_BYTES_PER_SECOND: usize = 4 * MIB;

#[tokio::test]
async fn a_long_file_that_keeps_changing_is_stored_from_a_copy_and_marked_hot() {
    let world = World::start().await;
    let line = SlowLine::start(&world.url()).await;
    let mut host = Host::new(&line.url);
    host.edit("max_attempts: 8", "max_attempts: 8, hot_interval_seconds: 5");
    host.write("image", noise(BYTES));
    let agent = host.start().await;
    let writer = Writer::start(host.up.join("image"));

    let direct = Host::at(&host, &world.url());
    until("a version is stored", async || direct.stored("image").await.is_some()).await;
    let content = direct.content("image").await;
    let total = until_hot(&host).await;

    assert!(writer.wrote(&content), "the stored content is of no moment");
    assert_eq!(total.protected.files, 0);
    let last = writer.stop().await;
    direct.until_stored("image", last).await;
    until("it is protected", async || host.status().await.total.protected.files == 1).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_long_file_that_keeps_changing_and_cannot_be_copied_is_a_problem() {
    let world = World::start().await;
    let line = SlowLine::start(&world.url()).await;
    let mut host = Host::new(&line.url);
    host.edit("max_attempts: 8", "max_attempts: 8, spool_max_mb: 1");
    host.write("image", noise(BYTES));
    let agent = host.start().await;
    let writer = Writer::start(host.up.join("image"));

    until_hot(&host).await;

    let problem = host.status().await.watches[0].files.problems[0].problem.to_string();
    assert!(problem.contains("expected at most 1.0 MiB (stability.spool_max_mb)"), "{problem}");
    writer.stop().await;
    agent.stop().await;
}

#[tokio::test]
async fn a_copy_shares_its_blocks_where_the_filesystem_can_and_is_spooled_up_to_a_limit_elsewhere()
{
    #[rustfmt::skip]
    let cases = [
        // filesystem  spool_max_mb  shares its blocks
        (Kind::Btrfs,  1,            true),
        (Kind::Xfs,    1,            true),
        (Kind::Ext4,   20,           false),
    ];
    for (kind, spool_max_mb, is_shared) in cases {
        let Some(mount) = Mount::new(kind) else { continue };
        let world = World::start().await;
        let line = SlowLine::start(&world.url()).await;
        let mut host = Host::on(&line.url, &mount.path, kind.name());
        let state = mount.path.join("state");
        let database = host.dir.path().join("state/client.db");
        host.edit(database.to_str().unwrap(), state.join("client.db").to_str().unwrap());
        host.edit("max_attempts: 8", &format!("max_attempts: 8, spool_max_mb: {spool_max_mb}"));
        host.write("image", noise(BYTES));
        let agent = host.start().await;
        let writer = Writer::start(host.up.join("image"));

        let mut copy = None;
        until("a copy is being uploaded", async || {
            copy = extents_of_open_copy(&state.join("spool"));
            copy.is_some()
        })
        .await;
        let direct = Host::at(&host, &world.url());
        until("a version is stored", async || direct.stored("image").await.is_some()).await;

        let Extents { blocks, shared } = copy.expect("it was found");
        // Blocks that the writer has changed since are shared no more.
        let is_mostly_shared = shared * 10 > blocks * 9;
        assert_eq!(is_mostly_shared, is_shared, "{kind:?}: {shared} of {blocks} blocks are shared");
        assert!(is_shared || shared == 0, "{kind:?}: {shared} of {blocks} blocks are shared");
        assert!(writer.wrote(&direct.content("image").await), "the stored content is of no moment");
        writer.stop().await;
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_file_that_keeps_changing_is_copied_no_more_often_than_configured() {
    const EVERY: Duration = Duration::from_secs(6);
    let world = World::start().await;
    let line = SlowLine::start(&world.url()).await;
    let mut host = Host::new(&line.url);
    host.edit("max_attempts: 8", "max_attempts: 8, hot_interval_seconds: 6");
    host.write("image", noise(BYTES));
    let agent = host.start().await;
    let writer = Writer::start(host.up.join("image"));
    let direct = Host::at(&host, &world.url());
    let start = s3up_testkit::CLOCK.start();

    let (mut versions, mut stored_at) = (Vec::new(), Vec::new());
    until("three versions are stored", async || {
        let stored = direct.stored("image").await.and_then(|file| file.version_id);
        if stored.is_some() && versions.last() != Some(&stored) {
            versions.push(stored);
            stored_at.push(start.elapsed());
        }
        versions.len() == 3
    })
    .await;

    // The copy is made after the interval, and its upload takes three seconds.
    let pauses: Vec<_> = stored_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| *pause >= EVERY), "{pauses:?}");
    let problem = host.status().await.watches[0].files.problems[0].problem.to_string();
    assert!(problem.contains("changes more often than an upload takes"), "{problem}");
    writer.stop().await;
    agent.stop().await;
}

/// Blocks of a file.
struct Extents {
    blocks: u64,
    /// Number of those that another file has, too.
    shared: u64,
}

/// Returns the extents of a copy in the spool that this process has open. It has no name.
fn extents_of_open_copy(spool: &Path) -> Option<Extents> {
    let files = fs::read_dir("/proc/self/fd").expect("open files");
    // A file may be closed meanwhile.
    let is_copy = |file: &PathBuf| fs::read_link(file).is_ok_and(|name| name.starts_with(spool));
    let copy = files.filter_map(|file| Some(file.ok()?.path())).find(is_copy)?;
    let number = copy.file_name()?.to_str()?.to_owned();
    let path = format!("/proc/{}/fd/{number}", std::process::id());
    let output = Command::new("filefrag").args(["-v", "-s", &path]).output().expect("filefrag");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut extents = Extents { blocks: 0, shared: 0 };
    for line in text.lines() {
        // `0: 0.. 31: 3328.. 3359: 32: shared`
        let fields: Vec<_> = line.split(':').map(str::trim).collect();
        let [number, _, _, len, .., flags] = fields.as_slice() else { continue };
        let (Ok(_), Ok(len)) = (number.parse::<u64>(), len.parse::<u64>()) else { continue };
        extents.blocks += len;
        extents.shared += if flags.contains("shared") { len } else { 0 };
    }
    // A copy that is not complete yet has no extents.
    (extents.blocks * 4096 >= BYTES as u64).then_some(extents)
}

async fn until_hot(host: &Host) -> s3up::states::counts::StateCounts {
    until("it is hot", async || {
        let status = host.status().await;
        let problem = status.watches[0].files.problems.first().cloned();
        let reason = problem.map(|listed| listed.problem.to_string());
        reason.is_some_and(|reason| reason.contains("changes more often than an upload"))
    })
    .await;
    host.status().await.total
}

/// Changes a byte of a file again and again: it pauses for longer than the debounce
/// time, and for less time than an upload takes.
struct Writer {
    running: Arc<AtomicBool>,
    task: JoinHandle<u8>,
}

impl Writer {
    fn start(path: PathBuf) -> Writer {
        let running = Arc::new(AtomicBool::new(true));
        let flag = running.clone();
        let task = tokio::spawn(async move {
            let mut byte = 0;
            while flag.load(Ordering::Relaxed) {
                byte = u8::wrapping_add(byte, 1);
                // Closed each time: an open file would not settle.
                let file = std::fs::File::options().write(true).open(&path).expect("the file");
                // Both ends of each version agree.
                file.write_all_at(&[byte], 0).expect("a write");
                file.write_all_at(&[byte], BYTES as u64 - 1).expect("a write");
                drop(file);
                tokio::time::sleep(Duration::from_millis(800)).await;
            }
            byte
        });
        Writer { running, task }
    }

    /// Returns true if this was the content at some moment.
    fn wrote(&self, content: &[u8]) -> bool {
        let want = noise(BYTES);
        let (first, last) = (content.first(), content.last());
        content.len() == BYTES && first == last && content[1..BYTES - 1] == want[1..BYTES - 1]
    }

    /// Stops and returns the last content.
    async fn stop(self) -> Vec<u8> {
        self.running.store(false, Ordering::Relaxed);
        let byte = self.task.await.expect("a writer that ends");
        let mut content = noise(BYTES);
        (content[0], content[BYTES - 1]) = (byte, byte);
        content
    }
}

/// A connection to the gateway with a limited rate.
struct SlowLine {
    url: String,
    task: JoinHandle<()>,
}

impl SlowLine {
    async fn start(gateway: &str) -> SlowLine {
        let gateway = gateway.strip_prefix("http://").expect("http").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let gateway = TcpStream::connect(&gateway).await.expect("a gateway");
                tokio::spawn(relay(client, gateway));
            }
        });
        SlowLine { url, task }
    }
}

impl Drop for SlowLine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(client: TcpStream, gateway: TcpStream) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_gateway, mut to_gateway) = gateway.into_split();
    let back = tokio::spawn(async move {
        // Either side may close at any time.
        tokio::io::copy(&mut from_gateway, &mut to_client).await.ok();
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = from_client.read(&mut buffer).await {
        if to_gateway.write_all(&buffer[..len]).await.is_err() {
            break;
        }
        let pause = Duration::from_secs_f64(len as f64 / LINE_BYTES_PER_SECOND as f64);
        tokio::time::sleep(pause).await;
    }
    drop(to_gateway);
    back.await.ok();
}
