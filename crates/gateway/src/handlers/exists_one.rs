//! `GET /exists?path=`: returns whether a file is stored, and its facts.

use axum::Json;
use axum::extract::{Request, State};
use jiff::Timestamp;
use s3up_core::wire::{ExistsResponse, StoredFile};
use s3up_store::ObjectFacts;

use crate::clients::Right;
use crate::gateway::Gateway;
use crate::openapi::{ExistsAnswer, FileRefusals, PathText};
use crate::refusal::Refusal;
use crate::request::query;
use crate::uploads::RETRY_FOR;
use crate::uploads::metadata::stored_mtime_ns;

/// Return whether a file is stored
#[utoipa::path(
    get, path = "/exists",
    params(("path" = inline(PathText), Query)),
    responses((status = 200, description = "The facts of the file", body = inline(ExistsAnswer)), FileRefusals),
    security(("client_key" = []))
)]
pub(crate) async fn exists_one(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<ExistsResponse>, Refusal> {
    let client = gateway.authenticate(request.headers())?;
    client.require(Right::Exists)?;
    let path = query::path_parameter(request.uri().query())?;
    let key = gateway.key(&client, &path)?;
    let found = gateway.store().head(&key, None, RETRY_FOR).await?;
    let mut file = found.as_ref().map(stored_file);
    if let (Some(found), Some(file)) = (&found, &mut file)
        && file.sha256.is_none()
    {
        let entries = gateway.database().entries(&client.policy.name, std::slice::from_ref(&path));
        let entry = entries.await.remove(&path);
        file.sha256 = entry.filter(|entry| entry.describes(found)).and_then(|entry| entry.sha256);
    }
    Ok(Json(ExistsResponse { exists: file.is_some(), file }))
}

fn stored_file(found: &ObjectFacts) -> StoredFile {
    let uploaded_at = Timestamp::try_from(found.modified_at).unwrap_or_default();
    StoredFile {
        size: found.size,
        sha256: found.sha256,
        mtime_ns: stored_mtime_ns(&found.metadata),
        uploaded_at: uploaded_at.to_string(),
        version_id: found.version_id.clone(),
    }
}
