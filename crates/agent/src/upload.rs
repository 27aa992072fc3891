//! One upload: open, look, hash, send, and say what became of it.
//!
//! Hash, then send. A file of one part is read into memory, checked with
//! `fstat`, and sent from there; a longer one is hashed first, and the same
//! descriptor is sent with the hash announced, so that the gateway refuses it
//! when it changed on the way. What is recorded is what was sent: the version
//! that was hashed, whatever the file is by now.
//!
//! Not here: when it is tried again (`daemon`), and the reading (`content`).

mod content;
mod meaning;

use std::path::Path;
use std::sync::Arc;

use s3up_core::{Code, RemotePath};

use self::content::Content;
use self::meaning::{Meaning, meaning};
use crate::client::{Gateway, GatewayError, Haste, Put, one_line};
use crate::clock;
use crate::db::{Change, Reader, Upload};
use crate::decide::{Known, Policy, Row, State, decide};
use crate::identity::Identity;
use crate::problem::Kind;
use crate::retry::Fault;
use crate::watch::Watch;

/// What uploads share.
#[derive(Clone, Debug)]
pub struct Uploader {
    pub gateway: Gateway,
    pub reader: Reader,
}

/// One file to upload.
#[derive(Clone, Debug)]
pub struct Order {
    pub watch: Arc<Watch>,
    pub path: Arc<Path>,
    /// As it settled.
    pub identity: Identity,
    pub policy: Policy,
    pub manner: Manner,
    /// How often the gateway failed on it.
    pub failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Only the version that settled.
    Settled,
    /// Whatever is there: it never settles.
    Hot,
}

/// What became of an upload.
#[derive(Debug)]
pub enum Outcome {
    /// The gateway has it. `sent` is false where it had it before.
    Safe {
        change: Box<Change>,
        sent: bool,
        changed_since: bool,
    },
    /// Nothing to send; the database may have to hear of it.
    Nothing(Option<Box<Change>>),
    /// It is another version by now: it has to settle again.
    Changed,
    Gone,
    Problem {
        kind: Kind,
        reason: String,
    },
    /// Worth another try.
    Failed {
        fault: Fault,
        reason: String,
        code: Option<Code>,
    },
}

impl Uploader {
    pub async fn upload(&self, order: &Order) -> Outcome {
        self.try_upload(order).await.unwrap_or_else(|outcome| outcome)
    }

    /// Early ends are the `Err`, so that the straight line reads straight.
    async fn try_upload(&self, order: &Order) -> Result<Outcome, Outcome> {
        let local_path = order.watch.local_path(&order.path);
        let known = self.known(&local_path).await?;
        let row = known.row.clone();
        let (content, remote_path) = content::read(order, local_path.clone(), known).await?;
        let upload = Upload {
            local_path,
            identity: content.identity(),
            sha256: content.sha256(),
            version_id: None,
            at: clock::wall_seconds(),
            remote_path,
        };
        if is_only_touched(&upload, row.as_ref()) {
            let touched = (order.manner == Manner::Settled).then(|| Change::Touched(upload).into());
            return Err(Outcome::Nothing(touched));
        }
        self.send(order, content, upload).await
    }

    async fn known(&self, local_path: &str) -> Result<Known, Outcome> {
        let known = self.reader.known(&[local_path.to_owned()]).await;
        let known = known.map_err(|err| Outcome::failed(Fault::default(), one_line(&err)))?;
        Ok(known.into_iter().next().unwrap_or_default())
    }

