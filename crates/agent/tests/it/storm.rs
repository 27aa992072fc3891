//! Agent and gateway are killed at random moments during a storm of changes.
//!
//! Both are real processes that die by SIGKILL. At the end every file in S3 is exactly as on disk.
//! `S3UP_STORM_KILLS` is the number of kills of the long storm, which `./check --full` sets, and
//! `S3UP_STORM_SEED` repeats a storm; the seed is printed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use s3up::gateway::client::GatewayClient;
use s3up_core::Sha256Digest;
use tokio::net::TcpListener;

use crate::fixture::{Host, World, noise, serve_gateway, until};
use crate::process::Process;

const KILLS: &str = "S3UP_STORM_KILLS";
const SEED: &str = "S3UP_STORM_SEED";
const GATEWAY: &str = "S3UP_STORM_GATEWAY";
/// Kills of the storm of each run of the tests.
const KILLS_FEW: u64 = 12;
/// Longest life of a process before it is killed.
const LIFE_MAX_MS: u64 = 600;
const PATHS: u64 = 40;
/// A pause of the storm, so that some files settle in it.
const PAUSE: Duration = Duration::from_millis(3);

/// Not a test, but the gateway of the other test, which starts this binary again.
#[tokio::test]
async fn the_gateway_that_is_killed() {
    let Some(file) = env::var_os(GATEWAY) else { return };
    let text = fs::read_to_string(&file).unwrap();
    let (address, yaml) = text.split_once('\n').unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    serve_gateway(yaml, listener, None, std::future::pending()).await;
}

#[tokio::test]
async fn after_random_kills_every_file_in_s3_is_as_on_disk() {
    storm(KILLS_FEW).await;
}

#[tokio::test]
async fn after_many_random_kills_every_file_in_s3_is_as_on_disk() {
    let Some(kills) = number(KILLS) else {
        println!("NOT RUN: a storm of 200 kills: ./check --full sets {KILLS}");
        return;
    };
    storm(kills).await;
}

/// Returns the number in an environment variable.
fn number(name: &str) -> Option<u64> {
    let text = env::var_os(name)?;
    let number = text.to_str().and_then(|text| text.parse().ok());
    Some(number.unwrap_or_else(|| panic!("{name}: expected a number, found {text:?}")))
}

#[expect(clippy::print_stdout, reason = "the seed of a test that fails")]
async fn storm(kills: u64) {
    let seed = number(SEED).unwrap_or_else(|| u64::from(std::process::id()));
    println!("{SEED}={seed}");
    let mut random = Random(seed);
    let mut world = World::start().await;
    world.gateway_down().await;
    let mut host = Host::new(&world.url());
    host.edit("debounce_seconds: 0.2", "debounce_seconds: 0.1");
    let mut gateway = GatewayProcess::start(&world, &host);
    let mut agent = Process::start(&host, &["run"]);
    let storm = Storm::start(&host.up, seed);

    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.below(LIFE_MAX_MS))).await;
        if random.below(3) == 0 {
            gateway = gateway.killed_and_started(&world, &host);
        } else {
            agent.kill();
            agent = Process::start(&host, &["run"]);
        }
    }
    storm.stop().await;

    until("nothing is pending", async || {
        let total = host.status().await.total;
        host.scanned_once().await && (total.pending.files, total.problems.files) == (0, 0)
    })
    .await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
    let total = host.status().await.total;
    let files = files(&host.up);
    assert_eq!(total.protected.files, files.len() as u64, "seed {seed}: {total:?}");
    let (mut versions, mut twice) = (0, 0);
    for file in files {
        let relative = file.strip_prefix(&host.up).expect("a file below the watch");
        let stored = host.content(relative).await;
        assert!(
            stored == fs::read(&file).expect("a file"),
            "seed {seed}: {relative:?} differs in S3"
        );
        let stored = versions_of(&host, relative).await;
        versions += stored.len() as u64;
        twice += stored.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
    }
    println!("{kills} kills: {versions} versions, {twice} of them stored again");
    assert!(twice <= kills, "seed {seed}: {twice} versions were stored again");
    drop(gateway);
}

