//! Parts of a URL, or the refusal for them. The rules are in [`s3up_core::url`].

use s3up_core::url::{self, UrlError};
use s3up_core::{Code, RemotePath};

use crate::refusal::Refusal;

/// Returns the parameter `name` of a query, if it has one.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Result<Option<String>, Refusal> {
    Ok(url::parameter(query, name)?)
}

/// Returns the remote path in `?path=`.
pub(crate) fn path_parameter(query: Option<&str>) -> Result<RemotePath, Refusal> {
    Ok(url::path_parameter(query)?)
}

/// Returns the remote path that follows `/files/` in the path of a URL.
pub(crate) fn path_in_url(url_path: &str) -> Result<RemotePath, Refusal> {
    Ok(url::path_after("/files/", url_path)?)
}

impl From<UrlError> for Refusal {
    fn from(err: UrlError) -> Refusal {
        match err {
            UrlError::Path(rule) => rule.into(),
            UrlError::Twice { .. } | UrlError::NoPath => Refusal::new(Code::BadRequest, err),
        }
    }
}
