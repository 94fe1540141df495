//! The clock, the random numbers and the scheduler of the machine. Everything else takes time and ids as values.

use std::time::{SystemTime, UNIX_EPOCH};

use tandem_core::ports::{Clock, Ids};

#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn fresh(&self) -> String {
        uuid::Uuid::now_v7().simple().to_string()
    }

    fn uuid(&self) -> String {
        let mut bytes = [0; 16];
        fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    fn secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        fill(&mut bytes);
        bytes
    }

    fn jitter(&self, max: u64) -> u64 {
        let mut bytes = [0; 8];
        fill(&mut bytes);
        // The bias of a modulo does not matter for spreading retries.
        u64::from_le_bytes(bytes).checked_rem(max.saturating_add(1)).unwrap_or_else(|| u64::from_le_bytes(bytes))
    }
}

/// A machine without random numbers cannot make credentials; going on with predictable ones would be worse than dying.
#[allow(clippy::expect_used)]
fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system must provide random numbers");
}

/// How far the calling thread steps back: a third of the processor that another thread gets where both want it. Much further,
/// and on a machine that is never idle its work would not end.
#[cfg(target_os = "linux")]
const BACK: i32 = 5;

/// Lets other threads go before the calling one, for good.
pub fn step_back() {
    // Elsewhere the call is about the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, BACK) {
        tracing::debug!(%error, "the priority of a thread stays what it was");
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_forms() {
        let (first, second) = (SystemIds.fresh(), SystemIds.fresh());
        assert_eq!(first.len(), 32);
        assert!(first < second);
        assert_eq!(SystemIds.uuid().len(), 36);
        assert_ne!(SystemIds.secret(), SystemIds.secret());
        assert!((0..100).all(|_| SystemIds.jitter(3) <= 3));
        SystemIds.jitter(u64::MAX);
    }
}
