//! Wrong settings are reported at start.

use std::time::Duration;

use s3up_core::KeyPrefix;
use s3up_devstore::{self as devstore, DevStore, Op, Options};
use s3up_store::{Credentials, Profile, Settings, Store, StoreErrorKind};

use crate::fixture::{World, put, settings};
use crate::proxy::Proxy;

async fn probe(settings: Settings) -> Result<s3up_store::Versioning, StoreErrorKind> {
    let store = Store::connect(settings).await.expect("no file is needed");
    let probed = store.probe(&KeyPrefix::default(), Duration::ZERO).await;
    probed.map_err(|err| err.kind)
}

#[tokio::test]
async fn the_probe_reports_which_setting_is_wrong() {
    let root = tempfile::tempdir().unwrap();
    let s3 = DevStore::start(Options::new(root.path())).await.unwrap();
    s3.create_bucket("backups", devstore::Versioning::Enabled).await.unwrap();
    s3.create_bucket("plain", devstore::Versioning::Off).await.unwrap();
    let good = settings(s3.endpoint());
    let keys = |id: &str, secret: &str| Credentials::Explicit {
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned(),
    };
    let bucket = |name: &str| Settings { bucket: name.to_owned(), ..good.clone() };
    let credentials = |id, secret| Settings { credentials: keys(id, secret), ..good.clone() };
    let endpoint = |url: &str| Settings { endpoint: Some(url.to_owned()), ..good.clone() };
    use s3up_store::Versioning::*;
    #[rustfmt::skip]
    let cases = [
        (good.clone(),                             Ok(Enabled)),
        (bucket("plain"),                          Ok(Off)),
        (bucket("nowhere"),                        Err(StoreErrorKind::NoBucket)),
        (credentials("devstore", "wrong"),         Err(StoreErrorKind::BadCredentials)),
        (credentials("stranger", "devstore-secret"), Err(StoreErrorKind::BadCredentials)),
        (endpoint("http://127.0.0.1:1"),           Err(StoreErrorKind::Transient)),
    ];
    for (settings, want) in cases {
        let what = format!("{settings:?}");
        assert_eq!(probe(settings).await, want, "{what}");
    }
    s3.stop().await;
}

#[tokio::test]
async fn a_ca_file_that_is_missing_or_has_no_certificate_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("ca.pem");
    let with_ca = |path: &std::path::Path| Settings {
        ca_file: Some(path.to_owned()),
        ..settings("https://127.0.0.1:1".to_owned())
    };
    std::fs::write(&file, "no certificate").unwrap();

    let missing = Store::connect(with_ca(&root.path().join("none"))).await.err().unwrap();
    let wrong = Store::connect(with_ca(&file)).await.err().unwrap();

    assert!(missing.to_string().starts_with("read CA certificates from /"), "{missing}");
    assert!(
        wrong
            .to_string()
            .ends_with("expected a certificate in PEM format, found none; check `ca_file`"),
        "{wrong}"
    );
}

#[tokio::test]
async fn only_the_configured_ca_is_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    let world = World::start().await;
    let cert = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&ca_file, cert.cert.pem()).unwrap();
    let proxy = Proxy::with_tls(&world.s3.endpoint(), &cert).await;
    let endpoint = proxy.endpoint.replace("127.0.0.1", "localhost");
    let unknown = settings(endpoint);
    let known = Settings { ca_file: Some(ca_file), ..unknown.clone() };

    assert_eq!(probe(known).await, Ok(s3up_store::Versioning::Off));
    // A retry would not help: the certificate stays unknown.
    assert_eq!(probe(unknown).await, Err(StoreErrorKind::Permanent));
    world.stop().await;
}

#[tokio::test]
async fn payloads_to_another_server_than_aws_are_signed_until_it_echoes_a_checksum() {
    for (profile, payload_is_signed) in [(Profile::Aws, false), (Profile::Generic, true)] {
        let world = World::with(|settings| Settings { profile, ..settings }).await;

        world.store.upload(put("a"), &b"x"[..]).await.unwrap();

        let headers = world.s3.faults().headers(Op::PutObject, 1).unwrap();
        assert!(headers.contains_key("x-amz-checksum-crc64nvme"), "{profile:?}");
        let is_signed = headers["x-amz-content-sha256"] != "UNSIGNED-PAYLOAD";
        assert_eq!(is_signed, payload_is_signed, "{profile:?}");
        world.stop().await;
    }
}
