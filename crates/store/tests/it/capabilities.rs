//! The probes of a server, on the embedded one that behaves like others: what they
//! find, what they leave, and what they say before the first byte.

use std::time::Duration;

use s3up_core::KeyPrefix;
use s3up_core::Severity;
use s3up_devstore::{Behaviours, Fault, Like, Op};
use s3up_store::{
    Archive, Capabilities, Condition, ProbeUpload, Profile, Reported, Settings, Sse, Store,
    Subject, Verified, findings,
};

use crate::fixture::{RETRY_FOR, World, settings};

fn prefix() -> KeyPrefix {
    KeyPrefix::parse("nas").expect("a prefix")
}

fn chain(err: &dyn std::error::Error) -> String {
    s3up_core::error_chain(err)
}

fn probe<'a>(prefix: &'a KeyPrefix, class: Option<&'a str>) -> ProbeUpload<'a> {
    ProbeUpload { prefix, storage_class: class, retry_for: RETRY_FOR }
}

async fn another(world: &World, edit: impl Fn(Settings) -> Settings) -> Store {
    Store::connect(edit(settings(world.s3.endpoint()))).await.expect("a store")
}

async fn examined(world: &World, sse: Sse, class: Option<&str>) -> Capabilities {
    let store = another(world, |settings| Settings { sse: sse.clone(), ..settings }).await;
    let prefix = prefix();
    let (capabilities, _) = store.examine(&probe(&prefix, class)).await.expect("an answer");
    capabilities
}

#[tokio::test]
async fn encryption_that_is_refused_is_named_before_the_first_byte() {
    for like in [Like::SeaweedFs, Like::Swift] {
        let world = World::like(like).await;
        let store = another(&world, |settings| Settings { sse: Sse::Aes256, ..settings }).await;
        let prefix = prefix();
        let wanted = ProbeUpload { retry_for: Duration::ZERO, ..probe(&prefix, None) };

        let err = store.probe_upload(&wanted).await.unwrap_err();

        assert!(chain(&err).contains("set `sse` to \"none\""), "{like:?}: {}", chain(&err));
        world.stop().await;
    }
}

#[tokio::test]
async fn a_class_that_the_server_does_not_have_is_named_before_the_first_byte() {
    let world = World::like(Like::Rgw).await;
    let prefix = prefix();

    let err = world.store.probe_upload(&probe(&prefix, Some("GLACIER_IR"))).await.unwrap_err();

    assert!(chain(&err).contains("storage class"), "{}", chain(&err));
    world.stop().await;
}

#[tokio::test]
async fn encryption_that_is_accepted_and_ignored_is_found() {
    let world = World::like(Like::Rgw).await;

    let capabilities = examined(&world, Sse::Aes256, None).await;

    let want = Reported::Different { requested: "AES256".to_owned(), found: None };
    assert_eq!(capabilities.sse, want);
    let problems = findings(&capabilities);
    let problems = problems.iter().filter(|finding| finding.severity == Severity::Problem);
    let subjects: Vec<_> = problems.map(|finding| finding.subject).collect();
    assert_eq!(subjects, [Subject::Encryption]);
    world.stop().await;
}

/// The probe is made once for each kind, and the next run learns from its object.
#[tokio::test]
async fn a_probe_upload_is_made_once_for_each_kind() {
    let world = World::like(Like::Rgw).await;
    let prefix = prefix();
    for class in ["DEEP_ARCHIVE", "STANDARD", "DEEP_ARCHIVE"] {
        let store = another(&world, |settings| settings).await;
        store.probe_upload(&probe(&prefix, Some(class))).await.expect("an upload");
        let known = store.capabilities();
        assert_eq!(known.conditions.complete_if_none_match, Condition::Ignored);
        assert_eq!(known.storage_class, Reported::AsRequested(class.to_owned()));
    }

    let keys: Vec<_> = world.s3.objects("backups").into_keys().collect();
    let want =
        ["nas/.s3up-probe", "nas/.s3up-probe-DEEP_ARCHIVE-plain", "nas/.s3up-probe-STANDARD-plain"];
    assert_eq!(keys, want);
    // The probes of completions have one part, and two per object.
    let completions = world.calls(Op::CompleteMultipartUpload);
    assert_eq!(completions, 2 * 2 + 2);
    world.stop().await;
}

#[tokio::test]
async fn a_server_that_takes_fewer_parts_is_found_and_remembered() {
    let world = World::like(Like::Swift).await;
    let prefix = prefix();
    for _ in 0..2 {
        let store = another(&world, |settings| settings).await;

        store.probe_upload(&probe(&prefix, None)).await.expect("an upload");

        assert_eq!(store.capabilities().parts_max, Some(1000));
    }
    assert_eq!(world.s3.uploads("backups"), Vec::<String>::new(), "the probe was aborted");
    let generous = World::small().await;
    generous.store.probe_upload(&probe(&prefix, None)).await.expect("an upload");
    assert_eq!(generous.store.capabilities().parts_max, None);
    generous.stop().await;
    world.stop().await;
}

/// AWS is not asked about conditions, but about its rights and classes.
#[tokio::test]
async fn a_missing_right_shows_in_the_probe_and_names_the_action() {
    let aws = |settings| Settings { profile: Profile::Aws, ..settings };
    let world = World::with(aws).await;
    world.s3.faults().inject(Op::ListParts, 1, Fault::AccessDenied);
    let prefix = prefix();

    let err = world.store.probe_upload(&probe(&prefix, Some("DEEP_ARCHIVE"))).await.unwrap_err();

    assert!(chain(&err).contains("s3:ListMultipartUploadParts"), "{}", chain(&err));
    assert_eq!(world.s3.uploads("backups"), Vec::<String>::new());
    world.store.probe_upload(&probe(&prefix, Some("DEEP_ARCHIVE"))).await.expect("an upload");
    assert_eq!(world.store.capabilities().archive, Archive::Archives);
    world.stop().await;
}

#[tokio::test]
async fn only_a_refusal_of_damage_proves_that_a_checksum_is_verified() {
    #[rustfmt::skip]
    let cases = [
        // server                      CRC64NVME      Content-MD5    signed SHA-256
        (Behaviours::default(),       [Verified::Yes, Verified::Yes, Verified::Yes]),
        (Like::Rclone.behaviours(),   [Verified::No,  Verified::Yes, Verified::Yes]),
    ];
    for (behaviours, want) in cases {
        let world = World::behaving(behaviours.clone()).await;
        world.store.probe_checksums(&prefix(), RETRY_FOR).await.expect("an answer");
        let found = world.store.capabilities().verifications;
        let found = [found.crc64nvme, found.content_md5, found.payload_sha256];
        assert_eq!(found, want, "{behaviours:?}");
        world.stop().await;
    }
}
