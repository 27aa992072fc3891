//! `POST /exists`: returns for many files at once whether they are stored, or why an upload of them
//! would be refused.
//!
//! S3 is asked about each of them, some at a time. The catalogue is asked once, for the SHA-256 of
//! files whose object does not carry it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use futures::{StreamExt, TryStreamExt, stream};
use s3up_core::wire::{
    EXISTS_FILES_MAX, ExistsQuery, QueriedFile, Verdict, VerdictOfFile, Verdicts,
};
use s3up_core::{Code, RemotePath};
use s3up_store::ObjectFacts;

use crate::clients::{Client, OverwritePolicy, Right};
use crate::database::record::CatalogueEntry;
use crate::gateway::Gateway;
use crate::openapi::JsonRefusals;
use crate::refusal::Refusal;
use crate::request::json;
use crate::uploads::RETRY_FOR;
use crate::uploads::admission::AnnouncedLength;
use crate::uploads::metadata::is_stored_hot;

/// Maximum length of the body: a thousand of the longest paths.
const BODY_BYTES_MAX: u64 = 4 << 20;
/// Number of files that one query asks S3 about at the same time.
const HEADS_IN_FLIGHT: usize = 16;

/// Returns for many files whether they are stored
#[utoipa::path(
    post, path = "/exists",
    request_body = ExistsQuery,
    responses((status = 200, description = "A verdict for each file", body = Verdicts), JsonRefusals),
    security(("client_key" = []))
)]
pub(crate) async fn exists_many(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<Verdicts>, Refusal> {
    let client = gateway.authenticate(request.headers())?;
    client.require(Right::Exists)?;
    let _slot = client.request_slot().await?;
    let (query, _memory): (ExistsQuery, _) =
        json::read(&gateway, &client, request, BODY_BYTES_MAX).await?;
    if query.files.len() > EXISTS_FILES_MAX {
        let found = query.files.len();
        let what = format!("`files`: expected at most {EXISTS_FILES_MAX}, found {found}");
        return Err(Refusal::new(Code::BadRequest, what));
    }
    let paths: Vec<_> =
        query.files.iter().filter_map(|file| RemotePath::parse(&file.path).ok()).collect();
    let entries = Arc::new(gateway.database().entries(&client.policy.name, &paths).await);
    let quota_left = gateway.quota_left(&client).await;
    let files = stream::iter(query.files).map(|file| {
        let (gateway, client, entries) = (gateway.clone(), client.clone(), entries.clone());
        async move { verdict_of(&gateway, &client, &entries, quota_left, file).await }
    });
    let files = files.buffered(HEADS_IN_FLIGHT).try_collect().await?;
    Ok(Json(Verdicts { files }))
}

async fn verdict_of(
    gateway: &Gateway,
    client: &Client,
    entries: &BTreeMap<RemotePath, CatalogueEntry>,
    quota_left: Option<u64>,
    file: QueriedFile,
) -> Result<VerdictOfFile, Refusal> {
    let bad_path = |path| VerdictOfFile { path, verdict: Verdict::BadPath, version_id: None };
    let Ok(path) = RemotePath::parse(&file.path) else { return Ok(bad_path(file.path)) };
    let Ok(key) = gateway.key(client, &path) else { return Ok(bad_path(file.path)) };
    let permit = client.file_query_permit().await;
    let found = gateway.answering_store()?.head(&key, None, RETRY_FOR).await?;
    drop(permit);
    let may_upload = client.policy.rights.contains(&Right::Upload);
    let refused = match gateway.try_admit(client, &path, AnnouncedLength::Exactly(file.size)) {
        Err(refusal) if may_upload => Some(refusal.code),
        Ok(_) if may_upload => {
            let more = file.size.saturating_sub(found.as_ref().map_or(0, |found| found.size));
            quota_left.is_some_and(|left| more > left).then_some(Code::Quota)
        }
        Err(_) | Ok(_) => None,
    };
    let verdict = verdict(&file, found.as_ref(), entries.get(&path), client, refused);
    let version_id = found.filter(|_| verdict == Verdict::Unchanged).and_then(|it| it.version_id);
    Ok(VerdictOfFile { path: file.path, verdict, version_id })
}

/// Decides about one file. What is stored already is `unchanged`, also if it could not be uploaded
/// any more.
fn verdict(
    file: &QueriedFile,
    found: Option<&ObjectFacts>,
    entry: Option<&CatalogueEntry>,
    client: &Client,
    refused: Option<Code>,
) -> Verdict {
    let entry = entry.filter(|entry| found.is_some_and(|found| entry.describes(found)));
    let known = found.and_then(|found| found.sha256).or(entry.and_then(|entry| entry.sha256));
    if found.is_some_and(|found| found.size == file.size) && known == Some(file.sha256) {
        return Verdict::Unchanged;
    }
    match refused {
        Some(Code::TooLarge) => return Verdict::TooLarge,
        Some(Code::Quota) => return Verdict::Quota,
        Some(_) => return Verdict::Forbidden,
        None => {}
    }
    match (found, client.policy.overwrite) {
        (None, _) => Verdict::Missing,
        (Some(_), OverwritePolicy::Versioned) => Verdict::Differs,
        // Its next version may replace it.
        (Some(found), OverwritePolicy::Never) if is_stored_hot(&found.metadata) => Verdict::Differs,
        (Some(_), OverwritePolicy::Never) => Verdict::Forbidden,
    }
}
