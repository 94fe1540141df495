//! Waiting for the first attempt of a delivery. Only a hint: a waiter also looks at the durable row.

use std::{collections::HashMap, sync::Mutex};

use tokio::sync::oneshot;

#[derive(Default)]
pub struct Waiters {
    waiting: Mutex<HashMap<String, Vec<oneshot::Sender<()>>>>,
}

impl Waiters {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<oneshot::Sender<()>>>> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Resolves when `id` is settled. Register before the commit that starts the work, so that nothing is missed.
    pub fn register(&self, id: &str) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.lock().entry(id.to_owned()).or_default().push(sender);
        receiver
    }

    pub fn settle(&self, id: &str) {
        for waiter in self.lock().remove(id).unwrap_or_default() {
            // The waiter may have given up.
            let _ = waiter.send(());
        }
    }
}
