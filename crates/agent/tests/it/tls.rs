//! Messages of the agent when a setting prevents a connection.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use s3up_server::TlsFiles;

use crate::fixture::{Host, World};

#[tokio::test]
async fn a_refused_connection_names_what_is_wrong_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let server = certificate(dir.path(), "server", "localhost", IsCa::NoCa);
    let authority = certificate(
        dir.path(),
        "authority",
        "localhost",
        IsCa::Ca(BasicConstraints::Unconstrained),
    );
    let elsewhere = certificate(dir.path(), "elsewhere", "elsewhere.example", IsCa::NoCa);
    let plain = World::start().await;
    let tls = World::with_tls(Some(server.clone())).await;
    let of_authority = World::with_tls(Some(authority.clone())).await;
    let of_elsewhere = World::with_tls(Some(elsewhere.clone())).await;
    let https = |world: &World| world.url().replace("127.0.0.1", "localhost");
    let to_plain = plain.url().replace("http:", "https:");
    let to_tls = tls.url().replace("https:", "http:");

    #[rustfmt::skip]
    let cases = [
        // situation                   URL                    ca_file                message
        ("openssl req -x509",          https(&of_authority),  Some(&authority.cert), "it is the certificate of an authority (CA:TRUE)"),
        ("another name",               https(&of_elsewhere),  Some(&elsewhere.cert), "it is for another name than the host in the URL"),
        ("an unknown authority",       https(&tls),           None,                  "set ca_file to the certificate of its authority"),
        ("http to a port for TLS",     to_tls,                None,                  "its URL has to start with https://"),
        ("https to a port without",    to_plain,              None,                  "its URL has to start with http://"),
    ];
    for (situation, url, ca_file, want) in cases {
        let mut host = Host::new(&url);
        if let Some(file) = ca_file {
            host.edit("api_key:", &format!("ca_file: {file:?}, api_key:"));
        }
        host.write("file", "content");

        let summary = host.scan().await;

        let (_, reason) = summary.not_uploaded.first().unwrap_or_else(|| panic!("{summary}"));
        assert!(reason.contains(want), "{situation}: {reason}");
        let debug = ["CaUsedAsEndEntity", "invalid HTTP", "OtherError", ".rs:", ".cargo"];
        assert!(!debug.iter().any(|text| reason.contains(text)), "{situation}: {reason}");
    }
}

#[tokio::test]
async fn an_error_of_the_ca_file_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (name, content) in [("empty", ""), ("text", "not PEM"), ("garbage", garbage)] {
        let file = dir.path().join(name);
        fs::write(&file, content).unwrap();
        assert!(message(&file).await.contains(&format!("{file:?}")), "{name}");
    }
    let missing = dir.path().join("missing");
    let text = message(&missing).await;
    assert!(text.contains(&format!("{missing:?}")) && text.contains("No such file"), "{text}");
}

/// Returns what `s3up get` prints with this `server.ca_file`.
async fn message(ca_file: &Path) -> String {
    let mut host = Host::new("https://localhost:1");
    host.edit("api_key:", &format!("ca_file: {ca_file:?}, api_key:"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_s3up"));
    command.arg("--config").arg(host.config_file()).args(["get", "uploads/a", "-o", "-"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("a thread").expect("a program that runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

pub fn certificate(dir: &Path, file: &str, name: &str, is_ca: IsCa) -> TlsFiles {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    params.is_ca = is_ca;
    let certificate = params.self_signed(&key).expect("a certificate");
    let path = |ending: &str| -> PathBuf { dir.join(format!("{file}.{ending}")) };
    fs::write(path("pem"), certificate.pem()).expect("a written file");
    fs::write(path("key"), key.serialize_pem()).expect("a written file");
    TlsFiles { cert: path("pem"), key: path("key") }
}
