//! One file on its way into S3, however it came in (form or raw body).
//!
//! Order: judge, look whether it is there already, take the place of an older
//! upload of the same path, stream, check, commit. A dropped request drops
//! everything before the commit; the commit itself runs detached, so that a
//! client that hangs up cannot leave it undecided.

use std::sync::Arc;
use std::time::{Duration, Instant};

use s3up_core::wire::UploadAnswer;
use s3up_core::{Code, Key, RemotePath, Sha256Digest};
use s3up_store::{Kind, Length, ObjectFacts, Put, StagedUpload, Stored};
use tokio::io::AsyncRead;
use tokio::sync::OwnedSemaphorePermit;

use crate::admit::Admitted;
use crate::client::{Caller, Client, Overwrite};
use crate::gateway::Gateway;
use crate::in_flight::{Superseded, Ticket};
use crate::incoming::Tags;
use crate::refusal::Refusal;

/// How long S3 may fail before the client is told.
pub(crate) const RETRY_FOR: Duration = Duration::from_secs(30);
/// How long a request waits for a buffer.
pub(crate) const BUFFER_WAIT: Duration = Duration::from_secs(10);
/// Parts of one upload on their way to S3.
const IN_FLIGHT: usize = 4;

/// A file that was admitted.
pub(crate) struct Incoming {
    pub caller: Arc<Caller>,
    pub path: RemotePath,
    pub admitted: Admitted,
    pub tags: Tags,
    pub content_type: String,
    /// A place among the client's uploads, where it has one already.
    pub place: Option<OwnedSemaphorePermit>,
}

pub(crate) enum Received {
    /// It was there already; nothing was written.
    Unchanged(UploadAnswer),
    Pending(Box<Pending>),
}

/// A file that S3 holds, and nobody sees yet.
pub(crate) struct Pending {
    gateway: Gateway,
    client: Client,
    key: Key,
    began: Instant,
    staged: StagedUpload,
    // Free before the ticket is: whoever waits for that one finds it.
    place: OwnedSemaphorePermit,
    ticket: Ticket,
}

impl Gateway {
    pub(crate) async fn receive<R: AsyncRead + Unpin + Send>(
        &self,
        incoming: Incoming,
        mut body: R,
    ) -> Result<Received, Refusal> {
        let Incoming { caller, path, admitted, tags, content_type, place } = incoming;
        let began = Instant::now();
        let key = self.key(&caller.client, &path)?;
        // First of all, so that whatever is answered here is newer than what an
        // older upload of the path could still do; and an older one that hangs
        // gives its place to this one.
        let ticket = self.in_flight().enter(&key).await.map_err(superseded)?;
        let place = place.map_or_else(|| caller.place(), Ok)?;
        if let Some(sha256) = tags.sha256
            && let Some(answer) = self.unchanged(&caller.client, &key, sha256, admitted).await?
        {
            ticket.run(check_unread(&mut body, sha256)).await.map_err(superseded)??;
            note(&caller.client, &answer, began);
            return Ok(Received::Unchanged(answer));
        }
        let put = Put {
            key: key.clone(),
            length: admitted.length,
            part_bytes: admitted.part_bytes,
            content_type: Some(content_type),
            metadata: tags.metadata(),
            expect_sha256: tags.sha256,
            overwrite: match caller.client.overwrite {
                Overwrite::Versioned => s3up_store::Overwrite::Allowed,
                Overwrite::Never => s3up_store::Overwrite::Never,
            },
            storage_class: None,
            in_flight: IN_FLIGHT,
            retry_for: RETRY_FOR,
            buffer_wait: Some(BUFFER_WAIT),
            share: Some(caller.share.clone()),
        };
        let staged = ticket.run(self.store().stage(put, &mut body)).await.map_err(superseded)?;
        let staged = staged?;
        let (gateway, client) = (self.clone(), caller.client.clone());
        let pending = Pending { gateway, client, key, began, staged, place, ticket };
        Ok(Received::Pending(Box::new(pending)))
    }

