//! `GET /exists?path=`: what is stored under a path.

use axum::Json;
use axum::extract::{Request, State};
use jiff::Timestamp;
use s3up_core::Code;
use s3up_core::wire::{ExistsAnswer, StoredFile};
use s3up_store::ObjectFacts;

use crate::client::Right;
use crate::gateway::Gateway;
use crate::incoming::MTIME_NS_METADATA;
use crate::query;
use crate::refusal::Refusal;
use crate::upload::RETRY_FOR;

pub(crate) async fn exists(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<ExistsAnswer>, Refusal> {
    let caller = gateway.caller(request.headers())?;
    if !caller.client.rights.contains(&Right::Exists) {
        return Err(Refusal::new(Code::Forbidden, "this key may not ask what exists"));
    }
    let path = query::path_parameter(request.uri().query())?;
    let key = gateway.key(&caller.client, &path)?;
    let found = gateway.store().head(&key, None, RETRY_FOR).await?;
    let file = found.as_ref().map(stored_file);
    Ok(Json(ExistsAnswer { exists: file.is_some(), file }))
}

fn stored_file(found: &ObjectFacts) -> StoredFile {
    let uploaded_at = Timestamp::try_from(found.modified_at).unwrap_or_default();
    StoredFile {
        size: found.size,
        sha256: found.sha256,
        mtime_ns: found.metadata.get(MTIME_NS_METADATA).and_then(|ns| ns.parse().ok()),
        uploaded_at: uploaded_at.to_string(),
        version_id: found.version_id.clone(),
    }
}
