//! Reports the end of a run to a dead man's switch (`notify.url`).
//!
//! A successful run is a GET of the URL, even if nothing was due: such a service
//! watches for the silence of a timer that died. A failed run is a POST to the same URL
//! with `/fail` added to its path and the error as its body. The request has a short
//! timeout, and its failure is only a warning. The URL is a secret: logs name its host
//! only.

use std::time::Duration;

use reqwest::{Client, Url, redirect};
use s3up_cli::Secret;

/// Limit of the whole exchange.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Longest body that such services keep.
const BODY_BYTES_MAX: usize = 10_000;

/// The result of a run, as it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunResult<'a> {
    Succeeded,
    Failed { error: &'a str },
}

#[derive(Clone, Debug)]
pub struct Notify {
    url: Secret,
    host: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL with http:// or https:// and a host")]
pub struct NotifyUrlError;

#[derive(Debug, thiserror::Error)]
enum PingError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("expected a success status, found {0}")]
    Status(reqwest::StatusCode),
    #[error(transparent)]
    Url(#[from] NotifyUrlError),
}

impl Notify {
    pub fn new(url: Secret) -> Result<Notify, NotifyUrlError> {
        let host = parse(&url)?.host_str().ok_or(NotifyUrlError)?.to_owned();
        Ok(Notify { url, host })
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub async fn report(&self, result: RunResult<'_>) {
        let host = &self.host;
        match self.ping(result).await {
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

    async fn ping(&self, result: RunResult<'_>) -> Result<(), PingError> {
        let url = parse(&self.url)?;
        let client = Client::builder()
            .user_agent(concat!("btrfs-to-s3/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .timeout(TIME_MAX)
            .build()?;
        let request = match result {
            RunResult::Succeeded => client.get(url),
            RunResult::Failed { error } => {
                client.post(failure_url(url)).body(cut(error, BODY_BYTES_MAX).to_owned())
            }
        };
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        if !answer.status().is_success() {
            return Err(PingError::Status(answer.status()));
        }
        Ok(())
    }
}

fn parse(url: &Secret) -> Result<Url, NotifyUrlError> {
    let url = Url::parse(url.expose()).map_err(|_| NotifyUrlError)?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_web { Ok(url) } else { Err(NotifyUrlError) }
}

/// Adds `/fail` to the path, before the query.
fn failure_url(mut url: Url) -> Url {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("fail");
    }
    url
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let end = text.floor_char_boundary(bytes_max);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_posted_to_its_own_path() {
        #[rustfmt::skip]
        let cases = [
            ("https://hc.example.com/uuid",         "https://hc.example.com/uuid/fail"),
            ("https://hc.example.com/uuid/",        "https://hc.example.com/uuid/fail"),
            ("https://hc.example.com",              "https://hc.example.com/fail"),
            ("http://127.0.0.1:8000/ping/a?rid=7",  "http://127.0.0.1:8000/ping/a/fail?rid=7"),
        ];
        for (url, want) in cases {
            assert_eq!(failure_url(Url::parse(url).unwrap()).as_str(), want);
        }
    }

    #[test]
    fn an_invalid_url_is_refused_and_not_repeated() {
        for text in ["", "hunter2", "ftp://host/hunter2", "http://", "file:///hunter2"] {
            let err = Notify::new(Secret::new(text.to_owned())).unwrap_err();
            assert!(!err.to_string().contains("hunter2"), "{err}");
        }
        let notify = Notify::new(Secret::new("https://hc.example.com/hunter2".to_owned())).unwrap();
        assert_eq!(notify.host(), "hc.example.com");
        assert!(!format!("{notify:?}").contains("hunter2"));
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "ä");
        assert_eq!(cut("abc", 10), "abc");
    }
}
