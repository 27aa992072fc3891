//! The quota of a client, for one upload: bytes are reserved when it begins, and become a part of
//! the client's total when it is recorded.

use s3up_core::{ClientName, Code, Size};
use s3up_store::{Length, UploadError};

use crate::database::Database;
use crate::database::usage::Reservation;
use crate::refusal::Refusal;

/// The bytes of its quota that an upload uses, until it is dropped.
#[derive(Debug)]
pub(super) struct QuotaClaim {
    quota_bytes: u64,
    /// Size of the version that the upload replaces.
    replaced: u64,
    /// `None` while the length of the file is not known.
    reservation: Option<Reservation>,
    /// True if the quota limits the length more than the client's other limits do.
    is_limit: bool,
}

impl QuotaClaim {
    /// Reserves what a file of `length` needs, or limits its length to what is left.
    pub(super) async fn start(
        database: &Database,
        client: &ClientName,
        quota_bytes: u64,
        replaced: u64,
        length: &mut Length,
    ) -> Result<QuotaClaim, Refusal> {
        let usage = database.usage(client).await;
        let mut claim = QuotaClaim { quota_bytes, replaced, reservation: None, is_limit: false };
        match *length {
            Length::Exactly(bytes) => {
                let more = bytes.saturating_sub(replaced);
                let reserved = usage.reserve(client, quota_bytes, more);
                claim.reservation = Some(reserved.map_err(|left| claim.refusal(left))?);
            }
            Length::AtMost(bytes) => {
                if let Some(left) = usage.left(client, quota_bytes)
                    && left.saturating_add(replaced) < bytes
                {
                    *length = Length::AtMost(left.saturating_add(replaced));
                    claim.is_limit = true;
                }
            }
        }
        Ok(claim)
    }

    /// Reserves the bytes of a file whose length was not known before.
    pub(super) async fn reserve_rest(
        &mut self,
        database: &Database,
        client: &ClientName,
        bytes: u64,
    ) -> Result<(), Refusal> {
        if self.reservation.is_none() {
            let usage = database.usage(client).await;
            let more = bytes.saturating_sub(self.replaced);
            let reserved = usage.reserve(client, self.quota_bytes, more);
            self.reservation = Some(reserved.map_err(|left| self.refusal(left))?);
        }
        Ok(())
    }

    /// Returns the change of the client's total by a file of `bytes`.
    pub(super) fn change(&self, bytes: u64) -> i64 {
        let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        signed(bytes) - signed(self.replaced)
    }

    /// Returns the refusal for an upload that failed.
    pub(super) fn failed(&self, err: UploadError) -> Refusal {
        if self.is_limit && matches!(err, UploadError::TooLong { .. }) {
            return self.refusal(0);
        }
        err.into()
    }

    fn refusal(&self, left: u64) -> Refusal {
        let (quota, left) = (Size(self.quota_bytes), Size(left));
        let what = format!("the quota of this client is {quota}, of which {left} are left");
        Refusal::new(Code::Quota, what)
    }
}
