//! Several writers of one key at the same time: exactly one may win.
//!
//! The others are refused, or told that they were in each other's way (409).

use std::future::Future;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use futures::future::{join_all, try_join_all};

use super::parts::Upload;
use super::server::Server;
use super::verdict::{Held, Verdict, holds, status};

const WRITERS: usize = 8;

pub async fn of_several_puts_of_a_new_key_one_wins(server: &Server) -> Verdict {
    let puts = (0..WRITERS).map(|n| server.put("key", &[n as u8]).if_none_match("*").send());

    one_wins(puts).await
}

pub async fn of_several_puts_on_the_same_etag_one_wins(server: &Server) -> Verdict {
    let etag = server.stored("key", b"before").await?;
    let puts = (0..WRITERS).map(|n| server.put("key", &[n as u8]).if_match(&etag).send());

    one_wins(puts).await
}

pub async fn of_several_uploads_of_a_new_key_one_completes(server: &Server) -> Verdict {
    let uploads = try_join_all((0..WRITERS).map(|_| Upload::ready(server))).await?;

    one_wins(uploads.iter().map(|upload| upload.complete().if_none_match("*").send())).await
}

async fn one_wins<T, E>(
    writers: impl Iterator<Item = impl Future<Output = Result<T, SdkError<E, HttpResponse>>>>,
) -> Verdict {
    let answers = join_all(writers).await;
    let winners = answers.iter().filter(|answer| answer.is_ok()).count();
    let mut losers = answers.iter().filter_map(|answer| answer.as_ref().err());
    let all_are_told = losers.all(|loser| matches!(status(loser), Some(409 | 412)));
    holds(winners == 1 && all_are_told, "not one wins while the others are told 409 or 412")?;
    Ok(Held)
}
