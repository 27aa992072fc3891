//! Unfinished uploads: listed and aborted.

use std::time::{Duration, SystemTime};

use s3up_testkit::CLOCK;

use super::parts::Upload;
use super::server::Server;
use super::verdict::{Differs, Held, Verdict, holds, is, refused, some, status};

/// Clocks of two hosts differ, and a listing has whole seconds.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(15 * 60);

pub async fn parts_are_listed_with_size_and_etag(server: &Server) -> Verdict {
    let mut upload = Upload::start(server).await?;
    let etags = [upload.send(2, b"two").await?, upload.send(1, b"one!").await?];

    let listed = upload.list().send().await?;

    let parts: Vec<_> = listed.parts().iter().map(|p| (p.part_number(), p.size())).collect();
    is("parts", parts, vec![(Some(1), Some(4)), (Some(2), Some(3))])?;
    let listed = listed.parts().iter().rev().map(|part| unquoted(part.e_tag().unwrap_or_default()));
    holds(
        listed.eq(etags.iter().map(|etag| unquoted(etag))),
        "other ETags than in the answers to UploadPart",
    )?;
    Ok(Held)
}

pub async fn parts_are_listed_in_pages(server: &Server) -> Verdict {
    let mut upload = Upload::start(server).await?;
    for number in 1..=3 {
        upload.send(number, b"x").await?;
    }

    let first = upload.list().max_parts(2).send().await?;
    is("first page", first.parts().len(), 2)?;
    is("more to come", first.is_truncated(), Some(true))?;
    let marker = some("marker of the next page", first.next_part_number_marker)?;
    let last = upload.list().max_parts(2).part_number_marker(marker).send().await?;

    let numbers: Vec<_> = last.parts().iter().filter_map(|part| part.part_number()).collect();
    is("last page", numbers, vec![3])?;
    is("more to come after the last", last.is_truncated().unwrap_or_default(), false)?;
    Ok(Held)
}

pub async fn uploads_are_listed_by_prefix_with_their_date(server: &Server) -> Verdict {
    let upload = Upload::start(&server.below("ours")).await?;
    Upload::start(&server.below("theirs")).await?;

    let listed = server.client.list_multipart_uploads().bucket(&server.bucket);
    let listed = listed.prefix(server.key("ours/")).send().await?;

    let ids: Vec<_> = listed.uploads().iter().filter_map(|upload| upload.upload_id()).collect();
    holds(ids == [upload.id.as_str()], "the wrong uploads are listed")?;
    let date = some("date", listed.uploads()[0].initiated)?;
    let started = SystemTime::try_from(date).map_err(|_| Differs("an invalid date".to_owned()))?;
    let now = CLOCK.now();
    let age = now.duration_since(started).or_else(|_| started.duration_since(now));
    holds(age.is_ok_and(|age| age < CLOCK_TOLERANCE), "a wrong date")?;
    Ok(Held)
}

pub async fn uploads_are_listed_in_pages(server: &Server) -> Verdict {
    for _ in 0..3 {
        Upload::start(server).await?;
    }
    let list = || {
        let list = server.client.list_multipart_uploads().bucket(&server.bucket);
        list.prefix(&server.prefix).max_uploads(2)
    };

    let first = list().send().await?;
    is("first page", first.uploads().len(), 2)?;
    is("more to come", first.is_truncated(), Some(true))?;
    let list = list().key_marker(some("key marker", first.next_key_marker)?);
    let last = list.set_upload_id_marker(first.next_upload_id_marker).send().await?;

    is("last page", last.uploads().len(), 1)?;
    Ok(Held)
}

pub async fn an_aborted_upload_is_gone(server: &Server) -> Verdict {
    let upload = Upload::ready(server).await?;

    upload.abort().await?;

    let listed = server.client.list_multipart_uploads().bucket(&server.bucket);
    let listed = listed.prefix(&server.prefix).send().await?;
    is("uploads listed", listed.uploads().len(), 0)?;
    refused(upload.list().send().await, &["NoSuchUpload"])?;
    server.has_none("key", "the object exists").await?;
    Ok(Held)
}

/// A retry after a lost answer: either answer is fine.
pub async fn a_repeated_abort_succeeds_or_is_not_found(server: &Server) -> Verdict {
    let upload = Upload::ready(server).await?;
    upload.abort().await?;

    if let Err(err) = upload.aborting().send().await {
        is("status", status(&err), Some(404))?;
    }
    Ok(Held)
}

pub async fn an_aborted_upload_does_not_complete(server: &Server) -> Verdict {
    let upload = Upload::ready(server).await?;
    upload.abort().await?;

    refused(upload.complete().send().await, &["NoSuchUpload"])?;
    server.has_none("key", "the object exists").await?;
    Ok(Held)
}

pub async fn an_aborted_upload_accepts_no_part(server: &Server) -> Verdict {
    let upload = Upload::ready(server).await?;
    upload.abort().await?;

    refused(upload.part(2, b"late").send().await, &["NoSuchUpload"])?;
    Ok(Held)
}

/// Removes the quotes, which some servers leave out in listings.
fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}