    async fn send(
        &self,
        order: &Order,
        content: Content,
        mut upload: Upload,
    ) -> Result<Outcome, Outcome> {
        let path = upload.remote_path.clone();
        if content.is_long()
            && order.manner == Manner::Settled
            && let Some(version_id) = self.stored(&path, &content).await?
        {
            upload.version_id = version_id;
            return Ok(Outcome::safe(upload, false, &content));
        }
        let put = Put {
            path: &path,
            bytes: content.bytes(),
            sha256: content.sha256(),
            mtime_ns: upload.identity.mtime_ns,
            mode: content.mode(),
            haste: if order.failures == 0 { Haste::AtOnce } else { Haste::AfterTheHead },
        };
        let sent = match &content {
            Content::Short { body, .. } => self.gateway.put_bytes(&put, body.clone()).await,
            Content::Long { .. } => self.gateway.put_stream(&put, content.stream()?).await,
        };
        let answer = match sent {
            Ok(answer) => answer,
            Err(err) => return Err(failed(&err, &content, order.manner)),
        };
        if (answer.size, answer.sha256) != (put.bytes, put.sha256) {
            let reason = "the gateway stored something else than was sent".to_owned();
            return Err(Outcome::failed(Fault::default(), reason));
        }
        upload.version_id = answer.version_id;
        upload.at = clock::wall_seconds();
        Ok(match order.manner {
            Manner::Settled => Outcome::safe(upload, !answer.unchanged, &content),
            Manner::Hot => hot(),
        })
    }

    /// The version under which the gateway has this very content, if it has:
    /// asking is cheaper than sending a long file again.
    async fn stored(
        &self,
        path: &RemotePath,
        content: &Content,
    ) -> Result<Option<Option<String>>, Outcome> {
        let answer = match self.gateway.exists(path).await {
            Ok(answer) => answer,
            Err(err) => return Err(failed(&err, content, Manner::Settled)),
        };
        Ok(answer
            .file
            .filter(|file| (file.size, file.sha256) == (content.bytes(), Some(content.sha256())))
            .map(|file| file.version_id))
    }
}

/// True where size and content are those of the row.
fn is_only_touched(upload: &Upload, row: Option<&Row>) -> bool {
    row.is_some_and(|row| {
        row.remote_path == upload.remote_path.as_str()
            && row.size == upload.identity.size
            && row.version.is_some_and(|version| version.sha256 == upload.sha256)
    })
}

/// The remote path of a file that is to be sent; its end, where it is not.
fn to_send(
    order: &Order,
    identity: Identity,
    local_path: String,
    known: &Known,
) -> Result<RemotePath, Outcome> {
    let remote_path = order.watch.remote_path(&order.path);
    match (decide(&identity, &remote_path, known, &order.policy), remote_path) {
        (State::Pending(_), Ok(remote_path)) => Ok(remote_path),
        (State::Baseline { recorded: false }, _) => {
            Err(Outcome::Nothing(Some(Change::Baseline { local_path, identity }.into())))
        }
        // The row is right; a problem that came up meanwhile is over.
        (State::Protected, _) if known.parked.is_some() => {
            Err(Outcome::Nothing(Some(Change::Solved { local_path }.into())))
        }
        (State::Pending(_) | State::Protected | State::Baseline { .. } | State::Problem(_), _) => {
            Err(Outcome::Nothing(None))
        }
    }
}

fn hot() -> Outcome {
    let reason = "never settled; sent as it was, which may be torn".to_owned();
    Outcome::Problem { kind: Kind::Hot, reason }
}

/// What becomes of the file after a failed call.
fn failed(err: &GatewayError, content: &Content, manner: Manner) -> Outcome {
    let reason = one_line(err);
    let fault = Fault { retry_after: err.retry_after(), slow: false };
    match meaning(err) {
        // A file that changed under the upload explains the failure by itself.
        Meaning::Changed if manner == Manner::Settled && content.changed_since() => {
            Outcome::Changed
        }
        Meaning::Changed | Meaning::Away => Outcome::failed(fault, reason),
        Meaning::WrongKey => {
            let fault = Fault { slow: true, ..fault };
            Outcome::Failed { fault, reason, code: Some(Code::Unauthorized) }
        }
        Meaning::Deferred => Outcome::Problem { kind: Kind::Deferred, reason },
        Meaning::Refused => Outcome::Problem { kind: Kind::Refused, reason },
    }
}

impl Outcome {
    fn safe(upload: Upload, sent: bool, content: &Content) -> Outcome {
        let changed_since = content.changed_since();
        Outcome::Safe { change: Change::Uploaded(upload).into(), sent, changed_since }
    }

    /// The upload panicked.
    pub fn died() -> Outcome {
        Outcome::failed(Fault::default(), "this is a bug: the upload died".to_owned())
    }

    fn failed(fault: Fault, reason: String) -> Outcome {
        Outcome::Failed { fault, reason, code: None }
    }
}
