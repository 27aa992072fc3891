//! Tests of the sources of credentials, and of their renewal.
//!
//! The SDK reads the environment of its process, so each case runs in a child
//! process: this test program, called with one test and its own environment.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use s3up_core::Key;
use s3up_devstore::{Op, Options};
use s3up_store::{
    Credentials, Overwrite, PutDocument, Settings, Store, StoreErrorKind, UploadError,
};

use crate::fixture::{self, World};

/// Endpoint of the server; set only in a child.
const ENDPOINT: &str = "S3UP_TEST_ENDPOINT";
const WRITES: u64 = 3;
const ID: &str = Options::ACCESS_KEY_ID;
const SECRET: &str = Options::SECRET_ACCESS_KEY;

/// In a child, writes a few documents with the credentials that it finds. In an
/// ordinary test run it does nothing.
#[tokio::test]
async fn a_child_writes_with_the_credentials_it_finds() {
    let Some(endpoint) = std::env::var_os(ENDPOINT) else { return };
    let endpoint = endpoint.into_string().expect("a URL");
    let settings =
        Settings { credentials: Credentials::DefaultChain, ..fixture::settings(endpoint) };
    let store = Store::connect(settings).await.unwrap();
    let mut result = "stored".to_owned();
    for n in 0..WRITES {
        let put = PutDocument {
            metadata: std::collections::BTreeMap::new(),
            key: Key::parse(&format!("{n}")).unwrap(),
            content_type: "text/plain",
            storage_class: None,
            overwrite: Overwrite::Allowed,
            retry_for: Duration::ZERO,
        };
        if let Err(UploadError::Store(err)) = store.write(put, b"x").await {
            result = format!("{:?}", err.kind);
        }
    }
    println!("\nthe child reports: {result}");
}

#[tokio::test]
async fn credentials_are_found_in_the_environment_and_in_profiles() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials");
    let both = format!(
        "[default]\naws_access_key_id = stranger\naws_secret_access_key = none\n\n\
         [backup]\naws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\n"
    );
    std::fs::write(&file, both).unwrap();
    let file = file.to_str().unwrap();
    let in_file = ("AWS_SHARED_CREDENTIALS_FILE", file);
    #[rustfmt::skip]
    let cases = [
        (vec![("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)],  "stored".to_owned()),
        (vec![("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", "wrong")], kind(StoreErrorKind::BadCredentials)),
        (vec![in_file, ("AWS_PROFILE", "backup")],                            "stored".to_owned()),
        (vec![in_file],                                                       kind(StoreErrorKind::BadCredentials)),
        (vec![],                                                              kind(StoreErrorKind::NoCredentials)),
    ];
    let world = World::start().await;
    for (environment, want) in cases {
        let found = run_child(&world, directory.path(), &environment).await;
        assert_eq!(found, want, "{environment:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn credentials_that_expire_are_renewed() {
    let directory = tempfile::tempdir().unwrap();
    let (program, count) = (directory.path().join("issue"), directory.path().join("count"));
    // Credentials that expire within ten seconds are renewed before the next call.
    let script = format!(
        "#!/bin/sh\necho issued >> {}\nexpiry=$(date -u -d '+5 seconds' +%Y-%m-%dT%H:%M:%SZ)\n\
         echo '{{\"Version\": 1, \"AccessKeyId\": \"{ID}\", \"SecretAccessKey\": \"{SECRET}\", '\
         '\"Expiration\": \"'$expiry'\"}}'\n",
        count.display()
    );
    let mut file = std::fs::File::create(&program).unwrap();
    file.write_all(script.as_bytes()).unwrap();
    file.set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
    drop(file);
    let config = directory.path().join("config");
    let text = format!("[default]\ncredential_process = {}\n", program.display());
    std::fs::write(&config, text).unwrap();
    let world = World::start().await;

    let environment = [("AWS_CONFIG_FILE", config.to_str().unwrap())];
    let found = run_child(&world, directory.path(), &environment).await;

    assert_eq!(found, "stored");
    let issued = std::fs::read_to_string(&count).unwrap().lines().count() as u64;
    assert!(issued >= WRITES, "issued {issued} times for {WRITES} calls");
    assert_eq!(world.calls(Op::PutObject), WRITES);
    world.stop().await;
}

fn kind(kind: StoreErrorKind) -> String {
    format!("{kind:?}")
}

/// Runs a child with this environment and no other; returns what it reports.
async fn run_child(world: &World, home: &Path, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args([
            "--exact",
            "credentials::a_child_writes_with_the_credentials_it_finds",
            "--nocapture",
        ])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .env(ENDPOINT, world.s3.endpoint())
        .envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("no panic").expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains(SECRET), "no secret is printed");
    let line = text.lines().find_map(|line| line.strip_prefix("the child reports: "));
    line.unwrap_or_else(|| panic!("the child reports nothing: {text}")).to_owned()
}
