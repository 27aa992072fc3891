//! Reports the end of a run to a dead man's switch (`notify.url`).
//!
//! A successful run is a GET of the URL, even if nothing was due: such a service
//! watches for the silence of a timer that died. A failed run is a POST to the same URL
//! with `/fail` added to its path and the error as its body. The failure of the request is
//! only a warning.

use s3up_cli::SecretUrl;

/// Longest body that such services keep.
const BODY_BYTES_MAX: usize = 10_000;
const PROGRAM: &str = concat!("btrfs-to-s3/", env!("CARGO_PKG_VERSION"));

/// The result of a run, as it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunResult<'a> {
    Succeeded,
    Failed { error: &'a str },
}

/// Reports the end of a run.
pub async fn report(url: &SecretUrl, result: RunResult<'_>) {
    let host = url.host();
    let reported = match result {
        RunResult::Succeeded => url.get(PROGRAM).await,
        RunResult::Failed { error } => {
            url.post_text_to(PROGRAM, "fail", cut(error, BODY_BYTES_MAX).to_owned()).await
        }
    };
    match reported {
        Ok(()) => tracing::debug!(event = "notified", %host),
        Err(err) => {
            let err = s3up_core::error_chain(&err);
            tracing::warn!(
                event = "notify_failed",
                %host,
                "cannot report the end of the run: {err}; check `notify.url`"
            );
        }
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let end = text.floor_char_boundary(bytes_max);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "ä");
        assert_eq!(cut("abc", 10), "abc");
    }
}
