//! `GET /versions?path=`: the versions of one file, the newest first. Without versioning S3 has one
//! version at most, and calls it `null`.
//!
//! `GET /versions?prefix=&cursor=&limit=`: the versions of all files below a directory, one page at a
//! time. This is how files that were deleted or overwritten are found.

use axum::Json;
use axum::extract::{Request, State};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use s3up_core::wire::{ListedVersion, Versions};
use s3up_core::{Code, RemotePath, file_path};
use s3up_store::{ObjectVersion, VersionMarker};

use super::list::{class_to_tell, directory, limit};
use crate::clients::{Client, Right};
use crate::gateway::Gateway;
use crate::openapi::{CursorText, DirText, FileRefusals, PathText};
use crate::refusal::Refusal;
use crate::request::query;
use crate::uploads::RETRY_FOR;

/// Lists the versions of one file, or of all files of a directory
#[utoipa::path(
    get, path = "/versions",
    params(
        ("path" = inline(Option<PathText>), Query, description = "One file; either this or `prefix` is required"),
        ("prefix" = inline(Option<DirText>), Query, description = "A directory; an empty one stands for all files"),
        ("cursor" = inline(Option<CursorText>), Query, description = "With `prefix`: the `cursor` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "With `prefix`: versions on the page"),
    ),
    responses((status = 200, description = "The versions", body = Versions), FileRefusals),
    security(("client_key" = []))
)]
pub(crate) async fn versions(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<Versions>, Refusal> {
    let client = gateway.authenticate(request.headers())?;
    client.require(Right::List)?;
    let _slot = client.request_slot().await?;
    let query = request.uri().query();
    match query::parameter(query, "prefix")? {
        None => {
            for name in ["cursor", "limit"] {
                if query::parameter(query, name)?.is_some() {
                    let what = format!("`{name}`: expected only with `prefix`, found with `path`");
                    return Err(Refusal::new(Code::BadRequest, what));
                }
            }
            of_file(&gateway, &client, &query::path_parameter(query)?).await
        }
        Some(_) if query::parameter(query, "path")?.is_some() => {
            let what = "expected either `path` or `prefix`, found both";
            Err(Refusal::new(Code::BadRequest, what))
        }
        Some(prefix) => below(&gateway, &client, &prefix, query).await,
    }
}

async fn of_file(
    gateway: &Gateway,
    client: &Client,
    path: &RemotePath,
) -> Result<Json<Versions>, Refusal> {
    let key = gateway.key(client, path)?;
    let found = gateway.answering_store()?.versions(&key, RETRY_FOR).await?;
    if found.is_empty() {
        return Err(Refusal::new(Code::NotFound, format!("{path}: no such file")));
    }
    let versions = found.into_iter().map(|version| listed(path, version)).collect();
    Ok(Json(Versions { versions, cursor: None }))
}

async fn below(
    gateway: &Gateway,
    client: &Client,
    prefix: &str,
    query: Option<&str>,
) -> Result<Json<Versions>, Refusal> {
    let directory = directory(prefix)?.map(|path| gateway.key(client, &path)).transpose()?;
    let after = query::parameter(query, "cursor")?.as_deref().map(decode_cursor).transpose()?;
    let limit = limit(query::parameter(query, "limit")?.as_deref())?;
    let name = &client.policy.name;
    let root = format!("{}{name}/", gateway.prefix());
    let after = after.map(|Cursor(path, version_id)| VersionMarker {
        key: Some(format!("{root}{path}")),
        version_id,
    });
    let below = directory.map_or_else(|| root.clone(), |key| format!("{key}/"));
    let page = gateway
        .answering_store()?
        .versions_below(&below, &after.unwrap_or_default(), limit, RETRY_FOR)
        .await?;
    let cursor = page.next.and_then(|next| {
        let path = next.key?.strip_prefix(&root)?.to_owned();
        Some(encode_cursor(&Cursor(path, next.version_id)))
    });
    // A gateway writes no key that is not one of a file.
    let path = |key: &str| file_path(key, gateway.prefix(), name);
    let versions = page.versions.into_iter();
    let versions = versions.filter_map(|(key, version)| Some(listed(&path(&key)?, version)));
    Ok(Json(Versions { versions: versions.collect(), cursor }))
}

/// The last path of a page, and its last version.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Cursor(String, Option<String>);

fn encode_cursor(cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).expect("texts are JSON"))
}

fn decode_cursor(text: &str) -> Result<Cursor, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let cursor = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    cursor.filter(|Cursor(path, _)| !path.is_empty()).ok_or_else(|| {
        Refusal::new(Code::BadRequest, "`cursor`: expected the cursor of an earlier page")
    })
}

fn listed(path: &RemotePath, version: ObjectVersion) -> ListedVersion {
    ListedVersion {
        path: path.to_string(),
        version_id: version.version_id,
        size: version.size,
        uploaded_at: Timestamp::try_from(version.modified_at).unwrap_or_default().to_string(),
        is_latest: version.is_latest,
        is_deleted: version.is_deleted,
        storage_class: class_to_tell(version.storage_class),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_decoded_to_what_was_encoded() {
        for version_id in [None, Some("v\"1".to_owned())] {
            let cursor = Cursor("a/é".to_owned(), version_id);
            assert_eq!(decode_cursor(&encode_cursor(&cursor)).unwrap(), cursor);
        }
        for text in ["", "?", "YQ", "WyIiLG51bGxd"] {
            assert_eq!(decode_cursor(text).unwrap_err().code, Code::BadRequest, "{text}");
        }
    }
}
