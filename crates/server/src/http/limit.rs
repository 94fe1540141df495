//! Requests per minute and tenant: a fixed window of 60 s, counted in this process. Applied after authentication, so a
//! stranger cannot use up a tenant's share.

use std::{collections::HashMap, sync::Mutex};

use tandem_core::{
    error::{Code, Failure},
    tenant::TenantKey,
};

const WINDOW_MS: u64 = 60_000;

pub struct Limiter {
    per_minute: u32,
    windows: Mutex<HashMap<TenantKey, Window>>,
}

struct Window {
    started_ms: u64,
    count: u32,
}

impl Limiter {
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, windows: Mutex::default() }
    }

    pub fn admit(&self, tenant: &TenantKey, now_ms: u64) -> Result<(), Failure> {
        let mut windows = self.windows.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let window = windows.entry(tenant.clone()).or_insert(Window { started_ms: now_ms, count: 0 });
        // A clock that went backwards starts a new window instead of locking the tenant out.
        if now_ms.checked_sub(window.started_ms).is_none_or(|age| age >= WINDOW_MS) {
            *window = Window { started_ms: now_ms, count: 0 };
        }
        if window.count < self.per_minute {
            window.count += 1;
            return Ok(());
        }
        let left_ms = (window.started_ms + WINDOW_MS).saturating_sub(now_ms);
        let mut failure = Failure::new(Code::RateLimited, "Rate limit exceeded for tenant");
        failure.retry_after_s = Some(left_ms.div_ceil(1000).max(1));
        Err(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_fills_and_passes() {
        let limiter = Limiter::new(2);
        let (a, b) = (TenantKey("a/a".into()), TenantKey("b/b".into()));
        assert!(limiter.admit(&a, 1_000).is_ok() && limiter.admit(&a, 2_000).is_ok());
        assert_eq!(limiter.admit(&a, 31_001).unwrap_err().retry_after_s, Some(30));
        assert!(limiter.admit(&b, 31_001).is_ok());
        assert!(limiter.admit(&a, 61_000).is_ok());
        assert!(limiter.admit(&a, 500).is_ok());
    }
}
