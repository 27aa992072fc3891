//! `PUT /files/{path}`: a raw body.

use axum::Json;
use axum::extract::{Request, State};
use s3up_core::wire::UploadAnswer;

use crate::admit::{Announced, admit};
use crate::body::{self, BodyReader};
use crate::gateway::Gateway;
use crate::incoming::{self, Tags};
use crate::query;
use crate::refusal::Refusal;
use crate::upload::{Incoming, Received};

pub(crate) async fn put(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<UploadAnswer>, Refusal> {
    let waits = incoming::waits_for_continue(request.headers());
    let judged = judge(&gateway, &request);
    let mut body = body::reader(request.into_body());
    let outcome = match judged {
        Ok(incoming) => take(&gateway, incoming, &mut body).await,
        Err(refusal) => Err(refusal),
    };
    if outcome.is_err() && !waits {
        body::drain(&mut body).await;
    }
    outcome.map(Json)
}

async fn take(
    gateway: &Gateway,
    incoming: Incoming,
    body: &mut BodyReader,
) -> Result<UploadAnswer, Refusal> {
    match gateway.receive(incoming, body).await? {
        Received::Unchanged(answer) => Ok(answer),
        Received::Pending(pending) => pending.commit().await,
    }
}

fn judge(gateway: &Gateway, request: &Request) -> Result<Incoming, Refusal> {
    let headers = request.headers();
    let caller = gateway.caller(headers)?;
    let path = query::path_in_address(request.uri().path())?;
    if query::parameter(request.uri().query(), "path")?.is_some() {
        let what = "the path is given twice, in the address and in the query";
        return Err(Refusal::new(s3up_core::Code::BadRequest, what));
    }
    gateway.key(&caller.client, &path)?;
    let announced = incoming::content_length(headers)?;
    let announced = announced.map_or(Announced::Nothing, Announced::Exactly);
    let (part_bytes, part_bytes_max) = gateway.part_bytes();
    let admitted = admit(&caller.client, &path, announced, part_bytes, part_bytes_max)?;
    let tags = Tags::of_headers(headers)?;
    let content_type = incoming::content_type(incoming::content_type_header(headers), &path);
    Ok(Incoming { caller, path, admitted, tags, content_type, place: None })
}
