//! A bucket that keeps versions: overwritten and deleted objects are still
//! readable.

use super::parts::Upload;
use super::server::{Server, body};
use super::verdict::{Differs, Held, Verdict, holds, is, refused, some};

pub async fn a_put_returns_its_version(server: &Server) -> Verdict {
    let (first, second) = (put(server, b"1").await?, put(server, b"2").await?);

    holds(first != second, "the same version ID twice")?;
    let newest = some("version ID in HEAD", server.head("key").send().await?.version_id)?;
    holds(newest == second, "HEAD reports another version")?;
    Ok(Held)
}

pub async fn a_completion_returns_its_version(server: &Server) -> Verdict {
    let done = Upload::ready(server).await?.complete().send().await?;

    let id = version(done.version_id)?;

    let got = server.get("key").version_id(id).send().await?;
    holds(body(got).await? == Upload::READY, "other bytes were returned")?;
    Ok(Held)
}

pub async fn an_overwritten_version_is_readable(server: &Server) -> Verdict {
    let old = put(server, b"old").await?;
    put(server, b"new").await?;

    let got = server.get("key").version_id(&old).send().await?;
    let head = server.head("key").version_id(&old).send().await?;

    holds(body(got).await? == b"old", "other bytes were returned")?;
    is("length", head.content_length(), Some(3))?;
    server.has("key", b"new").await?;
    Ok(Held)
}

pub async fn a_deleted_object_is_hidden_and_its_version_readable(server: &Server) -> Verdict {
    let id = put(server, b"kept").await?;

    let deleted = delete(server, None).await?;

    is("delete marker", deleted.delete_marker(), Some(true))?;
    refused(server.get("key").send().await, &["NoSuchKey"])?;
    let got = server.get("key").version_id(id).send().await?;
    holds(body(got).await? == b"kept", "other bytes were returned")?;
    Ok(Held)
}

/// Reads as a download of an old version does.
pub async fn an_old_version_is_readable_in_ranges_with_if_match(server: &Server) -> Verdict {
    let put = server.put("key", b"old").send().await?;
    let (id, etag) = (version(put.version_id)?, some("ETag", put.e_tag)?);
    self::put(server, b"new").await?;
    let get = || server.get("key").version_id(&id).range("bytes=1-2");

    let got = get().if_match(&etag).send().await?;

    holds(body(got).await? == b"ld", "other bytes were returned")?;
    refused(get().if_match("\"0\"").send().await, &["412"])?;
    Ok(Held)
}

pub async fn a_key_under_a_delete_marker_is_new(server: &Server) -> Verdict {
    put(server, b"old").await?;
    delete(server, None).await?;

    server.put("key", b"new").if_none_match("*").send().await?;

    refused(server.put("key", b"again").if_none_match("*").send().await, &["PreconditionFailed"])?;
    server.has("key", b"new").await?;
    Ok(Held)
}

pub async fn removing_the_delete_marker_brings_the_object_back(server: &Server) -> Verdict {
    put(server, b"kept").await?;
    let marker = version(delete(server, None).await?.version_id)?;

    delete(server, Some(marker)).await?;

    server.has("key", b"kept").await?;
    Ok(Held)
}

pub async fn a_deleted_version_is_gone(server: &Server) -> Verdict {
    let old = put(server, b"old").await?;
    put(server, b"new").await?;

    delete(server, Some(old.clone())).await?;

    refused(server.get("key").version_id(&old).send().await, &["NoSuchVersion"])?;
    server.has("key", b"new").await?;
    Ok(Held)
}

pub async fn versions_are_listed_newest_first(server: &Server) -> Verdict {
    let (first, second) = (put(server, b"1").await?, put(server, b"2").await?);
    delete(server, None).await?;

    let listed = server.client.list_object_versions().bucket(&server.bucket);
    let listed = listed.prefix(&server.prefix).send().await?;

    let ids: Vec<_> = listed.versions().iter().filter_map(|one| one.version_id()).collect();
    holds(ids == [second.as_str(), first.as_str()], "wrong versions or a wrong order")?;
    let latest = listed.delete_markers().iter().filter_map(|marker| marker.is_latest());
    is("delete markers", latest.collect(), vec![true])?;
    Ok(Held)
}

pub async fn the_versioning_status_is_reported(server: &Server) -> Verdict {
    let answer = server.client.get_bucket_versioning().bucket(&server.bucket).send().await?;

    is("status", answer.status().map(|status| status.as_str()), Some("Enabled"))?;
    Ok(Held)
}

type Deleted = aws_sdk_s3::operation::delete_object::DeleteObjectOutput;

async fn put(server: &Server, body: &[u8]) -> Result<String, Differs> {
    version(server.put("key", body).send().await?.version_id)
}

async fn delete(server: &Server, id: Option<String>) -> Result<Deleted, Differs> {
    let call = server.client.delete_object().bucket(&server.bucket).key(server.key("key"));
    Ok(call.set_version_id(id).send().await?)
}

fn version(id: Option<String>) -> Result<String, Differs> {
    some("version ID", id.filter(|id| id != "null"))
}
