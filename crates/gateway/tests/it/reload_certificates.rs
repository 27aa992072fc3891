//! A reload that names a broken certificate or key is refused as a whole, and the certificate in force is
//! served meanwhile.

use std::path::{Path, PathBuf};

use crate::fixture::{KEY, config};
use crate::running::Running;

/// Writes a certificate and its key, and returns a client that trusts it alone.
fn write_certificate(directory: &Path, name: &str) -> reqwest::Client {
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let file = |end: &str| directory.join(format!("{name}.{end}"));
    std::fs::write(file("cert"), made.cert.pem()).expect("a file");
    std::fs::write(file("key"), made.signing_key.serialize_pem()).expect("a file");
    let trusted =
        reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).expect("a certificate");
    // No connection is kept, so that each request is a handshake.
    let client = reqwest::Client::builder().tls_certs_only([trusted]).pool_max_idle_per_host(0);
    client.build().expect("a client")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_with_a_broken_certificate_is_refused_and_the_one_before_is_served() {
    let root = tempfile::tempdir().unwrap();
    let s3 = crate::process::s3(&root).await;
    let directory = root.path();
    let (first, second) =
        (write_certificate(directory, "first"), write_certificate(directory, "second"));
    let path = |name: &str| directory.join(name);
    let pem = std::fs::read(path("first.cert")).unwrap();
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("cut"), &pem[..pem.len() / 2]).unwrap();
    std::fs::write(path("text"), "no certificate\n").unwrap();
    std::fs::write(path("binary"), [0, 159, 146, 150].repeat(100)).unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let (old, old_key) = (data.join("version-1-cert.pem"), data.join("version-1-key.pem"));
    let good = config(&s3.endpoint(), &directory.join("gateway.db"));
    let with = |cert: PathBuf, key: PathBuf| {
        let tls =
            format!("port: 0, tls: {{ enabled: true, cert_file: {cert:?}, key_file: {key:?} }}");
        good.replace("port: 0", &tls)
    };
    let file = path("server.yaml");
    std::fs::write(&file, with(path("first.cert"), path("first.key"))).unwrap();
    let gateway = Running::start(&file, &[]);
    let url = gateway.url.replace("127.0.0.1", "localhost");
    let health = async |client: &reqwest::Client| {
        client.get(format!("{url}/health")).send().await.is_ok_and(|it| it.status() == 200)
    };
    #[rustfmt::skip]
    let cases = [
        // certificate         private key           the error contains
        (path("none"),         path("first.key"),    "/none"),
        (path("first.cert"),   path("none"),         "/none"),
        (path("empty"),        path("first.key"),    "/empty: expected a certificate"),
        (path("first.cert"),   path("empty"),        "/empty: expected a private key"),
        (path("cut"),          path("first.key"),    "/cut"),
        (path("text"),         path("first.key"),    "/text: expected a certificate"),
        (path("binary"),       path("first.key"),    "/binary"),
        (path("first.cert"),   path("binary"),       "/binary"),
        (path("first.cert"),   path("first.cert"),   "/first.cert: expected a private key"),
        (path("second.cert"),  path("first.key"),    "does not match"),
        (old,                  old_key,              "version 3"),
        (directory.to_owned(), path("first.key"),    "server.tls"),
    ];
    for (n, (cert, key, want)) in cases.into_iter().enumerate() {
        let name = format!("{cert:?} {key:?}");
        gateway.reload(&with(cert, key));

        let line = gateway.logged("config_refused", n + 1);

        assert!(line.contains(want), "{name}: {line}");
        assert!(!line.contains("BEGIN") && !line.contains(KEY), "{name}: {line}");
        assert!(health(&first).await && !health(&second).await, "{name}");
    }

    gateway.reload(&with(path("second.cert"), path("second.key")));
    gateway.logged("config_reloaded", 1);
    assert!(health(&second).await && !health(&first).await);
    assert!(gateway.stop().await.success());
    s3.stop().await;
}
