//! `GET /list?prefix=&cursor=&limit=`: the client's own files, one page at a time.
//!
//! S3 is listed, because it is the truth. The catalogue adds what it knows of the versions that S3
//! lists. A cursor is the last path of a page, so it stays valid while files come and go.

use axum::Json;
use axum::extract::{Request, State};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use s3up_core::wire::{LIST_LIMIT_MAX, ListedFile, Listing};
use s3up_core::{ClientName, Code, KeyPrefix, RemotePath, file_path};
use s3up_store::Listed;

use crate::clients::Right;
use crate::database::record::CatalogueEntry;
use crate::gateway::Gateway;
use crate::openapi::{CursorText, DirText, FileRefusals};
use crate::refusal::Refusal;
use crate::request::query;
use crate::uploads::RETRY_FOR;

/// Lists the files of the client, one page at a time
#[utoipa::path(
    get, path = "/list",
    params(
        ("prefix" = inline(Option<DirText>), Query, description = "A directory; without it, all files are listed"),
        ("cursor" = inline(Option<CursorText>), Query, description = "The `cursor` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Files on the page"),
    ),
    responses((status = 200, description = "A page", body = Listing), FileRefusals),
    security(("client_key" = []))
)]
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<Listing>, Refusal> {
    let client = gateway.authenticate(request.headers())?;
    client.require(Right::List)?;
    let _slot = client.request_slot().await?;
    let query = request.uri().query();
    let directory = directory(query::parameter(query, "prefix")?.as_deref().unwrap_or_default())?;
    let directory = directory.map(|path| gateway.key(&client, &path)).transpose()?;
    let after = query::parameter(query, "cursor")?.as_deref().map(decode_cursor).transpose()?;
    let limit = limit(query::parameter(query, "limit")?.as_deref())?;

    let name = &client.policy.name;
    let root = format!("{}{name}/", gateway.prefix());
    let after = after.map(|path| format!("{root}{path}"));
    let below = directory.map_or_else(|| root.clone(), |key| format!("{key}/"));
    let page =
        gateway.answering_store()?.list_after(&below, after.as_deref(), limit, RETRY_FOR).await?;
    let last = page.objects.last().and_then(|object| object.key.strip_prefix(&root));
    let cursor = last.filter(|_| !page.is_last).map(|path| URL_SAFE_NO_PAD.encode(path));

    let listed = paths(&page.objects, gateway.prefix(), name);
    let all: Vec<_> = listed.iter().map(|(path, _)| path.clone()).collect();
    let mut entries = gateway.database().entries(name, &all).await;
    let files = listed.into_iter().map(|(path, object)| {
        let entry = entries.remove(&path);
        listed_file(&path, object, entry.filter(|entry| entry.describes_listed(object)))
    });
    Ok(Json(Listing { files: files.collect(), cursor }))
}

/// Returns the objects whose key is one of a file; a gateway writes no other.
fn paths<'o>(
    objects: &'o [Listed],
    prefix: &KeyPrefix,
    client: &ClientName,
) -> Vec<(RemotePath, &'o Listed)> {
    let path = |object: &'o Listed| Some((file_path(&object.key, prefix, client)?, object));
    objects.iter().filter_map(path).collect()
}

/// Returns the directory to list, or `None` for all files.
pub(crate) fn directory(prefix: &str) -> Result<Option<RemotePath>, Refusal> {
    match prefix.strip_suffix('/').unwrap_or(prefix) {
        "" if prefix.is_empty() => Ok(None),
        bare => Ok(Some(RemotePath::parse(bare)?)),
    }
}

pub(super) fn limit(text: Option<&str>) -> Result<usize, Refusal> {
    let Some(text) = text else { return Ok(LIST_LIMIT_MAX) };
    let number = text.parse().ok().filter(|limit| (1..=LIST_LIMIT_MAX).contains(limit));
    number.ok_or_else(|| {
        let what = format!("`limit`: expected 1 to {LIST_LIMIT_MAX}, found {text:?}");
        Refusal::new(Code::BadRequest, what)
    })
}

fn decode_cursor(text: &str) -> Result<String, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let path = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    path.filter(|path| !path.is_empty()).ok_or_else(|| {
        Refusal::new(Code::BadRequest, "`cursor`: expected the cursor of an earlier page")
    })
}

fn listed_file(path: &RemotePath, object: &Listed, entry: Option<CatalogueEntry>) -> ListedFile {
    ListedFile {
        path: path.to_string(),
        size: object.size,
        uploaded_at: Timestamp::try_from(object.modified_at).unwrap_or_default().to_string(),
        sha256: entry.as_ref().and_then(|entry| entry.sha256),
        mtime_ns: entry.as_ref().and_then(|entry| entry.mtime_ns),
        mode: entry.as_ref().and_then(|entry| entry.mode).map(|mode| format!("{mode:04o}")),
        storage_class: class_to_tell(object.storage_class.clone()),
    }
}

/// Returns the storage class unless it is the ordinary one.
pub(super) fn class_to_tell(class: Option<String>) -> Option<String> {
    class.filter(|class| class != "STANDARD")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_directory() {
        #[rustfmt::skip]
        let cases = [
            ("",       Ok(None)),
            ("a",      Ok(Some("a"))),
            ("a/",     Ok(Some("a"))),
            ("a/b/",   Ok(Some("a/b"))),
            ("/",      Err(Code::BadPath)),
            ("a//",    Err(Code::BadPath)),
            ("../x",   Err(Code::BadPath)),
            ("a/..",   Err(Code::BadPath)),
            ("/a",     Err(Code::BadPath)),
        ];
        for (prefix, want) in cases {
            let got = directory(prefix).map_err(|refusal| refusal.code);
            let got = got.map(|path| path.map(|path| path.to_string()));
            assert_eq!(got, want.map(|path| path.map(str::to_owned)), "{prefix:?}");
        }
    }

    #[test]
    fn a_limit_and_a_cursor_are_checked() {
        assert_eq!(limit(None).unwrap(), 1000);
        assert_eq!(limit(Some("1")).unwrap(), 1);
        for text in ["0", "1001", "-1", "x", ""] {
            assert_eq!(limit(Some(text)).unwrap_err().code, Code::BadRequest, "{text}");
        }
        assert_eq!(decode_cursor(&URL_SAFE_NO_PAD.encode("a/é")).unwrap(), "a/é");
        for text in ["", "?", "_w"] {
            assert_eq!(decode_cursor(text).unwrap_err().code, Code::BadRequest, "{text}");
        }
    }
}
