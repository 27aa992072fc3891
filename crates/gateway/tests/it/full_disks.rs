//! Full disks: uploads that need no disk are stored, the catalogue has them later, and `/ready`, the
//! metrics and the log report it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reqwest::multipart::{Form, Part as FormPart};
use reqwest::{RequestBuilder, StatusCode};
use s3up_core::Code;
use s3up_core::wire::{Part, Readiness};
use s3up_devstore::DevStore;
use s3up_testkit::{CLOCK, SmallDisk, root_or_skip};
use tempfile::TempDir;

use crate::fixture::{KEY, MIB, config, problem, sqlite_rows, stored};
use crate::running::Running;

const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
const DISK_BYTES: u64 = 4 << 20;
/// `/ready` repeats an answer for 5 s, and writes are repeated after a pause.
const NOTICED_WITHIN: Duration = Duration::from_secs(60);

struct Site {
    root: TempDir,
    disk: SmallDisk,
    s3: DevStore,
    gateway: Running,
}

impl Site {
    /// Starts a gateway with its database, or its temporary files, on the small disk.
    async fn start(database_on_disk: bool) -> Site {
        let (root, disk) =
            (tempfile::tempdir().expect("a directory"), SmallDisk::create(DISK_BYTES));
        let s3 = crate::process::s3(&root).await;
        let place = if database_on_disk { disk.path() } else { root.path() };
        let text = config(&s3.endpoint(), &place.join("gateway.db"));
        let file = root.path().join("server.yaml");
        std::fs::write(&file, format!("admin_keys: [{ADMIN_KEY}]\n{text}")).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_s3up-server"));
        if !database_on_disk {
            command.env("TMPDIR", disk.path());
        }
        let gateway = Running::start_by(command, &file, &[]);
        Site { root, disk, s3, gateway }
    }

    fn ballast(&self) -> PathBuf {
        self.disk.path().join("ballast")
    }

    fn fill(&self) {
        let full = std::fs::write(self.ballast(), vec![1; DISK_BYTES as usize + 1]);
        assert!(full.is_err(), "the disk is not full");
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("a ballast");
    }

    fn put(&self, path: &str) -> RequestBuilder {
        let put = reqwest::Client::new().put(format!("{}/files/{path}", self.gateway.url));
        put.bearer_auth(KEY).body("x")
    }

    /// Returns a form whose file is before or after its path.
    fn form(&self, path: &str, file_first: bool) -> RequestBuilder {
        let file = FormPart::bytes(vec![1; MIB]).file_name("x");
        let (form, path) = (Form::new(), path.to_owned());
        let form = match file_first {
            true => form.part("file", file).text("path", path),
            false => form.text("path", path).part("file", file),
        };
        let post = reqwest::Client::new().post(format!("{}/upload", self.gateway.url));
        post.bearer_auth(KEY).multipart(form)
    }

    /// Waits until `/ready` answers as `wanted`.
    async fn until_ready(&self, wanted: impl Fn(u16, &Readiness) -> bool) {
        let began = CLOCK.start();
        loop {
            let (status, ready) = self.gateway.ready().await;
            if wanted(status, &ready) {
                return;
            }
            assert!(began.elapsed() < NOTICED_WITHIN, "{status} {ready:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn stop(self) {
        assert!(self.gateway.stop().await.success());
        self.s3.stop().await;
        drop((self.disk, self.root));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_database_fails_no_upload_and_the_catalogue_catches_up() {
    if !root_or_skip() {
        return;
    }
    let site = Site::start(true).await;
    stored(site.put("before")).await;
    site.until_ready(|status, _| status == 200).await;

    site.fill();
    // Enough records to need new pages.
    for n in 0..300 {
        stored(site.put(&format!("{n}-{}", "a".repeat(200)))).await;
    }
    site.until_ready(|status, ready| status == 503 && ready.database == Part::Failing).await;
    stored(site.form("form", true)).await;
    assert_eq!(site.gateway.metric(ADMIN_KEY, "s3up_database_ok").await, 0.0);
    assert!(site.gateway.metric(ADMIN_KEY, "s3up_records_pending").await > 0.0);
    site.gateway.logged("database_write_failed", 1);

    site.free();
    site.until_ready(|status, ready| status == 200 && ready.database == Part::Ok).await;
    site.gateway.logged("database_recovered", 1);
    let rows = "SELECT count(*) FROM files";
    let began = CLOCK.start();
    while sqlite_rows(&site.disk.path().join("gateway.db"), rows).await != ["302"] {
        assert!(began.elapsed() < NOTICED_WITHIN, "the catalogue lacks files");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_for_temporary_files_refuses_only_what_needs_one() {
    if !root_or_skip() {
        return;
    }
    let site = Site::start(false).await;
    stored(site.form("before", true)).await;

    site.fill();
    let refused = site.form("late-path", true).send().await.unwrap();
    assert!(refused.headers().contains_key("retry-after"));
    let refused = problem(refused).await;
    assert_eq!(refused.code, Code::Overloaded);
    assert!(refused.detail.contains("send `path` before `file`"), "{}", refused.detail);
    stored(site.form("path-first", false)).await;
    stored(site.put("raw")).await;
    site.until_ready(|_, ready| ready.temporary_files == Part::Failing).await;
    let (status, ready) = site.gateway.ready().await;
    assert_eq!((status, ready.ready), (StatusCode::OK.as_u16(), true));
    assert_eq!(site.gateway.metric(ADMIN_KEY, "s3up_temporary_files_ok").await, 0.0);
    site.gateway.logged("temporary_files_failed", 1);
    let is_closed = || site.gateway.unnamed_files() == 0;
    assert!(tokio::task::block_in_place(|| s3up_testkit::wait_until(NOTICED_WITHIN, is_closed)));

    site.free();
    site.until_ready(|_, ready| ready.temporary_files == Part::Ok).await;
    site.gateway.logged("temporary_files_recovered", 1);
    stored(site.form("late-path", true)).await;
    site.stop().await;
}
