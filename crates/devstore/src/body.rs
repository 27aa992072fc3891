//! Bodies on their way in and out of a call.
//!
//! In: a call that is refused early has not read its body. If the connection
//! were closed then, the client would see a broken pipe where S3 shows it the
//! refusal. So the body is lent to the call, comes back when the call is done,
//! and what is left of it is read and thrown away. A fault may cut it short.
//!
//! Out: a body that is cut short or damaged, as an injected fault wants it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use s3s::StdError;

use crate::faults::Cue;
use crate::flush::Flushes;
use crate::gate::MetOfCall;

/// A client that sends more than this to a call that was refused is cut off.
const DRAIN_BYTES_MAX: u64 = 1 << 30;

/// Where a lent body comes back to.
#[derive(Clone, Default)]
pub(crate) struct Leftover(Arc<Mutex<Option<Incoming>>>);

pub(crate) struct Lent {
    body: Option<Incoming>,
    was_read: bool,
    /// The client waits for leave to send; a body that nobody asked for will
    /// not come.
    waits_for_continue: bool,
    leftover: Leftover,
    of_call: MetOfCall,
    came: u64,
}

impl Leftover {
    pub(crate) fn lend(
        &self,
        body: Incoming,
        waits_for_continue: bool,
        of_call: MetOfCall,
    ) -> Lent {
        let (body, leftover) = (Some(body), self.clone());
        Lent { body, was_read: false, waits_for_continue, leftover, of_call, came: 0 }
    }

    /// Reads what the call did not.
    pub(crate) async fn drain(&self) {
        let Some(mut body) = self.slot().take() else { return };
        let mut drained = 0;
        while let Some(Ok(frame)) = body.frame().await {
            drained += frame.data_ref().map_or(0, |data| data.len() as u64);
            if drained > DRAIN_BYTES_MAX {
                return;
            }
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Incoming>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.was_read || !self.waits_for_continue {
            *self.leftover.slot() = self.body.take();
        }
    }
}

impl Lent {
    /// Counts what came, and cuts the body where a fault wants that.
    fn note(&mut self, bytes: u64) -> Result<(), StdError> {
        self.came += bytes;
        match self.of_call.cut() {
            Some((cue, after_bytes)) if after_bytes < self.came => {
                cue.fire();
                Err(io::Error::other("injected: the body of the request is cut").into())
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        self.was_read = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let frame = frame?;
            self.note(frame.data_ref().map_or(0, |data| data.len() as u64))?;
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// What happens to the body of an answer.
#[derive(Clone, Copy)]
pub(crate) enum Damage {
    Cut { after_bytes: u64 },
    Flip { offset: u64 },
}

/// The body of an answer, with a fault on its way.
pub(crate) struct Damaged {
    body: s3s::Body,
    damage: Damage,
    cue: Cue,
    sent: u64,
    flushes: Flushes,
    /// Set once the last byte before the cut is handed out: the number of
    /// flushes by then.
    cut_at: Option<u64>,
}

impl Damaged {
    pub(crate) fn new(body: s3s::Body, damage: Damage, cue: Cue, flushes: Flushes) -> Damaged {
        Damaged { body, damage, cue, sent: 0, flushes, cut_at: None }
    }

    fn damage(&mut self, data: Bytes) -> Bytes {
        let start = self.sent;
        self.sent += data.len() as u64;
        match self.damage {
            Damage::Cut { after_bytes } if after_bytes < self.sent => {
                self.cut_at = Some(self.flushes.count());
                data.slice(..(after_bytes - start) as usize)
            }
            Damage::Flip { offset } if (start..self.sent).contains(&offset) => {
                self.cue.fire();
                let mut data = BytesMut::from(data);
                data[(offset - start) as usize] ^= 0xff;
                data.freeze()
            }
            Damage::Cut { .. } | Damage::Flip { .. } => data,
        }
    }

    fn poll_cut(&self, flushes: u64, context: &mut Context<'_>) -> Poll<StdError> {
        ready!(self.flushes.poll_after(flushes, context));
        self.cue.fire();
        Poll::Ready(io::Error::other("injected: the body is cut").into())
    }
}

impl Body for Damaged {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if let Some(flushes) = self.cut_at {
            return self.poll_cut(flushes, context).map(|error| Some(Err(error)));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| match frame?.into_data() {
            Ok(data) => Ok(Frame::data(self.damage(data))),
            Err(frame) => Ok(frame),
        }))
    }
}
