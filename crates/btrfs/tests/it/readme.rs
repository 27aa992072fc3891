//! Runs the two quick starts of README, command by command, with the programs that were
//! built with this test, and compares what they print with the page.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use s3up_testkit::golden::{Command, Page, Redactions, outputs, script};
use s3up_testkit::{BtrfsFs, ProcessTag, Tree, file, noise, wait_until};
use tempfile::TempDir;
use tokio::process::Child;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
/// Length of the part that a newcomer reads, without the reference.
const FIRST_PART_LINES_MAX: usize = 130;
const FILESYSTEM_BYTES: u64 = 2 << 30;
const STARTS_WITHIN: Duration = Duration::from_secs(60);
pub const S3: &str = "127.0.0.1:9000";
pub const GATEWAY: &str = "127.0.0.1:8080";

/// The machine of the page: directories below a directory of this test, and addresses with free
/// ports.
pub struct Host {
    directory: TempDir,
    tag: ProcessTag,
    /// Texts of the page, each with the text that replaces it here.
    replacements: Vec<(&'static str, String)>,
    /// The servers that the page starts; dropping them kills them.
    servers: Vec<Child>,
}

impl Host {
    pub fn start() -> Host {
        let directory = s3up_testkit::temp_dir();
        let below = |path: &str| directory.path().join(path).display().to_string();
        let replacements = vec![
            ("/tmp/s3", below("bucket")),
            ("/var/www", below("www")),
            ("/var/lib/s3up", below("agent")),
        ];
        Host { directory, tag: ProcessTag::new(), replacements, servers: Vec::new() }
    }

    fn replaced(&self, text: &str) -> String {
        let replace = |text: String, (page, here): &(&str, String)| text.replace(page, here);
        self.replacements.iter().fold(text.to_owned(), replace)
    }

    /// Returns an output with the paths and addresses of the page.
    fn as_on_the_page(&self, text: &str) -> String {
        let replace = |text: String, (page, here): &(&str, String)| text.replace(here, page);
        self.replacements.iter().fold(text.to_owned(), replace)
    }

    /// Returns a path below the directory of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces a text of the page from now on.
    pub fn replace(&mut self, page: &'static str, here: String) {
        self.replacements.push((page, here));
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.directory.path().join(name);
        fs::write(file, self.replaced(text)).expect("a written file");
    }

    /// Starts a server in the background, and returns the address that it prints.
    pub async fn serve(&mut self, page_address: &'static str, line: &str) -> SocketAddr {
        let line = line.trim_end_matches('&');
        let log = self.directory.path().join(format!("log-{}", self.servers.len()));
        let stdout = fs::File::create(&log).expect("a new file");
        let stderr = stdout.try_clone().expect("a file");
        let mut command = self.shell(&format!("exec env {}", self.replaced(line)));
        let server = command.stdout(stdout).stderr(stderr).spawn().expect("a shell");
        self.servers.push(server);
        let address = || address(&fs::read_to_string(&log).ok()?);
        let is_up = wait_until(STARTS_WITHIN, || address().is_some());
        assert!(is_up, "{line} does not start: {:?}", fs::read_to_string(&log));
        let address = address().expect("an address");
        self.replacements.push((page_address, address.to_string()));
        address
    }

    fn shell(&self, script: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("sh");
        let (name, value) = self.tag.env();
        let path = std::env::var_os("PATH").expect("PATH");
        let dirs = [programs()].into_iter().chain(std::env::split_paths(&path));
        command
            .args(["-e", "-c", script])
            .current_dir(self.directory.path())
            .env("PATH", std::env::join_paths(dirs).expect("a PATH"))
            .env(name, value)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs commands in one shell. Returns each with its output.
    pub async fn run(&self, commands: &[Command]) -> Vec<(Command, String)> {
        let script = script(commands.iter().map(|command| command.line.as_str()));
        let output = self.shell(&self.replaced(&script)).output().await.expect("a shell");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "{commands:?}: {stdout}{stderr}");
        let outputs = outputs(&stdout);
        assert_eq!(outputs.len(), commands.len());
        let outputs = outputs.iter().map(|output| self.as_on_the_page(output));
        commands.iter().cloned().zip(outputs).collect()
    }
}

/// Returns the directory of the programs of this build. All of them must be there.
fn programs() -> PathBuf {
    let directory = Path::new(env!("CARGO_BIN_EXE_btrfs-to-s3")).parent().expect("a directory");
    for name in ["s3up", "s3up-server", "s3up-devstore"] {
        let program = directory.join(name);
        assert!(
            program.is_file(),
            "{} is missing: run this test with --workspace, which builds it",
            program.display()
        );
    }
    directory.to_owned()
}

/// Returns the address in the log of a server.
fn address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("http://")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')?;
    rest[..end].parse().ok()
}

