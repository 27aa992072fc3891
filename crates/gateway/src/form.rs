//! `POST /upload`: a form (multipart/form-data), its fields in either order.
//!
//! Where `path` comes before `file`, the file streams straight into S3. Where
//! it comes after, the file waits in a temporary file that has no name, so
//! nothing is left of it however this ends. The size limit holds either way,
//! while bytes arrive.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use futures::TryStreamExt;
use multer::{Field, Multipart};
use s3up_core::part::OBJECT_BYTES_MAX;
use s3up_core::wire::UploadAnswer;
use s3up_core::{Code, RemotePath};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::io::StreamReader;

use crate::admit::{Announced, admit};
use crate::body::{self, BodyError};
use crate::client::{Caller, Right};
use crate::gateway::Gateway;
use crate::incoming::{self, Tags};
use crate::refusal::{Refusal, too_large};
use crate::upload::{Incoming, Received};

/// Longest text field; a path is the longest that makes sense.
const FIELD_BYTES_MAX: usize = 4 << 10;
/// Boundaries, headers and text fields around the file.
const FORM_OVERHEAD_BYTES: u64 = 64 << 10;
const FIELDS: &str = "`path`, `file`, `sha256`, `mtime_ns` and `mode`";

/// The text fields that came so far.
#[derive(Default)]
struct Fields {
    path: Option<RemotePath>,
    tags: Tags,
    seen: Vec<String>,
}

/// Where the file went.
enum FilePart {
    Missing,
    Received(Received),
    /// In a temporary file.
    Spooled(Spool),
}

/// A file that came before its path.
struct Spool {
    file: File,
    len: u64,
    /// The type that was said.
    content_type: Option<String>,
    /// Temporary files are bounded by the uploads that a client may have.
    place: OwnedSemaphorePermit,
}

pub(crate) async fn post(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<UploadAnswer>, Refusal> {
    let waits = incoming::waits_for_continue(request.headers());
    let judged = judge(&gateway, request.headers());
    let query = request.uri().query().map(str::to_owned);
    let body = body::paced(request.into_body());
    let (caller, boundary, bytes_max) = match judged {
        Ok(judged) => judged,
        Err(refusal) => {
            if !waits {
                body::drain(StreamReader::new(body)).await;
            }
            return Err(refusal);
        }
    };
    if crate::query::parameter(query.as_deref(), "path")?.is_some() {
        let what = "`path` belongs into the form, not into the query";
        return Err(Refusal::new(Code::BadRequest, what));
    }
    let mut parts = Multipart::new(body, boundary);
    let outcome = Form { gateway, caller, bytes_max }.take(&mut parts).await;
    if outcome.is_err() && !waits {
        drain(&mut parts).await;
    }
    outcome.map(Json)
}

/// Reads on for a while, so that a refusal reaches a client that is still
/// sending.
async fn drain(form: &mut Multipart<'static>) {
    let rest = async {
        let mut left = body::DRAIN_BYTES_MAX;
        while let Ok(Some(mut field)) = form.next_field().await {
            while let Ok(Some(piece)) = field.chunk().await {
                left = left.saturating_sub(piece.len() as u64);
                if left == 0 {
                    return;
                }
            }
        }
    };
    if tokio::time::timeout(body::DRAIN_WAIT_MAX, rest).await.is_err() {
        tracing::debug!(event = "drain_broke_off");
    }
}

/// Who calls, the boundary of the form, and the most that its file can have.
fn judge(gateway: &Gateway, headers: &HeaderMap) -> Result<(Arc<Caller>, String, u64), Refusal> {
    let caller = gateway.caller(headers)?;
    if !caller.client.rights.contains(&Right::Upload) {
        return Err(Refusal::new(Code::Forbidden, "this key may not upload"));
    }
    let limit = caller.client.file_bytes_max.unwrap_or(OBJECT_BYTES_MAX);
    let announced = incoming::content_length(headers)?;
    if announced.is_some_and(|bytes| bytes > limit.saturating_add(FORM_OVERHEAD_BYTES)) {
        return Err(too_large(limit));
    }
    let content_type = incoming::content_type_header(headers).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|_| {
        Refusal::new(Code::BadRequest, "expected Content-Type: multipart/form-data with a boundary")
    })?;
    Ok((caller, boundary, limit.min(announced.unwrap_or(limit))))
}

struct Form {
    gateway: Gateway,
    caller: Arc<Caller>,
    /// The most that the file can have: the client's limit, or the form's length.
    bytes_max: u64,
}

impl Form {
    async fn take(&self, form: &mut Multipart<'static>) -> Result<UploadAnswer, Refusal> {
        let mut fields = Fields::default();
        let mut file = FilePart::Missing;
        while let Some(field) = form.next_field().await.map_err(|err| form_refusal(&err))? {
            let name = field.name().unwrap_or_default().to_owned();
            let before = fields.tags.clone();
            fields.note(&name)?;
            if name == "file" {
                file = self.take_file(&fields, field).await?;
            } else {
                let text = text_of(&name, field).await?;
                fields.set(&name, &text)?;
                if matches!(file, FilePart::Received(_)) && is_too_late(&before, &fields.tags) {
                    let what = format!("`{name}` must come before `file`, where `path` does");
                    return Err(Refusal::new(Code::BadRequest, what));
                }
            }
        }
        let received = match file {
            FilePart::Missing => {
                return Err(Refusal::new(Code::BadRequest, "the form has no `file`"));
            }
            FilePart::Received(received) => received,
            FilePart::Spooled(Spool { file, len, content_type, place }) => {
                let announced = Announced::Exactly(len);
                let incoming =
                    self.incoming(&fields, announced, content_type.as_deref(), Some(place))?;
                self.gateway.receive(incoming, file).await?
            }
        };
        finish(received, &fields.tags).await
    }

