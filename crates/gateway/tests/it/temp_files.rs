//! Forms whose file comes before its path wait on the disk of the gateway. Nothing of them stays there.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use s3up_core::Code;
use s3up_testkit::wait_until;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::fixture::{BUCKET, KEY, MIB, config, noise, problem, stored};
use crate::process::s3;
use crate::running::Running;

/// Longest wait for the gateway to notice that a client is gone.
const WAIT_MAX: Duration = Duration::from_secs(60);

fn file(content: Vec<u8>) -> Form {
    Form::new().part("file", Part::bytes(content))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_form_with_the_file_first_stays_on_the_disk() {
    let root = tempfile::tempdir().expect("a directory");
    let s3 = s3(&root).await;
    let config_file = root.path().join("server.yaml");
    let text = config(&s3.endpoint(), &root.path().join("gateway.db"));
    std::fs::write(&config_file, text).expect("a file");
    let dir = root.path().join("forms");
    std::fs::create_dir(&dir).expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3up-server"));
    command.env("TMPDIR", &dir);
    let gateway = Running::start_by(command, &config_file, &[]);
    let http = reqwest::Client::new();
    let post = |form| http.post(format!("{}/upload", gateway.url)).bearer_auth(KEY).multipart(form);
    let is_clean = |dir: &Path| {
        let is_open = gateway.open_files().iter().any(|open| open.starts_with(dir));
        !is_open && std::fs::read_dir(dir).expect("the directory").next().is_none()
    };

    #[rustfmt::skip]
    let refused = [
        (file(noise(41 * MIB)).text("path", "a"),                             Code::TooLarge),
        (file(noise(MIB)).text("path", "../a"),                               Code::BadPath),
        (file(noise(MIB)),                                                    Code::BadRequest),
        (file(noise(MIB)).text("path", "a").text("sha256", "0".repeat(64)),   Code::DigestMismatch),
    ];
    for (form, code) in refused {
        let answer = post(form).send().await.expect("a response");
        assert_eq!(problem(answer).await.code, code);
        assert!(wait_until(WAIT_MAX, || is_clean(&dir)), "{code:?}: {:?}", gateway.open_files());
    }
    // A client that goes away in the middle. Its file is on the disk before that.
    let address = gateway.url.strip_prefix("http://").expect("a URL");
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 9000000\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.expect("a head that is sent");
    socket.write_all(&noise(MIB)).await.expect("a part that is sent");
    assert!(wait_until(WAIT_MAX, || !is_clean(&dir)), "it does not wait on the disk");
    drop(socket);
    assert!(wait_until(WAIT_MAX, || is_clean(&dir)), "{:?}", gateway.open_files());
    stored(post(file(noise(MIB)).text("path", "good"))).await;
    assert!(wait_until(WAIT_MAX, || is_clean(&dir)), "{:?}", gateway.open_files());

    assert!(gateway.stop().await.success());
    let mut objects: Vec<_> = s3.objects(BUCKET).into_keys().collect();
    objects.retain(|key| !key.ends_with("/.s3up-probe"));
    assert_eq!(objects, ["sites/webapp/good"]);
    assert_eq!(s3.uploads(BUCKET), Vec::<String>::new());
    s3.stop().await;
}
