//! The style sheet, the script and the icon. They are part of the program, and their names have a hash, so
//! that a browser never has to ask for them again.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use s3up_core::{Code, Sha256Digest};

use crate::refusal::Refusal;

const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Hex digits of the hash in a name.
const HASH_CHARS: usize = 16;

pub(super) struct Asset {
    /// Name with a hash of the content.
    name: String,
    content_type: &'static str,
    content: &'static str,
}

pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css", include_str!("assets/style.css")));
pub(super) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("live", "js", "text/javascript", include_str!("assets/live.js")));
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

impl Asset {
    fn new(
        stem: &str,
        extension: &str,
        content_type: &'static str,
        content: &'static str,
    ) -> Asset {
        let hash = Sha256Digest::of(content.as_bytes()).to_string();
        let name = format!("{stem}.{}.{extension}", &hash[..HASH_CHARS]);
        Asset { name, content_type, content }
    }

    /// Returns the path of its URL.
    pub(super) fn url(&self) -> String {
        format!("/dashboard/assets/{}", self.name)
    }
}

pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Refusal> {
    let all = [&*STYLE, &*SCRIPT, &*ICON];
    let found = all.into_iter().find(|asset| asset.name == name).ok_or_else(|| {
        Refusal::new(Code::NotFound, "no such file; load the page again: it names the present one")
    })?;
    let headers = [
        (header::CONTENT_TYPE, format!("{}; charset=utf-8", found.content_type)),
        (header::CACHE_CONTROL, FOR_EVER.to_owned()),
    ];
    Ok((headers, found.content).into_response())
}
