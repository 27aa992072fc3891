//! Runs every command of `docs/restore.md`, in order, in one shell, and compares the
//! outputs that the page shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{UnmountFlags, unmount};
use s3up_devstore::{Op, Options};
use s3up_testkit::golden::{Page, Redactions, outputs, script};
use s3up_testkit::{Tree, assert_same_tree, file, noise, symlink};
use tokio::process::Command;

use crate::fixture::{CHUNK, Ran, World};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/restore.md");
const IMAGE_BYTES: u64 = 2 << 30;
const BLOCKS: usize = 11;

/// The host of the page: a device, a mount point, a directory for the configuration.
struct Host {
    directory: PathBuf,
}

impl Host {
    fn start(directory: &Path) -> Host {
        let host = Host { directory: directory.to_owned() };
        fs::create_dir_all(host.directory.join("etc")).expect("a new directory");
        let image = fs::File::create(host.directory.join("image")).expect("a new file");
        image.set_len(IMAGE_BYTES).expect("a sparse file");
        host
    }

    fn mount(&self) -> PathBuf {
        self.directory.join("mnt")
    }

    /// Returns a text of the page with the paths and names of this test.
    fn replaced(&self, text: &str, endpoint: &str) -> String {
        let path = |name: &str| self.directory.join(name).display().to_string();
        let region = "region = \"eu-central-1\"";
        let settings =
            format!("region = \"us-east-1\"\nendpoint = {endpoint:?}\npart_size_bytes = 5242880");
        let globals = format!(
            "[global]\nstate_path = {:?}\nlock_path = {:?}\n[snapshots]",
            path("state.json"),
            path("lock")
        );
        text.replace("/dev/sdX", &path("image"))
            .replace("/mnt/restored", &path("mnt"))
            .replace("/mnt/volume", &path("volume"))
            .replace("/etc/btrfs-to-s3", &path("etc"))
            .replace("[snapshots]", &globals)
            .replace(region, &settings)
            .replace(
                "eu-central-1 --prefix nas/",
                &format!("us-east-1 --prefix nas/ --endpoint {endpoint}"),
            )
            .replace("my-backup-bucket", "backups")
            .replace("YOUR-KEY-ID", Options::ACCESS_KEY_ID)
            .replace("YOUR-SECRET-KEY", Options::SECRET_ACCESS_KEY)
    }

    /// Returns an output of this test with the paths of the page.
    fn as_on_the_page(&self, text: &str) -> String {
        text.replace(&self.mount().display().to_string(), "/mnt/restored")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It is not mounted if the test failed early.
        for path in [self.directory.join("volume"), self.mount()] {
            unmount(path, UnmountFlags::DETACH).ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_succeeds_and_restores_the_data() {
    let Some(world) = World::start(&["data", "home"]).await else { return };
    world.reconfigure("\"STANDARD\"", "\"DEEP_ARCHIVE\"");
    for name in ["data", "home"] {
        let tree = [file("big", noise(CHUNK)), file("a/readme", name), symlink("link", "a")];
        Tree::new(tree).write(&world.subvolume(name));
        world.backup().await;
        fs::write(world.subvolume(name).join("new"), name).unwrap();
    }
    world.backup().await;
    world.s3.set_restore_delay(Duration::ZERO);
    let directory = s3up_testkit::temp_dir();
    let host = Host::start(directory.path());
    let endpoint = world.s3.endpoint();
    let page = Page::read(Path::new(PAGE));
    let [config] = &page.blocks("toml")[..] else { panic!("one configuration") };
    fs::write(host.directory.join("etc/config.toml"), host.replaced(config, &endpoint)).unwrap();
    let blocks = page.commands();
    assert!(blocks.len() >= BLOCKS, "{blocks:?}");
    let commands: Vec<_> = blocks.into_iter().flatten().collect();
    let script = script(commands.iter().map(|command| command.line.as_str()));
    let script = host.replaced(&script, &endpoint);

    let ran = shell(&world, &script).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for name in ["data", "home"] {
        assert_same_tree(&world.subvolume(name), &host.mount().join(name));
    }
    assert!(world.s3.faults().calls(Op::RestoreObject) >= 4, "the chunks were archived");
    assert!(ran.stdout.contains("every byte of"), "{}", ran.stdout);
    let (_, newest) = world.newest("data").await;
    assert_eq!(newest["kind"], "incremental", "it is based on the received parent");
    let shells = page.blocks("sh").len() + page.blocks("bash").len();
    assert_eq!(shells, 0, "only `console` blocks are run");
    let shown = commands.into_iter().zip(outputs(&ran.stdout));
    let shown = shown.filter(|(command, _)| !command.output.is_empty());
    let shown: Vec<_> =
        shown.map(|(command, output)| (command, host.as_on_the_page(&output))).collect();
    page.assert_outputs(&shown, &Redactions::new().sizes());
}

/// Runs a script that ends at the first command that fails.
async fn shell(world: &World, script: &str) -> Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_btrfs-to-s3")).parent().expect("a directory");
    let path = std::env::var_os("PATH").expect("PATH");
    let dirs = [program.to_owned()].into_iter().chain(std::env::split_paths(&path));
    let (name, value) = world.process_tag.env();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-e", "-x", "-c", script])
        .env("PATH", std::env::join_paths(dirs).expect("a PATH"))
        .env(name, value)
        .kill_on_drop(true);
    Ran::of(command.output().await.expect("a shell"))
}