    /// Answers an upload whose content is there already, without writing; and
    /// refuses early what may not be overwritten.
    async fn unchanged(
        &self,
        client: &Client,
        key: &Key,
        sha256: Sha256Digest,
        admitted: Admitted,
    ) -> Result<Option<UploadAnswer>, Refusal> {
        let Some(found) = self.store().head(key, None, RETRY_FOR).await? else { return Ok(None) };
        let size_differs = matches!(admitted.length, Length::Exactly(len) if len != found.size);
        if found.sha256 == Some(sha256) && !size_differs {
            return Ok(Some(unchanged_answer(key, &found, sha256)));
        }
        match client.overwrite {
            Overwrite::Versioned => Ok(None),
            Overwrite::Never => {
                Err(Refusal::new(Code::Exists, "another file stands under this path"))
            }
        }
    }
}

impl Pending {
    pub(crate) fn sha256(&self) -> Sha256Digest {
        self.staged.facts().sha256
    }

    pub(crate) async fn abort(self) {
        self.staged.abort().await;
    }

    /// Makes the file visible.
    pub(crate) async fn commit(self) -> Result<UploadAnswer, Refusal> {
        if let Err(err) = self.ticket.check() {
            self.staged.abort().await;
            return Err(superseded(err));
        }
        let gateway = self.gateway.clone();
        let task = gateway.detached().spawn(self.commit_now());
        task.await.unwrap_or_else(|err| Err(Refusal::new(Code::Internal, err)))
    }

    async fn commit_now(self) -> Result<UploadAnswer, Refusal> {
        let Pending { gateway, client, key, began, staged, place, ticket } = self;
        let sha256 = staged.facts().sha256;
        let outcome = staged.commit().await;
        drop((place, ticket));
        let answer = match outcome {
            Ok(stored) => stored_answer(&key, stored),
            // Somebody else stored the same content first.
            Err(err) if err.kind == Kind::Precondition => {
                match gateway.store().head(&key, None, RETRY_FOR).await? {
                    Some(found) if found.sha256 == Some(sha256) => {
                        unchanged_answer(&key, &found, sha256)
                    }
                    _ => return Err(err.into()),
                }
            }
            Err(err) => return Err(err.into()),
        };
        note(&client, &answer, began);
        Ok(answer)
    }
}

/// Reads the body of a file that is there already: who announced a digest must
/// have meant it.
async fn check_unread<R: AsyncRead + Unpin>(
    body: &mut R,
    announced: Sha256Digest,
) -> Result<(), Refusal> {
    let mut hasher = s3up_core::Sha256::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = tokio::io::AsyncReadExt::read(body, &mut buffer).await;
        match read.map_err(|err| Refusal::from_body(&err))? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    match hasher.finish() {
        found if found == announced => Ok(()),
        found => Err(Refusal::new(
            Code::DigestMismatch,
            format!("announced was {announced}, what arrived has {found}; nothing was stored"),
        )),
    }
}

/// The log line of a file that is safe.
fn note(client: &Client, answer: &UploadAnswer, began: Instant) {
    tracing::info!(
        event = "upload_done",
        client = client.name.as_str(),
        key = answer.s3_key,
        bytes = answer.size,
        unchanged = answer.unchanged,
        seconds = began.elapsed().as_secs_f64()
    );
}

fn superseded(_: Superseded) -> Refusal {
    Refusal::new(Code::Superseded, "a newer upload of this path has begun")
}

fn stored_answer(key: &Key, stored: Stored) -> UploadAnswer {
    UploadAnswer {
        success: true,
        s3_key: key.to_string(),
        size: stored.facts.len,
        sha256: stored.facts.sha256,
        version_id: stored.version_id,
        unchanged: false,
    }
}

fn unchanged_answer(key: &Key, found: &ObjectFacts, sha256: Sha256Digest) -> UploadAnswer {
    UploadAnswer {
        success: true,
        s3_key: key.to_string(),
        size: found.size,
        sha256,
        version_id: found.version_id.clone(),
        unchanged: true,
    }
}
