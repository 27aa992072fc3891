//! The stream of a snapshot, directly from its pipe or through a spool.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use btrfs_sendstream::StreamSummary;
use tokio::io::{AsyncRead, ReadBuf};

use crate::send::SendStream;
use crate::spool::{Spool, SpoolReader};

pub enum Source {
    Straight(Box<SendStream>),
    Spooled(SpoolReader<SendStream>),
}

impl Source {
    pub fn new(stream: SendStream, spool: Option<&Spool>) -> Source {
        match spool {
            None => Source::Straight(Box::new(stream)),
            Some(spool) => Source::Spooled(spool.start(stream)),
        }
    }

    /// See [`SendStream::stop`].
    pub async fn stop(self) -> Option<StreamSummary> {
        match self {
            Source::Straight(stream) => stream.stop().await,
            Source::Spooled(spooled) => spooled.end().await?.stop().await,
        }
    }
}

impl AsyncRead for Source {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Source::Straight(stream) => Pin::new(stream).poll_read(cx, buf),
            Source::Spooled(spooled) => Pin::new(spooled).poll_read(cx, buf),
        }
    }
}
