//! Bodies on their way in and out of a call.
//!
//! In: a call that is refused early has not read its body. If the connection
//! were closed then, the client would see a broken pipe where S3 shows it the
//! refusal. So the body is lent to the call, comes back when the call is done,
//! and what is left of it is read and thrown away.
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

use crate::faults::{Cue, Fault};
use crate::flush::Flushes;

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
}

impl Leftover {
    pub(crate) fn lend(&self, body: Incoming, waits_for_continue: bool) -> Lent {
        Lent { body: Some(body), was_read: false, waits_for_continue, leftover: self.clone() }
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

impl Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.was_read = true;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The body of an answer, with a fault on its way.
pub(crate) struct Damaged {
    body: s3s::Body,
    cue: Cue,
    sent: u64,
    flushes: Flushes,
    /// Set once the last byte before the cut is handed out: the number of
    /// flushes by then.
    cut_at: Option<u64>,
}

impl Damaged {
    pub(crate) fn new(body: s3s::Body, cue: Cue, flushes: Flushes) -> Damaged {
        Damaged { body, cue, sent: 0, flushes, cut_at: None }
    }

    fn damage(&mut self, data: Bytes) -> Bytes {
        let start = self.sent;
        self.sent += data.len() as u64;
        match self.cue.fault {
            Fault::CutBody { after_bytes } if after_bytes < self.sent => {
                self.cut_at = Some(self.flushes.count());
                data.slice(..(after_bytes - start) as usize)
            }
            Fault::FlipByte { offset } if (start..self.sent).contains(&offset) => {
                self.cue.fire();
                let mut data = BytesMut::from(data);
                data[(offset - start) as usize] ^= 0xff;
                data.freeze()
            }
            Fault::CutBody { .. }
            | Fault::FlipByte { .. }
            | Fault::InternalError
            | Fault::SlowDown { .. }
            | Fault::Stall
            | Fault::LoseAnswer
            | Fault::LateInternalError => data,
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