/// Returns the SHA-256 of each version of a file, the newest first.
async fn versions_of(host: &Host, path: &Path) -> Vec<Sha256Digest> {
    let client = GatewayClient::new(&host.config().server).expect("a client");
    let path = host.remote(path);
    let mut digests = Vec::new();
    for version in client.versions(&path).await.expect("a list").versions {
        let head = client.head_version(&path, Some(&version.version_id)).await.expect("a version");
        digests.push(head.sha256.expect("each version has a SHA-256"));
    }
    digests
}

/// A gateway in a process of its own.
struct GatewayProcess(Child);

impl GatewayProcess {
    fn start(world: &World, host: &Host) -> GatewayProcess {
        let file = host.dir.path().join("gateway.yaml");
        fs::write(&file, format!("{}\n{}", world.address(), world.server_yaml())).expect("success");
        let child = Command::new(env::current_exe().expect("this binary"))
            .args(["--exact", "storm::the_gateway_that_is_killed"])
            .env(GATEWAY, &file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a started gateway");
        GatewayProcess(child)
    }

    fn killed_and_started(self, world: &World, host: &Host) -> GatewayProcess {
        drop(self);
        GatewayProcess::start(world, host)
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        // Fails if it ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A thread that changes files until it is stopped.
struct Storm {
    blowing: Arc<AtomicBool>,
    thread: tokio::task::JoinHandle<()>,
}

impl Storm {
    fn start(up: &Path, seed: u64) -> Storm {
        let blowing = Arc::new(AtomicBool::new(true));
        let (flag, up) = (blowing.clone(), up.to_owned());
        let thread = tokio::task::spawn_blocking(move || {
            let mut random = Random(seed ^ 0x5DEE_CE66);
            while flag.load(Ordering::Relaxed) {
                change(&up, &mut random);
                std::thread::park_timeout(PAUSE);
            }
        });
        Storm { blowing, thread }
    }

    async fn stop(self) {
        self.blowing.store(false, Ordering::Relaxed);
        self.thread.await.expect("a storm that ends");
    }
}

/// Changes one of some paths. What does not fit the state of the path does nothing.
fn change(up: &Path, random: &mut Random) {
    let path = |random: &mut Random| {
        let n = random.below(PATHS);
        let directory = up.join(["", "a", "a/b"][(n % 3) as usize]);
        fs::create_dir_all(&directory).ok();
        directory.join(format!("file-{n}"))
    };
    let target = path(random);
    match random.below(12) {
        0 => drop(fs::remove_file(&target)),
        1 | 2 => drop(fs::rename(path(random), &target)),
        3 => append(&target, random),
        4 => drop(
            fs::rename(up.join("a"), up.join("moved"))
                .and_then(|()| fs::rename(up.join("moved"), up.join("a"))),
        ),
        // Longer than one part.
        5 if random.below(20) == 0 => drop(fs::write(&target, long(random))),
        _ => drop(fs::write(&target, random.0.to_le_bytes().repeat(random.below(999) as usize))),
    }
}

fn append(path: &Path, random: &mut Random) {
    use std::io::Write;
    let Ok(mut file) = fs::File::options().append(true).open(path) else { return };
    file.write_all(&random.0.to_le_bytes()).expect("an appended number");
}

fn long(random: &mut Random) -> Vec<u8> {
    let mut content = noise(9 << 20);
    content[..8].copy_from_slice(&random.0.to_le_bytes());
    content
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("success").map(|entry| entry.expect("success"));
    entries
        .flat_map(|entry| match entry.file_type().expect("success").is_dir() {
            true => files(&entry.path()),
            false => vec![entry.path()],
        })
        .collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
