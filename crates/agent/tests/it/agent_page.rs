//! Runs every command of `docs/agent.md`, in order, in one shell, and compares the outputs that the
//! page shows.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use s3up_testkit::golden::{Page, Redactions, outputs, script};
use s3up_testkit::noise;
use tokio::process::Command;

use crate::fixture::{KEY, World};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/agent.md");
/// Paths of the page. Each is below the directory of the test instead.
const PATHS: [&str; 4] = ["/etc/s3up", "/var/lib/s3up", "/var/www/uploads", "/srv/uploads"];

#[tokio::test]
async fn every_command_of_the_page_succeeds_and_the_files_are_restored() {
    let world = World::start().await;
    let host = tempfile::tempdir().unwrap();
    let local = |path: &str| PathBuf::from(format!("{}{path}", host.path().display()));
    let replaced = |text: &str| {
        let text = PATHS.iter().fold(text.to_owned(), |text, path| {
            text.replace(path, &local(path).display().to_string())
        });
        text.replace("https://backup.example.com:8080", &world.url())
            .replace("THE KEY FROM keygen", KEY)
    };
    let uploads = local("/var/www/uploads");
    fs::create_dir_all(uploads.join("2026")).unwrap();
    fs::create_dir_all(local("/etc/s3up")).unwrap();
    let photo = uploads.join(OsStr::from_bytes(b"caf\xe9.jpg"));
    fs::write(uploads.join("index.html"), noise(5100)).unwrap();
    fs::write(photo, noise(1900)).unwrap();
    fs::write(uploads.join("2026/report.pdf"), noise(300_000)).unwrap();
    let page = Page::read(Path::new(PAGE));
    let [config] = &page.blocks("yaml")[..] else { panic!("one configuration") };
    fs::write(local("/etc/s3up/client.yaml"), replaced(config)).unwrap();
    fs::write(local("/etc/s3up/key"), KEY).unwrap();
    let commands: Vec<_> = page.commands().into_iter().flatten().collect();
    assert!(commands.len() >= 11, "{commands:?}");

    let script = replaced(&script(commands.iter().map(|command| command.line.as_str())));
    let path = Path::new(env!("CARGO_BIN_EXE_s3up")).parent().unwrap().to_owned();
    let search = std::env::var_os("PATH").unwrap();
    let dirs = [path].into_iter().chain(std::env::split_paths(&search));
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &script]).env("PATH", std::env::join_paths(dirs).unwrap());
    let output = shell.output().await.unwrap();

    assert!(output.status.success(), "{output:?}");
    for name in [&b"index.html"[..], b"2026/report.pdf", b"caf\xe9.jpg"] {
        let name = OsStr::from_bytes(name);
        let restored = fs::read(local("/srv/uploads").join(name));
        assert!(restored.unwrap() == fs::read(uploads.join(name)).unwrap(), "{name:?}");
    }
    let stdout = String::from_utf8(output.stdout).unwrap();
    let shown = commands.into_iter().zip(outputs(&stdout));
    let shown: Vec<_> = shown.filter(|(command, _)| !command.output.is_empty()).collect();
    page.assert_outputs(&shown, &Redactions::new());
}
