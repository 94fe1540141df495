//! Opens the store that the settings name. The one place that knows the drivers.

use std::{path::Path, sync::Arc};

use tandem_core::ports::Store;
use tokio::sync::watch;

use super::settings::Backend;

/// An open store, and the bell that it rings when a commit left jobs behind.
pub struct Opened {
    pub store: Arc<dyn Store>,
    pub wakes: watch::Receiver<u64>,
}

pub async fn open(backend: &Backend, state_dir: &Path) -> Result<Opened, String> {
    match backend {
        Backend::Sqlite => {
            let path = state_dir.join("tandem.db");
            let shown = path.display().to_string();
            let opened = tokio::task::spawn_blocking(move || tandem_store::open_sqlite(&path)).await;
            let store = opened.map_err(|_| format!("opening {shown} ended abnormally"))?;
            let store = store.map_err(|error| format!("{shown}: {error}"))?;
            Ok(Opened { wakes: store.wakes(), store: Arc::new(store) })
        }
        // The URL may hold a password, so it is never repeated.
        Backend::Postgres { url } => {
            let store = tandem_store::open_postgres(url).await.map_err(|error| format!("--database-url: {error}"))?;
            Ok(Opened { wakes: store.wakes(), store: Arc::new(store) })
        }
    }
}
