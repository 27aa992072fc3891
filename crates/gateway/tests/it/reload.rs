//! Reloads of the configuration, and files that are renewed, while the real process serves.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use s3up_core::wire::Part;
use s3up_core::{Code, Sha256Digest};
use s3up_devstore::{DevStore, Op, Options, Versioning};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

use crate::concurrency::open_body;
use crate::fixture::{BUCKET, KEY, MIB, OTHER_KEY, config, noise, problem};
use crate::running::Running;
use crate::tls_front::TlsFront;

const NEW_KEY: &str = "sk_live_rotated_012345678901234567890123456789";
const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
/// Longest time until a renewed file is used, as docs/configuration.md promises it.
const RENEWAL_MAX: Duration = Duration::from_secs(15);

struct World {
    root: TempDir,
    s3: DevStore,
    good: String,
}

impl World {
    async fn new() -> World {
        let root = tempfile::tempdir().expect("success");
        let s3 = DevStore::start(Options::new(root.path().join("s3"))).await.expect("success");
        s3.create_bucket(BUCKET, Versioning::Enabled).await.expect("success");
        let good = config(&s3.endpoint(), &root.path().join("gateway.db"));
        std::fs::write(root.path().join("server.yaml"), &good).expect("success");
        World { root, s3, good }
    }

    fn start(&self, args: &[&str]) -> Running {
        Running::start(&self.root.path().join("server.yaml"), args)
    }
}

fn put(gateway: &Running, path: &str, key: &str) -> reqwest::RequestBuilder {
    reqwest::Client::new().put(format!("{}/files/{path}", gateway.url)).bearer_auth(key)
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    request.send().await.expect("success").status().as_u16()
}

