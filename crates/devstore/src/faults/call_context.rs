//! The faults of one call, shared by all stages that the call passes.

use std::sync::{Arc, Mutex, MutexGuard};

use super::fault::Fault;
use super::registry::{ArmedFault, CallFaults};

/// Travels with a request and holds the faults of its call until its work is
/// done. Clones share their content.
#[derive(Clone, Default)]
pub(crate) struct CallContext(Arc<Mutex<Option<CallFaults>>>);

impl CallContext {
    pub(crate) fn set(&self, faults: CallFaults) {
        *self.lock() = Some(faults);
    }

    pub(crate) fn take(&self) -> Option<CallFaults> {
        self.lock().take()
    }

    /// Returns the fault that cuts the body of the request, and after how many
    /// bytes.
    pub(crate) fn cut(&self) -> Option<(ArmedFault, u64)> {
        let faults = self.lock();
        let armed = faults.as_ref()?.armed.as_ref()?;
        match armed.fault {
            Fault::CutUpload { after_bytes } => Some((armed.clone(), after_bytes)),
            Fault::InternalError
            | Fault::AccessDenied
            | Fault::SlowDown { .. }
            | Fault::Stall
            | Fault::CutBody { .. }
            | Fault::FlipByte { .. }
            | Fault::LoseAnswer
            | Fault::LateInternalError
            | Fault::ErrorIn200
            | Fault::LateErrorIn200 => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<CallFaults>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}
