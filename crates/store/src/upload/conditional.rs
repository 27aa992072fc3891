//! The condition of a write: which headers carry it, and what replaces them where
//! the server does not enforce them, or it is unknown whether it does.
//!
//! Then the key is read right before the write. That protects from every earlier
//! write, and not from one in the same moment. Some servers refuse a condition that
//! holds, so the key is read before a refusal counts as a conflict.

use std::time::Duration;

use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::objects::etag::{is_reported, unquoted};
use crate::overwrite::Overwrite;
use crate::settings::Profile;
use crate::transport::capabilities::{Condition, ConditionHeaders, ConditionalCall};
use crate::transport::connect::Store;
use crate::upload::put::Put;

impl Store {
    /// Returns the headers for the condition of `put`. Where the server is not known to
    /// enforce it, this checks the key.
    ///
    /// # Errors
    ///
    /// The condition does not hold, or HEAD fails.
    pub(crate) async fn condition_headers(
        &self,
        call: ConditionalCall,
        put: &Put,
    ) -> Result<ConditionHeaders, StoreError> {
        let condition = self.learned.condition(call, &put.overwrite);
        let headers = ConditionHeaders::of(&put.overwrite, condition);
        if headers.checks_first && !self.holds(put, Duration::ZERO).await? {
            let what = "another object is under this key";
            return Err(StoreError::new(Operation::Put, &put.key, StoreErrorKind::Precondition)
                .with_cause(what));
        }
        Ok(headers)
    }

    /// Examines the key and returns whether the condition of `put` holds now.
    async fn holds(&self, put: &Put, retry_for: Duration) -> Result<bool, StoreError> {
        let found = match &put.overwrite {
            Overwrite::Allowed => return Ok(true),
            Overwrite::Never | Overwrite::Only { .. } => {
                self.head(&put.key, None, retry_for).await?
            }
        };
        Ok(match (&put.overwrite, found) {
            (Overwrite::Allowed, _) | (Overwrite::Never, None) => true,
            (Overwrite::Never, Some(_)) | (Overwrite::Only { .. }, None) => false,
            (Overwrite::Only { etag }, Some(found)) => unquoted(etag) == unquoted(&found.etag),
        })
    }

    /// Learns from the failure of a write that had conditions. The error becomes one
    /// that is retried if the write can be made in another way.
    pub(crate) async fn learn_from_condition(
        &self,
        call: ConditionalCall,
        put: &Put,
        headers: &ConditionHeaders,
        err: StoreError,
    ) -> StoreError {
        if !headers.are_sent() || self.settings.profile == Profile::Aws {
            return err;
        }
        let known = self.learned.condition(call, &put.overwrite);
        let now = if err.kind == StoreErrorKind::NotImplemented {
            Condition::Refused
        } else if err.kind == StoreErrorKind::Precondition && is_etag_refused(&put.overwrite) {
            match self.holds(put, put.retry_for).await {
                Ok(true) => known.after_false_refusal(),
                Ok(false) => return err,
                // Not to know is no proof that another host has written.
                Err(unseen) => return unseen,
            }
        } else {
            return err;
        };
        let instead = if now == Condition::HonouredUnquoted {
            "sending the ETag without quotes"
        } else {
            "checking the key before each write instead"
        };
        self.learned.learn_condition(call, &put.overwrite, now);
        tracing::warn!(
            event = "condition_rejected",
            key = %put.key,
            "this server rejected a write whose condition holds; {instead}: {err}"
        );
        StoreError { kind: StoreErrorKind::Transient, ..err }
    }
}

fn is_etag_refused(overwrite: &Overwrite) -> bool {
    matches!(overwrite, Overwrite::Only { etag } if is_reported(etag))
}
