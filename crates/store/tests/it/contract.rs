//! What we rely on from S3, asked of servers.
//!
//! Each behaviour is a claim with a name, written with the AWS SDK and not with
//! our engine, so that it tells what a server does and not what we make of it.
//! The embedded server has to hold all of them. Servers that others wrote may
//! differ where `differences` says so and why we can live with it; what differs
//! and is not listed fails, and so does what is listed and holds.
//! `docs/s3-compatibility.md` is made from the answers.
//!
//! Not here: how a server is started and found, which is in `servers`.

mod aborting;
mod access;
mod archive;
mod behaviours;
mod checksums;
mod conditions;
mod deleting;
mod differences;
mod document;
mod engine;
mod keys;
mod listing;
mod multipart;
mod objects;
mod part_checksums;
mod parts;
mod race;
mod server;
mod servers;
mod settings;
mod suite;
mod verdict;
mod versions;

use servers::{aws, devstore, garage, moto};
use suite::ask_and_judge;

#[tokio::test]
async fn the_embedded_server_does_all_that_we_rely_on() {
    let running = devstore::start().await;

    let complaints = ask_and_judge(&running.target).await;

    running.stop().await;
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn moto_does_what_we_rely_on_but_for_what_is_listed() {
    let Some(running) = moto::start_or_say_why_not().await else { return };

    let complaints = ask_and_judge(&running.target).await;

    running.stop().await;
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn garage_does_what_we_rely_on_but_for_what_is_listed() {
    let Some(running) = garage::start_or_say_why_not().await else { return };

    let complaints = ask_and_judge(&running.target).await;

    running.stop().await;
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn a_real_bucket_does_what_we_rely_on() {
    let Some(running) = aws::find_or_say_why_not().await else { return };

    let mut complaints = ask_and_judge(&running.target).await;

    complaints.extend(running.stop().await.err());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
