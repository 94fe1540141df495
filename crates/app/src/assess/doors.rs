//! The doors of this server, asked what they would say to a scoped intake key.

use std::sync::Arc;

use tandem_core::ports::BoxFuture;
use tandem_posture::probes::DoorReport;

use crate::App;

/// Whatever stands before the use cases. A knock runs the real refusals and nothing behind them.
pub trait Doors: Send + Sync {
    fn knock(&self) -> BoxFuture<'_, DoorReport>;
}

impl App {
    /// Says where the doors are. Happens once, when they are there.
    pub fn open_doors(&self, doors: Arc<dyn Doors>) {
        let _ = self.doors.set(doors);
    }

    /// What the doors say; `None` while there are none.
    pub async fn knock(&self) -> Option<DoorReport> {
        match self.doors.get() {
            Some(doors) => Some(doors.knock().await),
            None => None,
        }
    }
}
