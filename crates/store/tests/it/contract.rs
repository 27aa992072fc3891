//! The contract: what we rely on from S3, checked against several servers.
//!
//! Each behaviour is a claim with a name. It is checked with the AWS SDK and not
//! with our store, so that it shows what a server does and not what we make of it.
//! The embedded server has to satisfy all claims. Other servers may differ if
//! `differences` lists the difference and says why we can live with it; a
//! difference that is not listed fails, and so does a listed one that is gone.
//! `docs/s3-compatibility.md` is generated from the results.
//!
//! Not here: how a server is started and found (`servers`).

mod aborting;
mod access;
mod archive;
mod behaviours;
mod checksums;
mod conditions;
mod deleting;
mod differences;
mod document;
mod guarantees;
mod keys;
mod listing;
mod multipart;
mod objects;
mod part_checksums;
mod parts;
mod probe;
mod race;
mod server;
mod servers;
mod settings;
mod suite;
mod verdict;
mod versions;

use s3up_testkit::Foreign;
use servers::{aws, devstore, foreign, garage, moto};
use suite::check_server;

#[tokio::test]
async fn the_embedded_server_satisfies_the_contract() {
    let running = devstore::start().await;

    let problems = check_server(&running.target).await;

    running.stop().await;
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn moto_satisfies_the_contract_except_for_listed_differences() {
    let Some(running) = moto::start_or_print_why_not().await else { return };

    let problems = check_server(&running.target).await;

    running.stop().await;
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn garage_satisfies_the_contract_except_for_listed_differences() {
    let Some(running) = garage::start_or_print_why_not().await else { return };

    let problems = check_server(&running.target).await;

    running.stop().await;
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn ceph_rgw_satisfies_the_contract_except_for_listed_differences() {
    check_foreign(Foreign::Rgw).await;
}

#[tokio::test]
async fn swift_satisfies_the_contract_except_for_listed_differences() {
    check_foreign(Foreign::Swift).await;
}

#[tokio::test]
async fn seaweedfs_satisfies_the_contract_except_for_listed_differences() {
    check_foreign(Foreign::SeaweedFs).await;
}

#[tokio::test]
async fn rclone_satisfies_the_contract_except_for_listed_differences() {
    check_foreign(Foreign::Rclone).await;
}

async fn check_foreign(server: Foreign) {
    let Some(running) = foreign::start_or_print_why_not(server).await else { return };

    let problems = check_server(&running.target).await;

    running.stop().await;
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn aws_satisfies_the_contract() {
    let Some(running) = aws::find_or_print_why_not().await else { return };

    let mut problems = check_server(&running.target).await;

    problems.extend(running.stop().await.err());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
