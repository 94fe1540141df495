//! Opens the store that the settings name. The one place that knows the drivers.

use std::{path::Path, sync::Arc};

use tandem_core::ports::Store;

use super::settings::Backend;

pub async fn open(backend: &Backend, state_dir: &Path) -> Result<Arc<dyn Store>, String> {
    match backend {
        Backend::Sqlite => {
            Err(format!("no embedded store is linked to open {}", state_dir.join("tandem.db").display()))
        }
        Backend::Postgres { url: _ } => Err("no PostgreSQL store is linked".into()),
    }
}
