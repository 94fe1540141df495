//! What handlers are given beside the request. Exists once the store is open.

use std::{ops::Deref, sync::Arc};

use tandem_app::App;
use tandem_core::ports::{Ids, Store};

use super::{gate::Gate, meters::Meters};

/// Shared, because every request clones it.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

pub struct Shared {
    pub app: Arc<App>,
    pub store: Arc<dyn Store>,
    pub gate: Arc<Gate>,
    pub meters: Meters,
}

impl AppState {
    pub fn new(app: Arc<App>, store: Arc<dyn Store>, gate: Arc<Gate>) -> Self {
        let meters = Meters::new(&gate.metrics);
        Self(Arc::new(Shared { app, store, gate, meters }))
    }

    pub fn ids(&self) -> &dyn Ids {
        &*self.gate.ids
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
