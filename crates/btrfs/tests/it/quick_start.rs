//! Runs every command of `docs/quick-start.md`, in order, with the programs that were built with this
//! test, and compares the outputs that the page shows.

use std::fs;
use std::path::Path;

use s3up_testkit::golden::{Command, Page, Redactions};
use s3up_testkit::{BtrfsFs, Tree, file, noise};

use crate::readme::{GATEWAY, Host, S3};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/quick-start.md");
const FILESYSTEM_BYTES: u64 = 2 << 30;

/// Replaces a text of a command that must be there.
fn replaced(commands: &[Command], replacements: &[(&str, &str)]) -> Vec<Command> {
    let mut commands = commands.to_vec();
    for (from, to) in replacements {
        let found = commands.iter_mut().filter(|command| command.line.contains(from));
        let count = found.map(|command| command.line = command.line.replace(from, to)).count();
        assert!(count > 0, "no command has {from}");
    }
    commands
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_succeeds() {
    let page = Page::read(Path::new(PAGE));
    let blocks = page.commands();
    let [server, agent, get, init, backups, restore] = &blocks[..] else { panic!("six blocks") };
    let mut host = Host::start();
    for directory in ["server", "agent", "nas", "www/uploads", "state"] {
        fs::create_dir_all(host.path(directory)).unwrap();
    }
    fs::write(host.path("www/uploads/hello.txt"), "hello\n").unwrap();
    for (path, here) in [
        ("/etc/s3up-server", "server"),
        ("/etc/s3up", "agent"),
        ("/etc/btrfs-to-s3", "nas"),
        ("/var/www", "www"),
    ] {
        host.replace(path, host.path(here).display().to_string());
    }
    host.replace("YOUR-KEY-ID", "devstore".to_owned());
    host.replace("YOUR-SECRET-KEY", "devstore-secret".to_owned());
    let store =
        "s3up-devstore --root s3 --listen 127.0.0.1:0 --bucket my-backup-bucket --versioned";
    let s3 = host.serve(S3, store).await;
    let endpoint = format!("--endpoint http://{s3} --region us-east-1");
    let region = "--region eu-central-1";

    let database = format!("{endpoint} --port 0 --database {}", host.path("state/g.db").display());
    host.run(&replaced(server, &[(region, &database)])).await;
    let serve = "S3_ACCESS_KEY_ID=devstore S3_SECRET_ACCESS_KEY=devstore-secret \
                 s3up-server --config /etc/s3up-server/server.yaml";
    let gateway = host.serve(GATEWAY, serve).await;
    fs::rename(host.path("server/web-01.key"), host.path("agent/web-01.key")).unwrap();
    let url = format!("http://{gateway}");
    let watch =
        format!("--database {} --watch /var/www/uploads", host.path("state/client.db").display());
    let here = [
        ("https://backup.example.com:8080", url.as_str()),
        ("--watch /var/www/uploads", watch.as_str()),
    ];
    host.run(&replaced(agent, &here)).await;
    let mut found = host.run(get).await;
    assert!(!host.path("agent/web-01.key").exists());

    if s3up_testkit::btrfs_or_skip() {
        let disk = BtrfsFs::create(FILESYSTEM_BYTES);
        let data = disk.subvolume("data");
        Tree::new([file("photos/cat.jpg", noise(20 << 20)), file("notes", "hello")]).write(&data);
        host.replace("/srv", disk.path().display().to_string());
        fs::create_dir(disk.path().join("snapshots")).unwrap();
        // Without an archive, so that the restore need not wait.
        let here = format!("{endpoint} --storage-class STANDARD");
        host.run(&replaced(init, &[(region, &here)])).await;
        let config = host.path("nas/config.toml");
        let text = fs::read_to_string(&config).unwrap();
        let path = |name: &str| host.path("state").join(name);
        let globals = format!(
            "[global]\nlock_path = {:?}\nstate_path = {:?}\n",
            path("lock"),
            path("s.json")
        );
        fs::write(&config, text + &globals).unwrap();
        let export = init[0].clone();
        let export = std::slice::from_ref(&export);
        found.extend(host.run(&[export, &backups[..]].concat()).await);
        found.extend(host.run(&[export, &restore[..]].concat()).await);
        for file in ["notes", "photos/cat.jpg"] {
            let content = |path| fs::read(path).expect("a restored file");
            assert!(content(data.join(file)) == content(disk.path().join("restored").join(file)));
        }
    }

    found.retain(|(command, _)| !command.output.is_empty());
    page.assert_outputs(&found, &Redactions::new().sizes());
    drop(host);
}
