//! `PUT /files/{path}`: stores the request body as a file.

use axum::Json;
use axum::extract::{Request, State};
use s3up_core::Code;
use s3up_core::wire::UploadResponse;

use crate::gateway::Gateway;
use crate::openapi::{ModeText, PathText, ReprDigestText, UploadRefusals};
use crate::refusal::Refusal;
use crate::request::{body, headers, query};
use crate::uploads::admission::AnnouncedLength;
use crate::uploads::metadata::content_type;
use crate::uploads::stage::{IncomingFile, StageResult};

/// Stores the request body as a file
#[utoipa::path(
    put, path = "/files/{path}",
    params(
        ("path" = inline(PathText), Path),
        ("Repr-Digest" = inline(Option<ReprDigestText>), Header, description = "SHA-256 of the body (RFC 9530)"),
        ("X-Mtime-Ns" = Option<i64>, Header, description = "Modification time in nanoseconds since 1970"),
        ("X-Mode" = inline(Option<ModeText>), Header, description = "Permission bits in octal"),
        ("X-Hot" = Option<bool>, Header, description = "The file had not settled: `overwrite: never` lets its next version replace it"),
    ),
    request_body(content = inline(crate::openapi::FileBytes), content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "The file is safe in S3", body = UploadResponse),
        UploadRefusals,
    ),
    security(("client_key" = []))
)]
pub(crate) async fn put_file(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<UploadResponse>, Refusal> {
    let file = admit(&gateway, &request)?;
    let body = body::reader(request.into_body());
    let response = match gateway.uploads().stage(file, body).await? {
        StageResult::Unchanged(response) => response,
        StageResult::Staged(staged) => staged.commit().await?,
    };
    Ok(Json(response))
}

fn admit(gateway: &Gateway, request: &Request) -> Result<IncomingFile, Refusal> {
    let fields = request.headers();
    let client = gateway.authenticate(fields)?;
    let path = query::path_in_url(request.uri().path())?;
    if query::parameter(request.uri().query(), "path")?.is_some() {
        let what = "expected the path in the URL only, found another one in the query";
        return Err(Refusal::new(Code::BadRequest, what));
    }
    headers::check_body(request.version(), fields)?;
    let announced = headers::content_length(fields)?;
    let announced = announced.map_or(AnnouncedLength::Unknown, AnnouncedLength::Exactly);
    let (key, admission) = gateway.admit(&client, &path, announced)?;
    let metadata = headers::file_metadata(fields)?;
    let content_type = content_type(headers::content_type(fields)?, &path);
    Ok(IncomingFile { client, key, admission, metadata, content_type, slot: None })
}
