//! The program: output, exit codes and memory.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{RestoreRequest, StorageClass};
use rustix::process::{Pid, Signal, kill_process};
use s3up_devstore::Options;

use crate::support::{client, is_broken, status, time_of};

const BUCKET: &str = "from-the-command-line";

#[tokio::test]
async fn it_prints_one_line_serves_and_stops_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let root = tempfile::tempdir().unwrap();
        let mut program = Program::start(root.path());
        let s3 = client(&program.endpoint, Options::ACCESS_KEY_ID, Options::SECRET_ACCESS_KEY);

        s3.put_object().bucket(BUCKET).key("key").send().await.unwrap();
        let versioning = s3.get_bucket_versioning().bucket(BUCKET).send().await.unwrap();
        let (code, rest) = program.stop(signal);

        assert_eq!(versioning.status().unwrap().as_str(), "Enabled");
        assert_eq!((code, rest.as_str()), (Some(0), ""));
    }
}

#[tokio::test]
async fn a_large_object_passes_in_little_memory() {
    let root = tempfile::tempdir().unwrap();
    let mut program = Program::start(root.path());
    let s3 = client(&program.endpoint, Options::ACCESS_KEY_ID, Options::SECRET_ACCESS_KEY);
    let path = root.path().join("large");
    File::create(&path).unwrap().set_len(256 << 20).unwrap();

    // Once unchanged, and once in chunks with a trailing checksum.
    for when in
        [RequestChecksumCalculation::WhenRequired, RequestChecksumCalculation::WhenSupported]
    {
        let stream = ByteStream::from_path(&path).await.unwrap();
        let put = s3.put_object().bucket(BUCKET).key("large").body(stream).customize();
        let how = aws_sdk_s3::Config::builder().request_checksum_calculation(when);
        put.config_override(how).send().await.unwrap();
    }
    let mut got = s3.get_object().bucket(BUCKET).key("large").send().await.unwrap();
    let mut len = 0;
    while let Some(chunk) = got.body.try_next().await.unwrap() {
        len += chunk.len();
    }
    let peak_kib = program.peak_kib();
    program.stop(Signal::TERM);

    assert_eq!(len, 256 << 20);
    assert!(peak_kib < 64 << 10, "256 MiB went through {peak_kib} KiB of memory");
}

#[tokio::test]
async fn a_kill_during_an_upload_leaves_no_object_and_no_file() {
    let root = tempfile::tempdir().unwrap();
    let mut program = Program::start(root.path());
    let s3 = client(&program.endpoint, Options::ACCESS_KEY_ID, Options::SECRET_ACCESS_KEY);
    let path = root.path().join("large");
    File::create(&path).unwrap().set_len(4 << 30).unwrap();
    let stream = ByteStream::from_path(&path).await.unwrap();
    let putting = tokio::spawn(s3.put_object().bucket(BUCKET).key("large").body(stream).send());
    let tmp = root.path().join("data/tmp");
    while !has_bytes(&tmp) {
        tokio::task::yield_now().await;
    }

    program.stop(Signal::KILL);
    assert!(is_broken(&putting.await.unwrap()));
    let program = Program::start(root.path());

    let s3 = client(&program.endpoint, Options::ACCESS_KEY_ID, Options::SECRET_ACCESS_KEY);
    let listed = s3.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert_eq!(listed.contents().len(), 0);
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
}

#[tokio::test]
async fn acknowledged_writes_survive_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let mut program = Program::start(root.path());
    let s3 = client(&program.endpoint, Options::ACCESS_KEY_ID, Options::SECRET_ACCESS_KEY);
    let put = || s3.put_object().bucket(BUCKET).key("key");
    put().body(ByteStream::from_static(b"old")).send().await.unwrap();
    put().body(ByteStream::from_static(b"new")).send().await.unwrap();
    s3.delete_object().bucket(BUCKET).key("key").send().await.unwrap();
    let cold = s3.put_object().bucket(BUCKET).key("cold").storage_class(StorageClass::Glacier);
    cold.body(ByteStream::from_static(b"cold")).send().await.unwrap();
    let restore = s3.restore_object().bucket(BUCKET).key("cold");
    restore.restore_request(RestoreRequest::builder().days(1).build()).send().await.unwrap();
    let started = s3.create_multipart_upload().bucket(BUCKET).key("parts").send().await.unwrap();
    let id = started.upload_id().unwrap();
    let part = s3.upload_part().bucket(BUCKET).key("parts").upload_id(id).part_number(1);
    part.body(ByteStream::from_static(b"part")).send().await.unwrap();
    send_command(&program, "faults", r#"{"op":"ListParts","nth":9,"fault":{"kind":"stall"}}"#)
        .await;
    send_command(&program, "clock", r#"{"advance_seconds":60}"#).await;

    program.stop(Signal::KILL);
    let program = Program::start(root.path());

    let s3 = client(&program.endpoint, Options::ACCESS_KEY_ID, Options::SECRET_ACCESS_KEY);
    let versions = s3.list_object_versions().bucket(BUCKET).prefix("key").send().await.unwrap();
    assert_eq!((versions.versions().len(), versions.delete_markers().len()), (2, 1));
    let got = s3.get_object().bucket(BUCKET).key("cold").send().await.unwrap();
    assert!(got.restore().is_some());
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"cold");
    let parts = s3.list_parts().bucket(BUCKET).key("parts").upload_id(id).send().await.unwrap();
    assert_eq!(parts.parts()[0].size(), Some(4));
}

