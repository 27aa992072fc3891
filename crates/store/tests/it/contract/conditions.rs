//! Conditional writes: they keep two writers from undoing each other's work.

use super::parts::Upload;
use super::server::Server;
use super::verdict::{Held, Verdict, refused, some};

const ABSENT: &str = "\"00000000000000000000000000000000\"";

pub async fn a_put_if_none_match_succeeds_only_once(server: &Server) -> Verdict {
    server.put("key", b"first").if_none_match("*").send().await?;

    let again = server.put("key", b"again").if_none_match("*").send().await;

    refused(again, &["PreconditionFailed"])?;
    server.has("key", b"first").await?;
    Ok(Held)
}

pub async fn a_deleted_key_is_new_again(server: &Server) -> Verdict {
    server.put("key", b"first").if_none_match("*").send().await?;
    let delete = server.client.delete_object().bucket(&server.bucket);
    delete.key(server.key("key")).send().await?;

    server.put("key", b"second").if_none_match("*").send().await?;

    server.has("key", b"second").await?;
    Ok(Held)
}

pub async fn a_put_if_match_with_the_current_etag_succeeds(server: &Server) -> Verdict {
    server.stored("key", b"one").await?;
    let etag = some("ETag in HEAD", server.head("key").send().await?.e_tag)?;

    server.put("key", b"two").if_match(&etag).send().await?;

    server.has("key", b"two").await?;
    Ok(Held)
}

/// Not every server takes the quotes; the store tries both spellings.
pub async fn a_put_if_match_with_the_current_etag_without_quotes_succeeds(
    server: &Server,
) -> Verdict {
    let etag = server.stored("key", b"one").await?;

    server.put("key", b"two").if_match(etag.trim_matches('"')).send().await?;

    server.has("key", b"two").await?;
    Ok(Held)
}

pub async fn a_put_if_match_with_a_stale_etag_is_refused(server: &Server) -> Verdict {
    let stale = server.stored("key", b"one").await?;
    server.stored("key", b"two").await?;

    let put = server.put("key", b"three").if_match(&stale).send().await;

    refused(put, &["PreconditionFailed"])?;
    server.has("key", b"two").await?;
    Ok(Held)
}

pub async fn a_put_if_match_of_a_missing_object_is_refused(server: &Server) -> Verdict {
    let put = server.put("key", b"one").if_match(ABSENT).send().await;

    refused(put, &["404", "412"])?;
    server.has_none("key", "refused, but stored anyway").await?;
    Ok(Held)
}

pub async fn a_completion_if_none_match_succeeds_only_once(server: &Server) -> Verdict {
    let (first, again) = (Upload::ready(server).await?, Upload::ready(server).await?);
    first.complete().if_none_match("*").send().await?;

    let refusal = again.complete().if_none_match("*").send().await;

    refused(refusal, &["412"])?;
    Ok(Held)
}

pub async fn a_completion_if_match_with_a_stale_etag_is_refused(server: &Server) -> Verdict {
    let stale = server.stored("key", b"one").await?;
    server.stored("key", b"two").await?;
    let upload = Upload::ready(server).await?;

    let refusal = upload.complete().if_match(&stale).send().await;

    refused(refusal, &["PreconditionFailed"])?;
    server.has("key", b"two").await?;
    Ok(Held)
}

pub async fn a_completion_if_match_with_the_current_etag_succeeds(server: &Server) -> Verdict {
    server.stored("key", b"one").await?;
    let etag = some("ETag in HEAD", server.head("key").send().await?.e_tag)?;

    Upload::ready(server).await?.complete().if_match(&etag).send().await?;

    server.has("key", Upload::READY).await?;
    Ok(Held)
}
