//! A URL that is a secret, and short requests to it: the services that watch for a run or take an alert.
//!
//! Such a URL names its receiver, so a person who knows it can send in our name. It is never in a log or an
//! error; its host may be.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url, redirect};
use serde::Serialize;

use crate::Secret;

/// Limit of a whole exchange.
const TIME_MAX: Duration = Duration::from_secs(10);

/// A checked URL with its host.
#[derive(Clone, Debug)]
pub struct SecretUrl {
    url: Secret,
    host: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL with http:// or https:// and a host")]
pub struct SecretUrlError;

#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("expected a success status, found {0}")]
    Status(reqwest::StatusCode),
    #[error(transparent)]
    Url(#[from] SecretUrlError),
}

impl SecretUrl {
    pub fn new(url: Secret) -> Result<SecretUrl, SecretUrlError> {
        let host = parse(&url)?.host_str().ok_or(SecretUrlError)?.to_owned();
        Ok(SecretUrl { url, host })
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// Sends a GET. `program` is the user agent, like `s3up-server/0.1.0`.
    pub async fn get(&self, program: &str) -> Result<(), RequestError> {
        finish(client(program)?.get(parse(&self.url)?)).await
    }

    /// Sends a value as JSON.
    pub async fn post_json(
        &self,
        program: &str,
        body: &impl Serialize,
    ) -> Result<(), RequestError> {
        finish(client(program)?.post(parse(&self.url)?).json(body)).await
    }

    /// Sends a text to the same URL with `segment` added to its path.
    pub async fn post_text_to(
        &self,
        program: &str,
        segment: &str,
        text: String,
    ) -> Result<(), RequestError> {
        let url = with_segment(parse(&self.url)?, segment);
        finish(client(program)?.post(url).body(text)).await
    }
}

fn client(program: &str) -> Result<Client, RequestError> {
    let client = Client::builder().user_agent(program).redirect(redirect::Policy::none());
    Ok(client.timeout(TIME_MAX).build()?)
}

async fn finish(request: RequestBuilder) -> Result<(), RequestError> {
    let answer = request.send().await.map_err(reqwest::Error::without_url)?;
    if answer.status().is_success() { Ok(()) } else { Err(RequestError::Status(answer.status())) }
}

fn parse(url: &Secret) -> Result<Url, SecretUrlError> {
    let url = Url::parse(url.expose()).map_err(|_| SecretUrlError)?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_web { Ok(url) } else { Err(SecretUrlError) }
}

/// Adds a segment to the path, before the query.
fn with_segment(mut url: Url, segment: &str) -> Url {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push(segment);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_added_before_the_query() {
        #[rustfmt::skip]
        let cases = [
            ("https://hc.example.com/uuid",         "https://hc.example.com/uuid/fail"),
            ("https://hc.example.com/uuid/",        "https://hc.example.com/uuid/fail"),
            ("https://hc.example.com",              "https://hc.example.com/fail"),
            ("http://127.0.0.1:8000/ping/a?rid=7",  "http://127.0.0.1:8000/ping/a/fail?rid=7"),
        ];
        for (url, want) in cases {
            assert_eq!(with_segment(Url::parse(url).unwrap(), "fail").as_str(), want);
        }
    }

    #[test]
    fn an_invalid_url_is_refused_and_not_repeated() {
        for text in ["", "hunter2", "ftp://host/hunter2", "http://", "file:///hunter2"] {
            let err = SecretUrl::new(Secret::new(text.to_owned())).unwrap_err();
            assert!(!err.to_string().contains("hunter2"), "{err}");
        }
        let url = SecretUrl::new(Secret::new("https://hc.example.com/hunter2".to_owned())).unwrap();
        assert_eq!(url.host(), "hc.example.com");
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
