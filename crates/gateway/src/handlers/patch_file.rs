//! `PATCH /files/{path}`: changes mtime and mode of a stored file, without its content.

use axum::Json;
use axum::extract::{Request, State};
use s3up_core::Code;
use s3up_core::wire::{Problem, REPR_DIGEST_HEADER, UploadResponse};

use crate::gateway::Gateway;
use crate::openapi::{ModeText, PathText, ReprDigestText, UploadRefusals};
use crate::refusal::Refusal;
use crate::request::{headers, query};
use crate::uploads::admission::AnnouncedLength;
use crate::uploads::stage::IncomingFile;

/// Changes the metadata of a stored file
#[utoipa::path(
    patch, path = "/files/{path}",
    params(
        ("path" = inline(PathText), Path),
        ("Repr-Digest" = inline(ReprDigestText), Header, description = "SHA-256 of the stored file (RFC 9530)"),
        ("X-Mtime-Ns" = Option<i64>, Header, description = "Modification time in nanoseconds since 1970"),
        ("X-Mode" = inline(Option<ModeText>), Header, description = "Permission bits in octal"),
    ),
    responses(
        (status = 200, description = "The stored file has this metadata", body = UploadResponse),
        (status = 404, description = "No file is stored under this path", body = Problem, content_type = "application/problem+json"),
        UploadRefusals,
    ),
    security(("client_key" = []))
)]
pub(crate) async fn patch_file(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<UploadResponse>, Refusal> {
    let fields = request.headers();
    let client = gateway.authenticate(fields)?;
    let path = query::path_in_url(request.uri().path())?;
    let metadata = headers::file_metadata(fields)?;
    let sha256 = metadata.sha256.ok_or_else(|| {
        let what = format!("expected the SHA-256 of the stored file in {REPR_DIGEST_HEADER}");
        Refusal::new(Code::BadRequest, what)
    })?;
    let (key, admission) = gateway.admit(&client, &path, AnnouncedLength::Unknown)?;
    let content_type = String::new();
    let file = IncomingFile { client, key, admission, metadata, content_type, slot: None };
    Ok(Json(gateway.uploads().update_metadata(file, sha256).await?))
}
