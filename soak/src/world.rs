//! The programs of a soak run, what is between them, and their configurations.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Context;
use s3up_devstore::Options;
use s3up_testkit::{ProcessTag, SmallDisk};
use tokio::sync::Mutex;

use crate::daemon::Daemon;
use crate::events::{Disk, LinkName, Program, Reload};
use crate::link::Link;

pub const FILES: &str = "files";
pub const SNAPSHOTS: &str = "snapshots";
pub const CLIENT: &str = "web1";
pub const PREFIX: &str = "sites/";
pub const REMOTE_PREFIX: &str = "uploads/";
pub const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
/// The client keys that replace one another.
pub const KEYS: [&str; 2] = [
    "s3up_soak_first_01234567890123456789012345678",
    "s3up_soak_other_01234567890123456789012345678",
];
/// Enough for the databases and some temporary files; a storm fills it in no time.
const DISK_BYTES: u64 = 96 << 20;
/// Budget of the part buffers of the gateway in MiB.
pub const BUFFER_BUDGET_MB: u64 = 64;

/// Everything of a run but the btrfs host.
pub struct World {
    pub directory: PathBuf,
    pub tag: ProcessTag,
    pub s3_address: SocketAddr,
    pub gateway_address: SocketAddr,
    pub links: BTreeMap<LinkName, Link>,
    pub daemons: BTreeMap<Program, Mutex<Daemon>>,
    /// Empty without root.
    pub disks: BTreeMap<Disk, SmallDisk>,
    programs: PathBuf,
}

impl World {
    /// Creates everything below `directory`, and starts no program yet.
    pub async fn new(directory: &Path) -> anyhow::Result<World> {
        let this = std::env::current_exe().context("find the path of this program")?;
        let programs = this.parent().context("find the directory of this program")?.to_owned();
        for name in ["up", "logs", "s3", "gateway", "agent"] {
            fs::create_dir_all(directory.join(name)).context("create a directory")?;
        }
        let mut disks = BTreeMap::new();
        if s3up_testkit::root_or_skip() {
            for disk in [Disk::Gateway, Disk::Agent] {
                disks.insert(disk, SmallDisk::create(DISK_BYTES));
            }
        }
        let (s3_address, gateway_address) = (free_address()?, free_address()?);
        let mut links = BTreeMap::new();
        for (name, target) in [
            (LinkName::AgentToGateway, gateway_address),
            (LinkName::GatewayToS3, s3_address),
            (LinkName::BtrfsToS3, s3_address),
        ] {
            links.insert(name, Link::start(target).await?);
        }
        let mut world = World {
            directory: directory.to_owned(),
            tag: ProcessTag::new(),
            s3_address,
            gateway_address,
            links,
            daemons: BTreeMap::new(),
            disks,
            programs,
        };
        world.write_server_yaml(Reload::Same, &[KEYS[0]])?;
        world.write_client_yaml(KEYS[0])?;
        for program in Program::ALL {
            let daemon = world.daemon(program);
            world.daemons.insert(program, Mutex::new(daemon));
        }
        Ok(world)
    }

    /// Starts all programs, S3 first.
    pub async fn start(&self) -> anyhow::Result<()> {
        for program in [Program::S3, Program::Gateway, Program::Agent] {
            self.daemons[&program].lock().await.start()?;
        }
        Ok(())
    }

    pub fn link(&self, name: LinkName) -> &Link {
        &self.links[&name]
    }

    /// Returns the directory for the database of a program.
    fn data(&self, disk: Disk) -> PathBuf {
        let own = match disk {
            Disk::Gateway => "gateway",
            Disk::Agent => "agent",
        };
        self.disks.get(&disk).map_or_else(|| self.directory.join(own), |it| it.path().to_owned())
    }

    /// Returns a command of one of our programs, which finds no settings of this machine.
    pub fn command(&self, name: &str) -> Command {
        command(&self.programs.join(name), &self.tag)
    }

    /// Runs a program to its end.
    pub async fn output(&self, mut command: Command) -> anyhow::Result<Output> {
        command.stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await?;
        output.context("run a program")
    }

