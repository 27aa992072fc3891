//! The stream of a snapshot, directly from its pipe or through a spool.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use btrfs_sendstream::StreamSummary;
use tokio::io::{AsyncRead, ReadBuf};

use crate::send::SendStream;
use crate::spool::{Spool, SpoolReader};

pub enum BackupStream {
    Straight(Box<SendStream>),
    Spooled(SpoolReader<SendStream>),
}

impl BackupStream {
    pub fn new(stream: SendStream, spool: Option<&Spool>) -> BackupStream {
        match spool {
            None => BackupStream::Straight(Box::new(stream)),
            Some(spool) => BackupStream::Spooled(spool.start(stream)),
        }
    }

    /// See [`SendStream::stop`].
    pub async fn stop(self) -> Option<StreamSummary> {
        match self {
            BackupStream::Straight(stream) => stream.stop().await,
            BackupStream::Spooled(spooled) => spooled.end().await?.stop().await,
        }
    }
}

impl AsyncRead for BackupStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            BackupStream::Straight(stream) => Pin::new(stream).poll_read(cx, buf),
            BackupStream::Spooled(spooled) => Pin::new(spooled).poll_read(cx, buf),
        }
    }
}
