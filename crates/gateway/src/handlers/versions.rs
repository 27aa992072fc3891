//! `GET /versions?path=`: the versions of one file, the newest first. Without versioning S3 has one
//! version at most, and calls it `null`.

use axum::Json;
use axum::extract::{Request, State};
use jiff::Timestamp;
use s3up_core::Code;
use s3up_core::wire::{ListedVersion, Versions};
use s3up_store::ObjectVersion;

use crate::clients::Right;
use crate::gateway::Gateway;
use crate::openapi::{FileRefusals, PathText};
use crate::refusal::Refusal;
use crate::request::query;
use crate::uploads::RETRY_FOR;

/// Lists the versions of one file, the newest first
#[utoipa::path(
    get, path = "/versions",
    params(("path" = inline(PathText), Query)),
    responses((status = 200, description = "The versions", body = Versions), FileRefusals),
    security(("client_key" = []))
)]
pub(crate) async fn versions(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<Versions>, Refusal> {
    let client = gateway.authenticate(request.headers())?;
    client.require(Right::List)?;
    let path = query::path_parameter(request.uri().query())?;
    let key = gateway.key(&client, &path)?;
    let found = gateway.store().versions(&key, RETRY_FOR).await?;
    if found.is_empty() {
        return Err(Refusal::new(Code::NotFound, format!("{path}: no such file")));
    }
    Ok(Json(Versions { versions: found.into_iter().map(listed).collect() }))
}

fn listed(version: ObjectVersion) -> ListedVersion {
    ListedVersion {
        version_id: version.version_id,
        size: version.size,
        uploaded_at: Timestamp::try_from(version.modified_at).unwrap_or_default().to_string(),
        is_latest: version.is_latest,
        is_deleted: version.is_deleted,
    }
}