#[test]
fn a_directory_that_cannot_be_created_is_reported_in_one_line_with_exit_code_1() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let root = file.path().join("below-a-file");

    let output = run(&["--root", root.to_str().unwrap()]);

    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("s3up-devstore: open the data directory: open "), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn every_call_waits_for_the_latency() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start_with(directory.path(), &["--latency-ms", "80"]);
    let duration = time_of(async {
        let answer = reqwest::get(&program.endpoint).await.unwrap();
        assert_eq!(answer.status(), 403, "it has no signature");
    });

    assert!(duration.await >= Duration::from_millis(80));
}

#[tokio::test]
async fn it_behaves_like_the_server_that_it_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start_with(directory.path(), &["--like", "swift"]);
    let s3 = client(&program.endpoint, Options::ACCESS_KEY_ID, Options::SECRET_ACCESS_KEY);

    let put = s3.put_object().bucket(BUCKET).key("key").if_none_match("*").send().await;

    assert_eq!(status(put), 501);
}

#[test]
fn a_usage_error_has_exit_code_2() {
    assert_eq!(run(&["--root"]).status.code(), Some(2));
    assert_eq!(run(&["--root", "x", "--listen", "nowhere"]).status.code(), Some(2));
    assert_eq!(run(&["--root", "x", "--like", "s4"]).status.code(), Some(2));
}

#[test]
fn the_help_shows_no_secret_of_the_environment() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3up-devstore"));
    let output = command.arg("--help").env("S3UP_DEVSTORE_SECRET_ACCESS_KEY", "hush").output();
    let help = String::from_utf8(output.unwrap().stdout).unwrap();

    assert!(help.contains("[default: devstore]"), "{help}");
    assert!(help.contains("(default: devstore-secret)"), "{help}");
    assert!(!help.contains("hush"), "{help}");
}

struct Program {
    child: Child,
    endpoint: String,
}

impl Program {
    fn start(root: &Path) -> Program {
        Program::start_with(root, &[])
    }

    fn start_with(root: &Path, more: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_s3up-devstore"));
        command.arg("--root").arg(root.join("data"));
        command.args(["--listen", "127.0.0.1:0", "--bucket", BUCKET, "--versioned"]).args(more);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("stdout is piped");
        // The buffer is dropped, but the program prints nothing after this line.
        BufReader::new(stdout).read_line(&mut line).expect("the program prints a line");
        let endpoint =
            line.trim_end().strip_prefix("listening on ").expect("the line with the endpoint");
        Program { endpoint: endpoint.to_owned(), child }
    }

    fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the program runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let text = line.expect("a peak").trim().trim_end_matches(" kB");
        text.parse().expect("a number")
    }

    /// Sends a signal; returns the exit code and the rest of the output.
    fn stop(&mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), signal).expect("the program runs");
        let mut rest = String::new();
        let stdout = self.child.stdout.as_mut().expect("stdout is piped");
        stdout.read_to_string(&mut rest).expect("stdout is text");
        (self.child.wait().expect("the program ends").code(), rest)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails where it was stopped before, which is the usual case.
        self.child.kill().ok();
    }
}

/// Sends a command to the control endpoint.
async fn send_command(program: &Program, path: &str, body: &'static str) {
    let url = format!("{}/_control/{path}", program.endpoint);
    let answer = reqwest::Client::new().post(url).body(body).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
}

fn has_bytes(dir: &Path) -> bool {
    let files = fs::read_dir(dir).expect("a readable directory").flatten();
    files.filter_map(|file| file.metadata().ok()).any(|metadata| metadata.len() > 0)
}

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3up-devstore"));
    command.args(args).output().expect("the program runs")
}