/// Returns true if `GET /metrics` has exactly this line.
async fn has_metric(gateway: &Running, line: &str) -> bool {
    let request = reqwest::Client::new().get(format!("{}/metrics", gateway.url));
    let answer = request.bearer_auth(ADMIN_KEY).send().await.expect("a response");
    assert_eq!(answer.status().as_u16(), 200);
    answer.text().await.expect("text").lines().any(|found| found == line)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_rotated_while_an_upload_runs() {
    let world = World::new().await;
    let gateway = world.start(&[]);
    let (open, body) = open_body(noise(9 * MIB));
    let upload = tokio::spawn(put(&gateway, "running", KEY).body(body).send());
    world.s3.faults().called(Op::UploadPart, 1).await;

    let both = world
        .good
        .replace(&format!("api_key: \"{KEY}\""), &format!("api_keys: [\"{KEY}\", \"{NEW_KEY}\"]"));
    gateway.reload(&both);
    let reloaded = gateway.logged("config_reloaded", 1);

    assert!(reloaded.contains(" keys_added=1 keys_removed=0"), "{reloaded}");
    assert_eq!(status(put(&gateway, "new", NEW_KEY).body("x")).await, 200);
    drop(open);
    assert_eq!(upload.await.unwrap().unwrap().status().as_u16(), 200);
    assert!(gateway.stop().await.success());
    let database = SqliteConnectOptions::new().filename(world.root.path().join("gateway.db"));
    let mut database = database.connect().await.unwrap();
    let query = "SELECT last_used_at FROM keys WHERE key_sha256 = $1";
    let key = Sha256Digest::of(NEW_KEY.as_bytes()).to_string();
    let used: Option<i64> =
        sqlx::query_scalar(query).bind(key).fetch_one(&mut database).await.unwrap();
    assert!(used.is_some(), "the new key and its use are recorded");
    world.s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_key_is_removed_meanwhile_stores_nothing() {
    let world = World::new().await;
    let gateway = world.start(&[]);
    // One of several parts, and one whose only part is not complete yet.
    let (long_open, long) = open_body(noise(9 * MIB));
    let (short_open, short) = open_body(noise(100));
    let long = tokio::spawn(put(&gateway, "long", KEY).body(long).send());
    let short = tokio::spawn(put(&gateway, "short", KEY).body(short).send());
    world.s3.faults().called(Op::UploadPart, 1).await;

    gateway.reload(&world.good.replace(KEY, NEW_KEY));
    let reloaded = gateway.logged("config_reloaded", 1);
    drop((long_open, short_open));

    assert!(reloaded.contains(" keys_added=1 keys_removed=1"), "{reloaded}");
    for upload in [long, short] {
        let refused = problem(upload.await.unwrap().unwrap()).await;
        assert_eq!(refused.code, Code::Unauthorized, "{refused:?}");
    }
    assert_eq!(status(put(&gateway, "later", KEY).body("x")).await, 401);
    assert_eq!(status(put(&gateway, "later", NEW_KEY).body("x")).await, 200);
    assert!(gateway.stop().await.success());
    let stored: Vec<_> = world.s3.objects(BUCKET).into_keys().collect();
    assert!(stored.contains(&"sites/webapp/later".to_owned()), "{stored:?}");
    assert!(!stored.iter().any(|key| key.ends_with("/long") || key.ends_with("/short")));
    assert_eq!(world.s3.uploads(BUCKET), Vec::<String>::new());
    world.s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_configuration_is_refused_and_the_one_before_stays_in_force() {
    let world = World::new().await;
    let good = &format!("admin_keys: [{ADMIN_KEY}]\n{}", world.good);
    std::fs::write(world.root.path().join("server.yaml"), good).unwrap();
    let gateway = world.start(&[]);
    let first_key = good.find("clients:").unwrap() + 120;
    #[rustfmt::skip]
    let cases = [
        ("an empty file",     String::new(),                                     "the file is empty"),
        ("half of the file",  good[..good.len() / 2].to_owned(),                 "server.yaml"),
        ("half of a client",  good[..first_key].to_owned(),                      "server.yaml"),
        ("no clients",        good[..good.find("  - {").unwrap()].to_owned(),    "clients"),
        ("a duplicate key",   good.replace("region:", "region: a\n  region:"),   "region"),
        ("a client twice",    good.replace("webapp-prod", "webapp"),             "expected a name of its own"),
        ("an unknown key",    good.replace("region:", "regoin: a\n  region:"),   "did you mean"),
        ("not YAML",          "{{{".to_owned(),                                  "server.yaml"),
        ("a wrong secret",    good.replace("devstore-secret", "wrong"),          "S3 refuses the new settings"),
    ];
    for (n, (name, text, want)) in cases.iter().enumerate() {
        gateway.reload(text);
        let line = gateway.logged("config_refused", n + 1);

        assert!(line.contains(want), "{name}: {line}");
        assert!(!line.contains(KEY) && !line.contains("devstore-secret"), "{name}: {line}");
        assert_eq!(status(put(&gateway, &format!("file-{n}"), KEY).body("x")).await, 200, "{name}");
        let (status, ready) = gateway.ready().await;
        assert_eq!((status, ready.ready, ready.config), (200, true, Part::Failing), "{name}");
        assert_eq!(ready.configs_refused, n as u64 + 1, "{name}");
    }
    std::fs::remove_file(&gateway.config).unwrap();
    gateway.signal("HUP");
    gateway.logged("config_refused", cases.len() + 1);
    assert!(has_metric(&gateway, "s3up_config_ok 0.0").await);

    gateway.reload(&good.replace("port: 0", "port: 1"));

    assert!(gateway.logged("config_needs_restart", 1).contains("keys=server.port"));
    let (status, ready) = gateway.ready().await;
    assert_eq!((status, ready.config), (200, Part::Ok));
    assert!(has_metric(&gateway, "s3up_config_ok 1.0").await);
    assert_eq!(ready.configs_refused, cases.len() as u64 + 1);
    assert!(gateway.stop().await.success());
    world.s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_rights_and_limits() {
    let world = World::new().await;
    let gateway = world.start(&[]);
    assert_eq!(status(put(&gateway, "a", KEY).body("x")).await, 200);

    let limited = world.good.replace("max_file_size_mb: 40", "allow: [exists]");
    gateway.reload(&limited);
    let reloaded = gateway.logged("config_reloaded", 1);

    assert!(reloaded.contains("clients_changed=webapp"), "{reloaded}");
    assert_eq!(status(put(&gateway, "b", KEY).body("x")).await, 403);
    let added = format!("{limited}  - {{ name: \"new\", api_key: \"{NEW_KEY}\" }}\n");
    gateway.reload(&added);
    assert!(gateway.logged("config_reloaded", 2).contains("clients_added=new"));
    assert_eq!(status(put(&gateway, "b", NEW_KEY).body("x")).await, 200);
    assert!(gateway.stop().await.success());
    world.s3.stop().await;
}

fn write_certificate(directory: &Path, name: &str) -> reqwest::Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("success");
    std::fs::write(directory.join(format!("{name}.key")), made.signing_key.serialize_pem())
        .expect("success");
    std::fs::write(directory.join(format!("{name}.cert")), made.cert.pem()).expect("success");
    reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).expect("success")
}

/// Returns a client that trusts one certificate. Each has connections of its own.
fn trusting(certificate: &reqwest::Certificate) -> reqwest::Client {
    reqwest::Client::builder().tls_certs_only([certificate.clone()]).build().expect("success")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_served_and_a_wrong_one_is_not() {
    let world = World::new().await;
    let directory = world.root.path();
    let (first, second) =
        (write_certificate(directory, "first"), write_certificate(directory, "second"));
    let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    let install = |name: &str, path: &Path| {
        let new = path.with_extension("new");
        std::fs::copy(directory.join(name), &new).unwrap();
        std::fs::rename(&new, path).unwrap();
    };
    install("first.cert", &cert);
    install("first.key", &key);
    let tls = format!("port: 0, tls: {{ enabled: true, cert_file: {cert:?}, key_file: {key:?} }}");
    let text = world.good.replace("port: 0", &tls);
    std::fs::write(directory.join("server.yaml"), text).unwrap();
    let gateway = world.start(&[]);
    let url = gateway.url.replace("127.0.0.1", "localhost");
    let health = async |certificate: &reqwest::Certificate| {
        trusting(certificate).get(format!("{url}/health")).send().await.is_ok()
    };
    let (open, body) = open_body(noise(9 * MIB));
    let upload = trusting(&first).put(format!("{url}/files/a")).bearer_auth(KEY).body(body);
    let upload = tokio::spawn(upload.send());
    world.s3.faults().called(Op::UploadPart, 1).await;

    // The key is missing, so the files do not belong together.
    install("second.cert", &cert);
    let line = gateway.logged("certificate_not_renewed", 1);
    assert!(line.contains("does not match"), "{line}");
    assert!(health(&first).await && !health(&second).await);
    install("second.key", &key);
    gateway.logged("certificate_renewed", 1);

    assert!(health(&second).await && !health(&first).await);
    std::fs::write(&cert, "-----BEGIN CERTIF").unwrap();
    gateway.logged("certificate_not_renewed", 2);
    assert!(health(&second).await);
    drop(open);
    assert_eq!(upload.await.unwrap().unwrap().status().as_u16(), 200);
    assert!(gateway.stop().await.success());
    world.s3.stop().await;
}

/// A file with S3 credentials, as one of the two programs that renew it writes it.
#[derive(Clone, Copy, Debug)]
enum CredentialsFile {
    /// For `--env-file`.
    Env,
    /// The one of the AWS SDK.
    Shared,
}

impl CredentialsFile {
    fn write(self, path: &Path, secret: &str) {
        let text = match self {
            CredentialsFile::Env => format!("S3_ID=devstore\nS3_SECRET={secret}\n"),
            CredentialsFile::Shared => format!(
                "[default]\naws_access_key_id = devstore\naws_secret_access_key = {secret}\n"
            ),
        };
        let new = path.with_extension("new");
        std::fs::write(&new, text).expect("success");
        std::fs::rename(new, path).expect("success");
    }

    /// Returns the configuration that uses the file.
    fn config(self, good: &str) -> String {
        let (id, secret) = match self {
            CredentialsFile::Env => ("${S3_ID}", "${S3_SECRET}"),
            CredentialsFile::Shared => ("", ""),
        };
        let text = good.replace("\"devstore\"", &format!("{id:?}"));
        text.replace("\"devstore-secret\"", &format!("{secret:?}"))
    }

    fn start(self, config: &Path, file: &Path) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_s3up-server"));
        match self {
            CredentialsFile::Env => {
                Running::start_by(command, config, &["--env-file", file.to_str().expect("success")])
            }
            CredentialsFile::Shared => {
                command.env("AWS_SHARED_CREDENTIALS_FILE", file);
                command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
                Running::start_by(command, config, &[])
            }
        }
    }
}

/// S3 gets a certificate of another CA, and the file with the CA is renewed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_ca_file_of_s3_is_used() {
    let world = World::new().await;
    let ca_file = world.root.path().join("ca.pem");
    let write_ca = |text: &str| {
        let new = ca_file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &ca_file).unwrap();
    };
    let address = world.s3.endpoint().strip_prefix("http://").unwrap().to_owned();
    let (front, first) = TlsFront::start(address).await;
    write_ca(&first);
    let text = world.good.replace(&world.s3.endpoint(), &front.endpoint());
    let text = text.replace("  region:", &format!("  ca_file: {ca_file:?}\n  region:"));
    std::fs::write(world.root.path().join("server.yaml"), text).unwrap();
    let gateway = world.start(&[]);
    assert_eq!(status(put(&gateway, "a", KEY).body("x")).await, 200);

    let second = front.renew();
    let renewed = s3up_testkit::CLOCK.start();
    write_ca(&second);
    gateway.logged("credentials_renewed", 1);
    let (waited, stored) = (renewed.elapsed(), put(&gateway, "b", KEY).body("x"));

    assert!(waited < RENEWAL_MAX, "used after {waited:?}");
    assert_eq!(status(stored).await, 200);
    assert!(front.handshakes() > 0, "the new certificate of S3 was not asked for");
    assert!(gateway.stop().await.success());
    world.s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewed_s3_credentials_are_used_also_by_an_upload_in_progress() {
    for kind in [CredentialsFile::Env, CredentialsFile::Shared] {
        let mut world = World::new().await;
        let directory = world.root.path().to_owned();
        let (file, config) = (directory.join("credentials"), directory.join("server.yaml"));
        kind.write(&file, "devstore-secret");
        std::fs::write(&config, kind.config(&world.good)).unwrap();
        let gateway = kind.start(&config, &file);
        let content = noise(100);
        let digest = Sha256Digest::of(&content).to_repr_digest();
        let (open, body) = open_body(content);
        let heads = world.s3.faults().calls(Op::HeadObject);
        // The path of a file that may not be overwritten is always checked.
        let upload = put(&gateway, "running.jpg", OTHER_KEY).header("repr-digest", digest);
        let upload = tokio::spawn(upload.body(body).send());
        world.s3.faults().called(Op::HeadObject, heads + 1).await;
        // Another request to S3, so that the answer to this one has arrived as well: a request that
        // runs while the credentials change is refused.
        let exists = reqwest::Client::new().get(format!("{}/exists?path=a", gateway.url));
        assert_eq!(status(exists.bearer_auth(KEY)).await, 200, "{kind:?}");

        // The server with the old secret is gone; the new one has the same data.
        let listen = world.s3.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
        world.s3.stop().await;
        let options = Options::new(directory.join("s3"));
        let options = Options { listen, secret_access_key: "renewed".to_owned(), ..options };
        world.s3 = DevStore::start(options).await.unwrap();
        kind.write(&file, "half-of");
        let line = gateway.logged("credentials_not_renewed", 1);
        assert!(line.contains("S3 refuses") && !line.contains("half-of"), "{kind:?}: {line}");
        kind.write(&file, "renewed");
        gateway.logged("credentials_renewed", 1);

        assert_eq!(status(put(&gateway, "new", KEY).body("x")).await, 200, "{kind:?}");
        drop(open);
        assert_eq!(upload.await.unwrap().unwrap().status().as_u16(), 200, "{kind:?}");
        assert!(gateway.stop().await.success());
        world.s3.stop().await;
    }
}
