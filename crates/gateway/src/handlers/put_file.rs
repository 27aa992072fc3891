//! `PUT /files/{path}`: stores the request body as a file.

use axum::Json;
use axum::extract::{Request, State};
use s3up_core::Code;
use s3up_core::wire::UploadResponse;

use crate::gateway::Gateway;
use crate::refusal::Refusal;
use crate::request::body::{self, BodyReader};
use crate::request::{headers, query};
use crate::uploads::admission::AnnouncedLength;
use crate::uploads::metadata::content_type;
use crate::uploads::stage::{IncomingFile, StageResult};

pub(crate) async fn put_file(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<UploadResponse>, Refusal> {
    let body_is_sent = !headers::expects_continue(request.headers());
    let admitted = admit(&gateway, &request);
    let mut body = body::reader(request.into_body());
    let outcome = match admitted {
        Ok(file) => store(&gateway, file, &mut body).await,
        Err(refusal) => Err(refusal),
    };
    if outcome.is_err() && body_is_sent {
        body::drain(&mut body).await;
    }
    outcome.map(Json)
}

async fn store(
    gateway: &Gateway,
    file: IncomingFile,
    body: &mut BodyReader,
) -> Result<UploadResponse, Refusal> {
    match gateway.uploads().stage(file, body).await? {
        StageResult::Unchanged(response) => Ok(response),
        StageResult::Staged(staged) => staged.commit().await,
    }
}

fn admit(gateway: &Gateway, request: &Request) -> Result<IncomingFile, Refusal> {
    let fields = request.headers();
    let client = gateway.authenticate(fields)?;
    let path = query::path_in_url(request.uri().path())?;
    if query::parameter(request.uri().query(), "path")?.is_some() {
        let what = "the path is given twice: in the URL path and in the query";
        return Err(Refusal::new(Code::BadRequest, what));
    }
    let announced = headers::content_length(fields)?;
    let announced = announced.map_or(AnnouncedLength::Unknown, AnnouncedLength::Exactly);
    let (key, admission) = gateway.admit(&client, &path, announced)?;
    let metadata = headers::file_metadata(fields)?;
    let content_type = content_type(headers::content_type(fields), &path);
    Ok(IncomingFile { client, key, admission, metadata, content_type, slot: None })
}