/// Returns the block that starts with a command like this.
fn block<'a>(blocks: &'a [Vec<Command>], start: &str) -> &'a [Command] {
    let found = blocks.iter().find(|block| block[0].line.starts_with(start));
    found.unwrap_or_else(|| panic!("README has no block that starts with {start}"))
}

/// Returns the value between quotes after a word.
fn quoted<'a>(text: &'a str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(after).unwrap_or_else(|| panic!("no {after} in {text}"));
    rest.trim_start_matches([':', ' ', '"']).split('"').next().expect("a text")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_quick_starts_print_what_the_readme_shows() {
    let page = Page::read(Path::new(README));
    let blocks = page.commands();
    let mut host = Host::start();
    let start = block(&blocks, "cargo build");
    let serve = start.last().expect("the S3 server").line.replace(S3, "127.0.0.1:0");
    host.serve(S3, &serve).await;

    let mut found = files(&mut host, &page, &blocks).await;
    if s3up_testkit::btrfs_or_skip() {
        found.extend(subvolumes(&mut host, &page, &blocks).await);
    }

    let redactions = Redactions::new().sizes();
    page.assert_outputs(&found, &redactions);
    drop(host);
}

/// Runs the quick start for files.
async fn files(host: &mut Host, page: &Page, blocks: &[Vec<Command>]) -> Vec<(Command, String)> {
    let mut found = host.run(block(blocks, "s3up-server keygen")).await;
    let keys = found[0].1.clone();
    let [server, client] = &page.blocks("yaml")[..] else { panic!("two configurations") };
    let digest = quoted(&keys, "api_key_sha256");
    let server = server.replace("THE DIGEST FROM keygen", digest).replace("8080", "0");
    host.write("server.yaml", &server);
    let commands = block(blocks, "mkdir -p /var/www");
    let n = commands.iter().position(|command| command.line.ends_with('&')).expect("the gateway");
    found.extend(host.run(&commands[..n]).await);
    host.serve(GATEWAY, &commands[n].line).await;
    host.write("client.yaml", &client.replace("THE KEY FROM keygen", quoted(&keys, " api_key:")));
    found.extend(host.run(&commands[n + 1..]).await);
    found
}

/// Runs the quick start for subvolumes, then the command at the top of the page.
async fn subvolumes(
    host: &mut Host,
    page: &Page,
    blocks: &[Vec<Command>],
) -> Vec<(Command, String)> {
    let disk = BtrfsFs::create(FILESYSTEM_BYTES);
    let data = disk.subvolume("data");
    Tree::new([file("photos/cat.jpg", noise(20 << 20)), file("notes", "hello")]).write(&data);
    host.replacements.push(("/srv", disk.path().display().to_string()));
    let [config] = &page.blocks("toml")[..] else { panic!("one configuration") };
    let globals = "[global]\nlock_path = \"/run/lock\"\nstate_path = \"/run/state.json\"\n";
    host.replacements.push(("/run", host.directory.path().display().to_string()));
    host.write("config.toml", &format!("{config}{globals}"));

    let mut found = host.run(block(blocks, "export AWS")).await;

    for file in ["notes", "photos/cat.jpg"] {
        let (old, new) = (data.join(file), disk.path().join("restored").join(file));
        let content = |path| fs::read(path).expect("a restored file");
        assert!(content(old) == content(new), "{file} was restored");
    }
    let top = block(blocks, "btrfs-to-s3 list").to_vec();
    let export = block(blocks, "export AWS")[0].clone();
    let mut list = vec![export];
    list.extend(top.iter().cloned().map(|mut command| {
        command.line = command.line.replace("list ", "--config $PWD/config.toml list ");
        command
    }));
    found.extend(host.run(&list).await.into_iter().skip(1));
    found
}

#[test]
fn the_first_part_of_the_readme_is_short() {
    let text = fs::read_to_string(README).unwrap();
    let (first, _) = text.split_once("## Read on").expect("a section `Read on`");
    let count = first.lines().count();
    assert!(count <= FIRST_PART_LINES_MAX, "{count} lines");
}
