//! The body of an answer, cut short or damaged by an injected fault.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use s3s::StdError;

use crate::faults::registry::ArmedFault;
use crate::transport::flush::FlushCounter;

/// A fault in the body of an answer.
#[derive(Clone, Copy)]
pub(crate) enum BodyFault {
    Cut { after_bytes: u64 },
    Flip { offset: u64 },
}

/// A body to which a fault is applied while it is sent.
pub(crate) struct FaultyBody {
    body: s3s::Body,
    fault: BodyFault,
    armed: ArmedFault,
    sent: u64,
    flushes: FlushCounter,
    /// The number of flushes when the last byte before the cut was handed out.
    cut_at: Option<u64>,
}

impl FaultyBody {
    pub(crate) fn new(
        body: s3s::Body,
        fault: BodyFault,
        armed: ArmedFault,
        flushes: FlushCounter,
    ) -> FaultyBody {
        FaultyBody { body, fault, armed, sent: 0, flushes, cut_at: None }
    }

    fn apply(&mut self, data: Bytes) -> Bytes {
        let start = self.sent;
        self.sent += data.len() as u64;
        match self.fault {
            BodyFault::Cut { after_bytes } if after_bytes < self.sent => {
                self.cut_at = Some(self.flushes.count());
                data.slice(..(after_bytes - start) as usize)
            }
            BodyFault::Flip { offset } if (start..self.sent).contains(&offset) => {
                self.armed.fire();
                let mut data = BytesMut::from(data);
                data[(offset - start) as usize] ^= 0xff;
                data.freeze()
            }
            BodyFault::Cut { .. } | BodyFault::Flip { .. } => data,
        }
    }

    fn poll_cut(&self, flushes: u64, context: &mut Context<'_>) -> Poll<StdError> {
        ready!(self.flushes.poll_after(flushes, context));
        self.armed.fire();
        Poll::Ready(io::Error::other("injected fault: the body of the answer was cut").into())
    }
}

impl Body for FaultyBody {
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
            Ok(data) => Ok(Frame::data(self.apply(data))),
            Err(frame) => Ok(frame),
        }))
    }
}
