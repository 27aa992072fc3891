//! Concurrent conditional writes to one key: exactly one may succeed.
//!
//! The others are refused, or get a conflict (409).

use std::future::Future;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use futures::future::{join_all, try_join_all};

use super::parts::Upload;
use super::server::Server;
use super::verdict::{Held, Verdict, holds, status};

const WRITERS: usize = 8;

pub async fn of_concurrent_puts_if_none_match_one_succeeds(server: &Server) -> Verdict {
    let puts = (0..WRITERS).map(|n| server.put("key", &[n as u8]).if_none_match("*").send());

    one_succeeds(puts).await
}

pub async fn of_concurrent_puts_if_match_one_succeeds(server: &Server) -> Verdict {
    let etag = server.stored("key", b"before").await?;
    let puts = (0..WRITERS).map(|n| server.put("key", &[n as u8]).if_match(&etag).send());

    one_succeeds(puts).await
}

pub async fn of_concurrent_completions_if_none_match_one_succeeds(server: &Server) -> Verdict {
    let uploads = try_join_all((0..WRITERS).map(|_| Upload::ready(server))).await?;

    one_succeeds(uploads.iter().map(|upload| upload.complete().if_none_match("*").send())).await
}

async fn one_succeeds<T, E>(
    writers: impl Iterator<Item = impl Future<Output = Result<T, SdkError<E, HttpResponse>>>>,
) -> Verdict {
    let answers = join_all(writers).await;
    let successes = answers.iter().filter(|answer| answer.is_ok()).count();
    let mut failures = answers.iter().filter_map(|answer| answer.as_ref().err());
    let all_are_refused = failures.all(|failure| matches!(status(failure), Some(409 | 412)));
    holds(
        successes == 1 && all_are_refused,
        "not exactly one succeeds while the others get 409 or 412",
    )?;
    Ok(Held)
}
