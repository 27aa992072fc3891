//! Files that existed before the agent.

use std::fs;

use crate::fixture::{Host, World};

#[tokio::test]
async fn existing_files_are_baseline_and_later_changes_are_uploaded() {
    let world = World::start().await;
    let host = host_without_upload_existing(&world);
    host.write("old", "old");
    host.write("edited", "before");
    let agent = host.start().await;
    crate::fixture::until("the first scan is complete", async || {
        host.status().await.total.baseline.files == 2
    })
    .await;

    host.write("edited", "after");
    host.write("new", "new");

    host.until_stored("edited", "after").await;
    host.until_stored("new", "new").await;
    let status = host.until_nothing_is_pending().await;
    assert_eq!((status.total.baseline.files, status.total.protected.files), (1, 2));
    assert_eq!(host.stored("old").await, None);
    agent.stop().await;
}

#[tokio::test]
async fn changes_made_while_the_agent_was_down_are_uploaded() {
    let world = World::start().await;
    let host = host_without_upload_existing(&world);
    for name in ["old", "edited", "replaced", "gone"] {
        host.write(name, "before");
    }
    host.scan().await;

    host.write("edited", "after");
    let date = fs::metadata(host.up.join("replaced")).unwrap().modified().unwrap();
    host.write("replacement", "AFTER!");
    fs::File::options()
        .write(true)
        .open(host.up.join("replacement"))
        .unwrap()
        .set_modified(date)
        .unwrap();
    fs::rename(host.up.join("replacement"), host.up.join("replaced")).unwrap();
    fs::remove_file(host.up.join("gone")).unwrap();
    host.write("new", "new");
    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    assert_eq!(summary.uploaded, 3);
    assert_eq!(host.content("edited").await, b"after");
    assert_eq!(host.content("replaced").await, b"AFTER!");
    assert_eq!(host.content("new").await, b"new");
    let total = host.status().await.total;
    assert_eq!((total.baseline.files, total.protected.files), (1, 3));
}

#[tokio::test]
async fn switching_to_upload_existing_uploads_the_baseline() {
    let world = World::start().await;
    let mut host = host_without_upload_existing(&world);
    host.write("old", "old");
    assert_eq!(host.scan().await.uploaded, 0);

    host.edit("upload_existing: false", "upload_existing: true");
    let summary = host.scan().await;

    assert_eq!(summary.uploaded, 1);
    assert_eq!(host.content("old").await, b"old");
    host.edit("upload_existing: true", "upload_existing: false");
    let total = host.status().await.total;
    assert_eq!(
        (total.baseline.files, total.protected.files),
        (0, 1),
        "an uploaded file stays protected"
    );
}

#[tokio::test]
async fn a_watch_that_is_added_later_gets_its_own_baseline() {
    let world = World::start().await;
    let mut host = host_without_upload_existing(&world);
    host.write("first", "1");
    host.scan().await;
    let second = host.dir.path().join("second");
    fs::create_dir(&second).unwrap();
    fs::write(second.join("old"), "2").unwrap();
    host.write("new", "3");

    let watch = format!("  - {{ local_path: \"{}\", remote_prefix: \"s\" }}\n", second.display());
    host.edit("scan: {", &format!("{watch}scan: {{"));
    let summary = host.scan().await;

    assert_eq!(summary.uploaded, 1, "the new file in the first watch");
    let total = host.status().await.total;
    assert_eq!((total.baseline.files, total.protected.files), (2, 1));
}

fn host_without_upload_existing(world: &World) -> Host {
    let mut host = Host::new(&world.url());
    host.edit("upload_existing: true", "upload_existing: false");
    host
}
