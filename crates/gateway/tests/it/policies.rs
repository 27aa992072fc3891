//! The IAM policy of the gateway in `packaging/aws`: it has every action that the gateway and its
//! commands need, and no other.

use std::os::unix::fs::PermissionsExt;

use reqwest::StatusCode;
use s3up_core::Sha256Digest;
use s3up_testkit::{CallRecord, Policy, S3Client};

use crate::fixture::{BUCKET, KEY, MIB, OTHER_KEY, config, noise};
use crate::process::{program, s3};
use crate::running::Running;

const LIFECYCLE: &str = include_str!("../../../../packaging/aws/lifecycle.json");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_and_its_commands_need_the_actions_of_its_policy() {
    let root = tempfile::tempdir().unwrap();
    let s3 = s3(&root).await;
    let file = root.path().join("server.yaml");
    let text = config(&s3.endpoint(), &root.path().join("gateway.db"));
    std::fs::write(&file, text.replace("max_file_size_mb: 40", "quota_gb: 1")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let policy = Policy::read("s3up-server.json");
    S3Client::new(&s3, BUCKET).put_lifecycle(LIFECYCLE).await;
    policy.enforce(&s3);
    let record = CallRecord::start(&s3);

    let gateway = Running::start(&file, &[]);
    let http = reqwest::Client::new();
    let put = |path: &str, key: &str, body: Vec<u8>| {
        http.put(format!("{}/files/{path}", gateway.url)).bearer_auth(key).body(body)
    };
    let get = |path: &str| http.get(format!("{}{path}", gateway.url)).bearer_auth(KEY);
    let long = noise(20 * MIB);
    let wrong = Sha256Digest::of(b"else").to_repr_digest();
    let digest = Sha256Digest::of(b"short").to_repr_digest();
    let patch = http.patch(format!("{}/files/short", gateway.url)).bearer_auth(KEY);
    #[rustfmt::skip]
    let requests = [
        (put("short", KEY, b"short".to_vec()),                                    StatusCode::OK),
        (put("long", KEY, long.clone()),                                          StatusCode::OK),
        (put("long", KEY, long.clone()).header("repr-digest", wrong),             StatusCode::UNPROCESSABLE_ENTITY),
        (put("a.jpg", OTHER_KEY, long.clone()),                                   StatusCode::OK),
        (put("a.jpg", OTHER_KEY, b"else".to_vec()),                               StatusCode::CONFLICT),
        (patch.header("x-mode", "0600").header("repr-digest", digest),            StatusCode::OK),
        (get("/exists?path=long"),                                                StatusCode::OK),
        (get("/exists?path=none"),                                                StatusCode::OK),
        (get("/download?path=long"),                                              StatusCode::OK),
        (get("/list"),                                                            StatusCode::OK),
        (get("/versions?path=short"),                                             StatusCode::OK),
        (get("/ready"),                                                           StatusCode::OK),
    ];
    for (request, status) in requests {
        let response = request.send().await.expect("a response");
        let (url, found) = (response.url().clone(), response.status());
        let body = response.bytes().await.expect("a body");
        assert_eq!(found, status, "{url}: {}", String::from_utf8_lossy(&body));
    }
    let log = gateway.log().join("\n");
    assert!(!log.contains("denied"), "{log}");
    assert!(gateway.stop().await.success());
    let commands: [&[&str]; 4] =
        [&["doctor"], &["check-config", "--online"], &["sweep"], &["rebuild"]];
    for args in commands {
        let mut command = program();
        command.arg("--config").arg(&file).args(args);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        let printed =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(!printed.contains("denied"), "{args:?}: {printed}");
        // The lifecycle rules of packaging/aws are what it advises.
        assert!(
            !printed.contains("warning") && !printed.contains("problem"),
            "{args:?}: {printed}"
        );
    }

    record.assert_all_needed(&s3, &policy);
    s3.stop().await;
}