    pub fn gateway_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(Program::Gateway.name());
        command.arg("--config").arg(self.server_yaml()).args(arguments);
        command
    }

    pub fn agent_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(Program::Agent.name());
        command.arg("--config").arg(self.client_yaml()).args(arguments);
        command
    }

    fn daemon(&self, program: Program) -> Daemon {
        let (path, tag) = (self.programs.join(program.name()), self.tag.clone());
        let logs = self.directory.join("logs");
        let (root, listen) = (self.directory.join("s3"), self.s3_address.to_string());
        let (server, client) = (self.server_yaml(), self.client_yaml());
        let temporary = self.data(Disk::Gateway);
        Daemon::new(program, &logs, move || {
            let mut command = command(&path, &tag);
            match program {
                Program::S3 => {
                    command.arg("--root").arg(&root).args(["--listen", &listen]);
                    command.args(["--bucket", FILES, "--bucket", SNAPSHOTS, "--versioned"])
                }
                Program::Gateway => command
                    .env("TMPDIR", &temporary)
                    .args(["--log-format", "logfmt", "--log-level", "debug", "--config"])
                    .arg(&server),
                Program::Agent => command
                    .args(["--log-format", "logfmt", "--log-level", "debug", "--config"])
                    .arg(&client)
                    .arg("run"),
            };
            command
        })
    }

    fn server_yaml(&self) -> PathBuf {
        self.directory.join("server.yaml")
    }

    fn client_yaml(&self) -> PathBuf {
        self.directory.join("client.yaml")
    }

    /// Writes the configuration of the gateway.
    pub fn write_server_yaml(&self, reload: Reload, keys: &[&str]) -> anyhow::Result<()> {
        let limits = match reload {
            Reload::OtherLimits => "max_file_size_mb: 41, max_concurrent_uploads: 3",
            Reload::Same | Reload::HalfWritten | Reload::WithoutClients => "max_file_size_mb: 40",
        };
        let text = format!(
            "server: {{ host: \"127.0.0.1\", port: {}, buffer_budget_mb: {BUFFER_BUDGET_MB} }}\n\
             admin_keys: [\"{ADMIN_KEY}\"]\n\
             s3:\n  endpoint: \"http://{}\"\n  region: \"{}\"\n  bucket: \"{FILES}\"\n  \
             path_prefix: \"{PREFIX}\"\n  access_key_id: \"{}\"\n  secret_access_key: \"{}\"\n\
             database: {{ path: {:?} }}\n\
             clients:\n  - {{ name: \"{CLIENT}\", api_keys: {keys:?}, {limits} }}\n",
            self.gateway_address.port(),
            self.link(LinkName::GatewayToS3).address,
            Options::REGION,
            Options::ACCESS_KEY_ID,
            Options::SECRET_ACCESS_KEY,
            self.data(Disk::Gateway).join("gateway.db"),
        );
        let clients = text.find("clients:").unwrap_or(text.len());
        let text = match reload {
            Reload::HalfWritten => &text[..text.len() / 2],
            Reload::WithoutClients => &text[..clients],
            Reload::Same | Reload::OtherLimits => &text,
        };
        write_secret(&self.server_yaml(), text)
    }

    pub fn write_client_yaml(&self, key: &str) -> anyhow::Result<()> {
        let text = format!(
            "server: {{ url: \"http://{}\", api_key: \"{key}\" }}\n\
             database: {{ path: {:?} }}\n\
             watches:\n  - {{ local_path: {:?}, remote_prefix: \"{REMOTE_PREFIX}\" }}\n\
             scan: {{ upload_existing: true, interval_minutes: 1 }}\n\
             stability: {{ debounce_seconds: 0.2, max_attempts: 20 }}\n\
             upload: {{ retry_attempts: 3, retry_delay_seconds: 0.2 }}\n",
            self.link(LinkName::AgentToGateway).address,
            self.data(Disk::Agent).join("client.db"),
            self.up(),
        );
        write_secret(&self.client_yaml(), &text)
    }

    /// Returns the watched directory.
    pub fn up(&self) -> PathBuf {
        self.directory.join("up")
    }

    /// Returns the paths of all logs.
    pub fn logs(&self) -> anyhow::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.directory.join("logs")).context("list the logs")?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }
}

/// Returns a command whose environment has nothing of this machine but the path.
pub fn command(program: &Path, tag: &ProcessTag) -> Command {
    let (name, value) = tag.env();
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("AWS_ACCESS_KEY_ID", Options::ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", Options::SECRET_ACCESS_KEY)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("RUST_BACKTRACE", "1")
        .env(name, value);
    command
}

fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).with_context(|| format!("write {path:?}"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).context("set the mode of a file")
}

/// Returns an address that is free now, and that keeps its port when its program starts again.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    listener.local_addr().context("get the address of a free port")
}
