//! Objects: their content, whole and in ranges, and their attributes.

use aws_sdk_s3::types::ServerSideEncryption;

use super::parts::{Upload, started};
use super::server::{BODY, Server, body};
use super::verdict::{Held, Verdict, holds, is, refused};

pub async fn user_metadata_is_returned(server: &Server) -> Verdict {
    let put = server.put("key", BODY).metadata("sha256", "0a1b").metadata("mtime-ns", "17");
    put.send().await?;

    let head = server.head("key").send().await?;

    let mut found: Vec<_> = head.metadata.unwrap_or_default().into_iter().collect();
    found.sort();
    let text = |text: &str| text.to_owned();
    let wanted = [(text("mtime-ns"), text("17")), (text("sha256"), text("0a1b"))];
    is("metadata", found, wanted.to_vec())?;
    Ok(Held)
}

pub async fn the_content_type_is_returned(server: &Server) -> Verdict {
    server.put("key", BODY).content_type("image/x-test").send().await?;

    is("HEAD", server.head("key").send().await?.content_type(), Some("image/x-test"))?;
    is("GET", server.get("key").send().await?.content_type(), Some("image/x-test"))?;
    Ok(Held)
}

pub async fn encryption_with_aes256_is_echoed(server: &Server) -> Verdict {
    let aes256 = ServerSideEncryption::Aes256;

    let put = server.put("key", BODY).server_side_encryption(aes256.clone()).send().await?;

    is("PUT", put.server_side_encryption(), Some(&aes256))?;
    let head = server.head("key").send().await?;
    is("HEAD", head.server_side_encryption(), Some(&aes256))?;
    Ok(Held)
}

pub async fn an_upload_is_encrypted_with_aes256(server: &Server) -> Verdict {
    let aes256 = ServerSideEncryption::Aes256;
    let call = started(server).server_side_encryption(aes256.clone());
    let mut upload = Upload::of(server, call).await?;
    upload.send(1, BODY).await?;
    upload.complete().send().await?;

    let head = server.head("key").send().await?;

    is("HEAD", head.server_side_encryption(), Some(&aes256))?;
    Ok(Held)
}

/// A refusal is fine: then no object lies there in plain text that was meant to be
/// encrypted.
pub async fn encryption_with_aes256_is_not_accepted_and_ignored(server: &Server) -> Verdict {
    let aes256 = ServerSideEncryption::Aes256;

    let put = server.put("key", BODY).server_side_encryption(aes256.clone()).send().await;

    if let Ok(put) = put {
        is("PUT", put.server_side_encryption(), Some(&aes256))?;
    }
    Ok(Held)
}

pub async fn head_reports_size_etag_and_date(server: &Server) -> Verdict {
    let etag = server.stored("key", BODY).await?;

    let head = server.head("key").send().await?;

    is("size", head.content_length(), Some(BODY.len() as i64))?;
    holds(head.e_tag() == Some(etag.as_str()), "another ETag than in the answer to PUT")?;
    holds(head.last_modified().is_some(), "no date")?;
    Ok(Held)
}

pub async fn an_empty_object_is_stored(server: &Server) -> Verdict {
    server.stored("key", b"").await?;

    server.has("key", b"").await?;
    is("length", server.head("key").send().await?.content_length(), Some(0))?;
    Ok(Held)
}

pub async fn a_range_request_returns_only_the_range(server: &Server) -> Verdict {
    server.stored("key", BODY).await?;

    let got = server.get("key").range("bytes=2-4").send().await?;

    is("Content-Range", got.content_range(), Some("bytes 2-4/9"))?;
    holds(body(got).await? == b"345", "other bytes were returned")?;
    Ok(Held)
}

pub async fn a_range_beyond_the_end_is_truncated(server: &Server) -> Verdict {
    server.stored("key", BODY).await?;

    let got = server.get("key").range("bytes=7-100").send().await?;

    is("Content-Range", got.content_range(), Some("bytes 7-8/9"))?;
    holds(body(got).await? == b"89", "other bytes were returned")?;
    Ok(Held)
}

pub async fn a_range_after_the_end_is_refused(server: &Server) -> Verdict {
    server.stored("key", BODY).await?;

    refused(server.get("key").range("bytes=9-10").send().await, &["416"])?;
    Ok(Held)
}

pub async fn a_get_if_match_needs_the_current_etag(server: &Server) -> Verdict {
    let old = server.stored("key", b"old").await?;
    let new = server.stored("key", b"new").await?;

    refused(server.get("key").if_match(old).send().await, &["412"])?;
    let got = server.get("key").if_match(new).range("bytes=0-0").send().await?;

    holds(body(got).await? == b"n", "other bytes were returned")?;
    Ok(Held)
}

pub async fn a_missing_object_is_no_such_key(server: &Server) -> Verdict {
    refused(server.get("absent").send().await, &["NoSuchKey"])?;
    refused(server.head("absent").send().await, &["404"])?;
    Ok(Held)
}
