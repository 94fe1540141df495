//! What handlers are given beside the request. Exists once the store is open.

use std::sync::Arc;

use tandem_app::App;
use tandem_core::ports::{Ids, Store};

use super::{gate::Gate, meters::Meters};

#[derive(Clone)]
pub struct AppState {
    pub app: Arc<App>,
    pub store: Arc<dyn Store>,
    pub gate: Arc<Gate>,
    pub meters: Meters,
    /// Serialises changes of full tokens in this process, so that their number stays bounded.
    pub token_changes: Arc<tokio::sync::Mutex<()>>,
}

impl AppState {
    pub fn new(app: Arc<App>, store: Arc<dyn Store>, gate: Arc<Gate>) -> Self {
        let meters = Meters::new(&gate.metrics);
        Self { app, store, gate, meters, token_changes: Arc::default() }
    }

    pub fn ids(&self) -> &dyn Ids {
        &*self.gate.ids
    }
}
