//! Multipart uploads: from parts to an object, and what is refused.

use aws_sdk_s3::types::CompletedPart;

use super::parts::{PART, Upload, filled, started};
use super::server::Server;
use super::verdict::{Held, Verdict, holds, is, refused, some, status};

pub async fn an_object_is_invisible_until_its_upload_completes(server: &Server) -> Verdict {
    let upload = Upload::ready(server).await?;
    server.has_none("key", "the object is visible before").await?;
    is("names listed before", server.names("").await?.len(), 0)?;

    upload.complete().send().await?;

    server.has("key", Upload::READY).await?;
    Ok(Held)
}

pub async fn parts_may_arrive_in_any_order(server: &Server) -> Verdict {
    let mut upload = Upload::start(server).await?;
    upload.send(2, b"the end").await?;
    upload.send(1, &filled(b'a', PART)).await?;
    upload.parts.reverse();

    upload.complete().send().await?;

    server.has("key", &[&filled(b'a', PART)[..], b"the end"].concat()).await?;
    Ok(Held)
}

pub async fn a_part_that_is_sent_again_replaces_the_first(server: &Server) -> Verdict {
    let mut upload = Upload::start(server).await?;
    upload.send(1, b"the first").await?;
    upload.send(1, b"the second").await?;

    upload.complete().send().await?;

    server.has("key", b"the second").await?;
    Ok(Held)
}

/// A part is sent again if the answer to the first sending was lost.
pub async fn a_part_that_is_sent_again_is_listed_once(server: &Server) -> Verdict {
    let mut upload = Upload::start(server).await?;
    for _ in 0..3 {
        upload.send(1, b"the same").await?;
    }

    let listed = upload.list().send().await?;

    let numbers: Vec<_> = listed.parts().iter().filter_map(|part| part.part_number()).collect();
    is("parts", numbers, vec![1])?;
    Ok(Held)
}

pub async fn a_completion_with_parts_out_of_order_is_refused(server: &Server) -> Verdict {
    let mut upload = Upload::start(server).await?;
    upload.send(2, &filled(b'b', PART)).await?;
    upload.send(1, &filled(b'a', PART)).await?;

    refused(upload.complete().send().await, &["InvalidPartOrder"])?;
    server.has_none("key", "refused, but stored anyway").await?;
    Ok(Held)
}

pub async fn a_completion_with_a_missing_part_is_refused(server: &Server) -> Verdict {
    let mut upload = Upload::start(server).await?;
    let etag = upload.send(1, &filled(b'a', PART)).await?;
    upload.name(CompletedPart::builder().part_number(2).e_tag(etag).build());

    refused(upload.complete().send().await, &["InvalidPart"])?;
    server.has_none("key", "refused, but stored anyway").await?;
    Ok(Held)
}

pub async fn a_completion_with_a_wrong_etag_is_refused(server: &Server) -> Verdict {
    let mut upload = Upload::start(server).await?;
    let stale = upload.send(1, b"the first").await?;
    upload.send(1, b"the second").await?;
    upload.name(CompletedPart::builder().part_number(1).e_tag(stale).build());

    refused(upload.complete().send().await, &["InvalidPart"])?;
    server.has_none("key", "refused, but stored anyway").await?;
    Ok(Held)
}

pub async fn a_short_part_that_is_not_the_last_is_refused(server: &Server) -> Verdict {
    let mut upload = Upload::start(server).await?;
    upload.send(1, &filled(b'a', PART - 1)).await?;
    upload.send(2, b"the end").await?;

    refused(upload.complete().send().await, &["EntityTooSmall"])?;
    server.has_none("key", "refused, but stored anyway").await?;
    Ok(Held)
}

pub async fn a_part_number_above_10000_is_refused(server: &Server) -> Verdict {
    let upload = Upload::start(server).await?;

    refused(upload.part(10_001, b"x").send().await, &["400"])?;
    Ok(Held)
}

pub async fn a_part_number_of_10000_is_accepted(server: &Server) -> Verdict {
    let upload = Upload::start(server).await?;

    upload.part(10_000, b"x").send().await?;
    Ok(Held)
}

pub async fn a_completion_with_a_wrong_object_size_is_refused(server: &Server) -> Verdict {
    let upload = Upload::ready(server).await?;
    let len = Upload::READY.len() as i64;

    refused(upload.complete().mpu_object_size(len + 1).send().await, &["400"])?;
    server.has_none("key", "refused, but stored anyway").await?;
    upload.complete().mpu_object_size(len).send().await?;
    Ok(Held)
}

pub async fn a_completion_answers_the_etag_that_head_returns(server: &Server) -> Verdict {
    let answer = Upload::ready(server).await?.complete().send().await?;

    let reported = some("ETag in HEAD", server.head("key").send().await?.e_tag)?;
    let answered = some("ETag in the answer", answer.e_tag)?;
    holds(!answered.is_empty(), "an empty ETag")?;
    holds(answered == reported, "another ETag than in HEAD")?;
    Ok(Held)
}

/// A retry after a lost answer: either answer is fine and does no harm.
pub async fn a_repeated_completion_succeeds_or_is_not_found(server: &Server) -> Verdict {
    let upload = Upload::ready(server).await?;
    upload.complete().send().await?;

    if let Err(err) = upload.complete().send().await {
        is("status", status(&err), Some(404))?;
    }
    server.has("key", Upload::READY).await?;
    Ok(Held)
}

pub async fn an_object_has_the_attributes_of_its_upload(server: &Server) -> Verdict {
    let call = started(server).content_type("text/x-test").metadata("sha256", "abc");
    let mut upload = Upload::of(server, call.storage_class("STANDARD_IA".into())).await?;
    upload.send(1, b"x").await?;
    upload.complete().send().await?;

    let head = server.head("key").send().await?;

    is("content type", head.content_type(), Some("text/x-test"))?;
    let metadata = head.metadata().and_then(|all| all.get("sha256")).map(String::as_str);
    is("metadata", metadata, Some("abc"))?;
    is("class", head.storage_class().map(|class| class.as_str()), Some("STANDARD_IA"))?;
    Ok(Held)
}
