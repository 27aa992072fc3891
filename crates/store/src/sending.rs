//! The parts of one upload on their way, and the digests of what went by.
//!
//! A part is hashed and sent at once; its buffer is free when both are done.
//! Parts are acknowledged in any order and put into order at the end.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::error::{Kind, StoreError};
use crate::hashing::{self, CRC64_OF_NOTHING, Sha256Chain};
use crate::multipart::{Handle, PartSent};
use crate::put::Facts;

pub(crate) struct Sending {
    handle: Handle,
    retry_for: Duration,
    tasks: JoinSet<Result<PartSent, StoreError>>,
    sent: Vec<PartSent>,
    sha256: Sha256Chain,
    count: i32,
}

impl Sending {
    pub(crate) fn new(handle: Handle, retry_for: Duration) -> Sending {
        Sending {
            handle,
            retry_for,
            tasks: JoinSet::new(),
            sent: Vec::new(),
            sha256: Sha256Chain::default(),
            count: 0,
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.tasks.len()
    }

    pub(crate) fn start(&mut self, bytes: Bytes) {
        self.count += 1;
        self.sha256.add(bytes.clone());
        self.tasks.spawn(self.handle.clone().send_part(self.count, bytes, self.retry_for));
    }

    /// Waits until a part is acknowledged; for ever where none is on its way.
    /// May be dropped at any await.
    pub(crate) async fn any_done(&mut self) -> Result<(), StoreError> {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok(outcome)) => {
                self.sent.push(outcome?);
                Ok(())
            }
            Some(Err(err)) => {
                Err(StoreError::new("put part of", &self.handle.key, Kind::Permanent).because(err))
            }
        }
    }

    /// Gives up what is on its way, and waits until it is given up.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) async fn finish(mut self) -> Result<(Facts, Vec<PartSent>), StoreError> {
        while self.in_flight() > 0 {
            self.any_done().await?;
        }
        self.sent.sort_unstable_by_key(|part| part.number);
        let whole = self.sent.iter().fold((CRC64_OF_NOTHING, 0), |(crc, len), part| {
            (hashing::crc64_join(crc, part.crc64nvme, part.len), len + part.len)
        });
        let (crc64nvme, len) = whole;
        Ok((Facts { len, sha256: self.sha256.finish().await, crc64nvme }, self.sent))
    }
}