    async fn take_file(&self, fields: &Fields, field: Field<'static>) -> Result<FilePart, Refusal> {
        let said = field.content_type().map(ToString::to_string);
        let mut body =
            StreamReader::new(field.map_err(|err| std::io::Error::from(body_error(&err))));
        if fields.path.is_some() {
            let announced = Announced::AtMost(self.bytes_max);
            let incoming = self.incoming(fields, announced, said.as_deref(), None)?;
            return Ok(FilePart::Received(self.gateway.receive(incoming, &mut body).await?));
        }
        let place = self.caller.place()?;
        let (file, len) = spool(&mut body, self.bytes_max).await?;
        Ok(FilePart::Spooled(Spool { file, len, content_type: said, place }))
    }

    fn incoming(
        &self,
        fields: &Fields,
        announced: Announced,
        said: Option<&str>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Incoming, Refusal> {
        let missing = || Refusal::new(Code::BadRequest, "the form has no `path`");
        let path = fields.path.clone().ok_or_else(missing)?;
        self.gateway.key(&self.caller.client, &path)?;
        let (part_bytes, part_bytes_max) = self.gateway.part_bytes();
        let client = &self.caller.client;
        Ok(Incoming {
            caller: self.caller.clone(),
            admitted: admit(client, &path, announced, part_bytes, part_bytes_max)?,
            tags: fields.tags.clone(),
            content_type: incoming::content_type(said, &path),
            path,
            place,
        })
    }
}

impl Fields {
    /// Every field is known, and given once.
    fn note(&mut self, name: &str) -> Result<(), Refusal> {
        if !["path", "file", "sha256", "mtime_ns", "mode"].contains(&name) {
            let what = format!("unknown form field {name:?}; the form takes {FIELDS}");
            return Err(Refusal::new(Code::BadRequest, what));
        }
        if self.seen.iter().any(|seen| seen == name) {
            return Err(Refusal::new(Code::BadRequest, format!("`{name}` is given twice")));
        }
        self.seen.push(name.to_owned());
        Ok(())
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), Refusal> {
        if name == "path" {
            self.path = Some(RemotePath::parse(text)?);
            return Ok(());
        }
        self.tags.set(name, text)
    }
}

/// Metadata is fixed when a long upload begins; a digest can still be checked.
fn is_too_late(before: &Tags, after: &Tags) -> bool {
    (before.mtime_ns, before.mode) != (after.mtime_ns, after.mode)
}

async fn finish(received: Received, tags: &Tags) -> Result<UploadAnswer, Refusal> {
    let (answer, found) = match received {
        Received::Unchanged(answer) => return Ok(answer),
        Received::Pending(pending) => {
            let found = pending.sha256();
            (pending, found)
        }
    };
    match tags.sha256 {
        // The digest came after the file.
        Some(announced) if announced != found => {
            answer.abort().await;
            let what =
                format!("announced was {announced}, what arrived has {found}; nothing was stored");
            Err(Refusal::new(Code::DigestMismatch, what))
        }
        _ => answer.commit().await,
    }
}

/// Copies `body` into a temporary file and rewinds it.
async fn spool<R: tokio::io::AsyncRead + Unpin>(
    body: &mut R,
    bytes_max: u64,
) -> Result<(File, u64), Refusal> {
    let failed = |err: std::io::Error| Refusal {
        code: Code::Overloaded,
        detail: "the gateway has no room for a temporary file; send `path` before `file`".into(),
        cause: Some(err.to_string()),
    };
    let file = tokio::task::spawn_blocking(tempfile::tempfile).await;
    let file = file.unwrap_or_else(|err| Err(std::io::Error::other(err))).map_err(failed)?;
    let mut file = File::from_std(file);
    let mut buffer = vec![0; 64 << 10];
    let mut len = 0;
    loop {
        let read = tokio::io::AsyncReadExt::read(body, &mut buffer).await;
        let count = read.map_err(|err| Refusal::from_body(&err))?;
        if count == 0 {
            break;
        }
        len += count as u64;
        if len > bytes_max {
            return Err(too_large(bytes_max));
        }
        file.write_all(&buffer[..count]).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    file.rewind().await.map_err(failed)?;
    Ok((file, len))
}

async fn text_of(name: &str, mut field: Field<'static>) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|err| form_refusal(&err))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > FIELD_BYTES_MAX {
            let what = format!("`{name}` is longer than {FIELD_BYTES_MAX} bytes");
            return Err(Refusal::new(Code::BadRequest, what));
        }
    }
    String::from_utf8(bytes).map_err(|_| match name {
        "path" => s3up_core::PathRule::NotUtf8.into(),
        _ => Refusal::new(Code::BadRequest, format!("`{name}` is not UTF-8")),
    })
}

fn form_refusal(err: &multer::Error) -> Refusal {
    Refusal::from_body(&body_error(err).into())
}

/// What reading the body said is inside multer's error.
fn body_error(err: &multer::Error) -> BodyError {
    let multer::Error::StreamReadFailed(inner) = err else {
        return BodyError::Form(err.to_string());
    };
    let inner = inner.downcast_ref::<std::io::Error>().and_then(|err| err.get_ref());
    match inner.and_then(|err| err.downcast_ref::<BodyError>()) {
        Some(BodyError::TooSlow) => BodyError::TooSlow,
        Some(BodyError::Form(what)) => BodyError::Form(what.clone()),
        Some(BodyError::Broken(what)) => BodyError::Broken(what.clone()),
        None => BodyError::Broken(err.to_string()),
    }
}
