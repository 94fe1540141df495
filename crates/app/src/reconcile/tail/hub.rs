//! What this process knows of the sources that it reads, and what wakes their readers. Only hints: rows decide.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tandem_core::{source::state::SourceState, tenant::TenantKey};
use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct Hub {
    /// The latest state of each source that is read here, and the row version that it is based on. It is ahead of the
    /// row by polls that found nothing.
    live: Mutex<HashMap<(TenantKey, String), (u64, SourceState)>>,
    /// Rung when the configuration or a source's row was changed by a call.
    pub changed: Notify,
    running: AtomicBool,
}

impl Hub {
    pub fn note(&self, tenant: &TenantKey, id: &str, version: u64, state: &SourceState) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.insert((tenant.clone(), id.to_owned()), (version, state.clone()));
    }

    pub fn forget(&self, tenant: &TenantKey, id: &str) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&(tenant.clone(), id.to_owned()));
    }

    /// The state that this process has seen since the row was written; `None` when the row is newer or not read here.
    pub fn fresher(&self, tenant: &TenantKey, id: &str, version: u64) -> Option<SourceState> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.get(&(tenant.clone(), id.to_owned())).filter(|(based_on, _)| *based_on == version).map(|(_, s)| s.clone())
    }

    pub fn set_running(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
    }

    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }
}
