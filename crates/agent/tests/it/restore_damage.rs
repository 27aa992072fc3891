//! A restore of files whose bytes arrive damaged from S3.

use s3up_devstore::{Fault, Op};

use crate::fixture::{Host, MIB, World, noise};
use crate::restore::{names, restore};

/// More calls than all attempts for two files make.
const CALLS_MAX: u64 = 200;

#[tokio::test]
async fn a_damaged_file_is_reported_and_gets_no_place_in_the_target() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("dir/short", noise(1000));
    host.write("dir/long", noise(9 * MIB));
    // Too short to be damaged by the fault.
    host.write("dir/fine", "fine");
    assert!(host.scan().await.is_clean());
    let target = host.dir.path().join("target");
    for call in 1..=CALLS_MAX {
        world.fail(Op::GetObject, call, Fault::FlipByte { offset: 17 });
    }

    let damaged = restore(&host, &["uploads/dir"], &target).await;

    assert_eq!(damaged.code, Some(3), "{damaged:?}");
    for (path, reason) in [("short", "does not match its checksum"), ("long", "")] {
        let start = format!("not restored: uploads/dir/{path}: ");
        let line = damaged.stdout.lines().find(|line| line.starts_with(&start));
        assert!(line.is_some_and(|line| line.contains(reason)), "{path}: {damaged:?}");
    }
    assert!(damaged.stdout.contains("failed             2 "), "{damaged:?}");
    assert_eq!(names(&target), ["fine"]);
    assert_eq!(std::fs::read(target.join("fine")).unwrap(), b"fine");
}
