//! Scoped intake keys: create, list, disable; their cache, rate limits and last use.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, RwLock},
};

use serde_json::json;
use tandem_core::{
    actor::OpContext,
    credential::{INTAKE_KEYS, IntakeKey, REPORT_SCOPES, intake_key_hash},
    error::{Code, Failure},
    record::{Commit, Put},
    tenant::TenantKey,
    text::non_blank,
};

use crate::{App, decide_again, store_failure};

/// What a new key is asked to be.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    pub project_id: String,
    pub name: String,
    pub scopes: Option<Vec<String>>,
    pub expires_at_ms: Option<u64>,
    pub rate_limit_per_min: Option<u32>,
}

/// The hash of a key never leaves the server.
fn redacted(mut key: IntakeKey) -> IntakeKey {
    key.key_hash = "[redacted]".into();
    key
}

fn lifecycle(key: &IntakeKey) -> serde_json::Value {
    json!({
        "key_id": key.key_id,
        "project_id": key.project_id,
        "name": key.name,
        "enabled": key.enabled,
        "scopes": key.scopes,
        "created_at_ms": key.created_at_ms,
        "expires_at_ms": key.expires_at_ms,
        "rate_limit_per_min": key.rate_limit_per_min,
    })
}

impl App {
    /// All keys of the tenant, by project and name, without their hashes.
    pub async fn keys(&self, ctx: &OpContext) -> Result<Vec<IntakeKey>, Failure> {
        let tenant = ctx.tenant.key();
        let mut keys = Vec::new();
        for row in self.all::<IntakeKey>(&tenant, "created_at_ms", Vec::new(), 10_000).await? {
            keys.push(self.with_last_use(&tenant, redacted(row.value)).await?);
        }
        keys.sort_by(|a, b| (&a.project_id, &a.name, &a.key_id).cmp(&(&b.project_id, &b.name, &b.key_id)));
        Ok(keys)
    }

    async fn with_last_use(&self, tenant: &TenantKey, mut key: IntakeKey) -> Result<IntakeKey, Failure> {
        let stored = self.store().last_used(&INTAKE_KEYS, tenant, &key.key_id).await.map_err(store_failure)?;
        let pending = self.used.lock().ok().and_then(|used| used.get(&(tenant.clone(), key.key_id.clone())).copied());
        key.last_used_at_ms = stored.max(pending);
        Ok(key)
    }

    /// Creates a key. The raw key is returned once and stored nowhere.
    pub async fn key_create(&self, ctx: &OpContext, new: NewKey) -> Result<(IntakeKey, String), Failure> {
        let project_id = new.project_id.trim();
        let snapshot = self.snapshot(&ctx.tenant.key()).await?;
        if !snapshot.config.monitored_projects.iter().any(|p| p.project_id == project_id) {
            return Err(Failure::of(Code::IntakeProjectUnknown).with("project_id", project_id));
        }
        let Some(name) = non_blank(Some(&new.name)) else {
            return Err(Failure::of(Code::IntakeKeyNameRequired));
        };
        let scopes = match new.scopes {
            None => vec![REPORT_SCOPES[0].to_owned()],
            Some(scopes) => {
                let mut scopes: Vec<String> =
                    scopes.iter().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect();
                scopes.dedup();
                if scopes.is_empty() {
                    return Err(Failure::of(Code::IntakeKeyCreateFailed)
                        .with("detail", "`scopes` holds no scope; leave it out for the report scope"));
                }
                scopes
            }
        };
        if new.expires_at_ms.is_some_and(|at| at <= ctx.now_ms) {
            return Err(Failure::of(Code::IntakeKeyCreateFailed).with("detail", "`expires_at_ms` lies in the past"));
        }
        let raw = format!("tim_intake_{}", tandem_core::text::hex(&self.ports.ids.secret()));
        let key = IntakeKey {
            key_id: self.id("intake-key-"),
            project_id: project_id.to_owned(),
            name: tandem_core::text::truncate(name, 200),
            key_hash: intake_key_hash(&raw),
            enabled: true,
            scopes,
            created_at_ms: Some(ctx.now_ms),
            last_used_at_ms: None,
            expires_at_ms: new.expires_at_ms,
            rate_limit_per_min: new.rate_limit_per_min.filter(|n| *n > 0),
        };
        let commit = Commit::new(ctx).put(Put::insert(&key)).audit(
            self.event_id(),
            "incident_monitor.intake_key.created",
            lifecycle(&key),
        );
        self.store().commit(commit).await.map_err(store_failure)?;
        Ok((redacted(key), raw))
    }

    /// Disables a key; it is refused from the answer on. Disabling twice is fine.
    pub async fn key_disable(&self, ctx: &OpContext, key_id: &str) -> Result<IntakeKey, Failure> {
        let tenant = ctx.tenant.key();
        let key = decide_again(async || {
            let Some(row) = self.load::<IntakeKey>(&tenant, key_id).await? else {
                return Err(Failure::of(Code::IntakeKeyNotFound).with("key_id", key_id));
            };
            let mut key = row.value;
            if key.enabled {
                key.enabled = false;
                let commit = Commit::new(ctx).put(Put::update(&key, row.version)).audit(
                    self.event_id(),
                    "incident_monitor.intake_key.disabled",
                    lifecycle(&key),
                );
                self.store().commit(commit).await.map_err(store_failure)?;
                self.key_cache.forget(&key.key_hash);
            }
            Ok(key)
        })
        .await?;
        self.with_last_use(&tenant, redacted(key)).await
    }

    pub(crate) fn note_use(&self, tenant: &TenantKey, key_id: &str, now_ms: u64) {
        if let Ok(mut used) = self.used.lock() {
            used.insert((tenant.clone(), key_id.to_owned()), now_ms);
        }
    }

    /// Writes last uses down. A worker calls it every few seconds; a crash loses at most that much precision.
    pub async fn flush_uses(&self) -> Result<(), Failure> {
        let used: Vec<_> = match self.used.lock() {
            Ok(mut used) => used.drain().map(|((tenant, id), at)| (tenant, id, at)).collect(),
            Err(_) => return Ok(()),
        };
        if used.is_empty() {
            return Ok(());
        }
        self.store().mark_used(&INTAKE_KEYS, used).await.map_err(store_failure)
    }
}

type Cached = (TenantKey, IntakeKey);

/// Keys by hash. Used only while no other process can write the store.
#[derive(Default)]
pub struct KeyCache(RwLock<Held>);

#[derive(Default)]
struct Held {
    keys: HashMap<String, Arc<Cached>>,
    /// Grows with every [`KeyCache::forget`], so that a reader that was slower than a disable cannot put the key back.
    generation: u64,
}

impl KeyCache {
    pub fn get(&self, hash: &str) -> Option<Cached> {
        self.0.read().ok()?.keys.get(hash).map(|found| (**found).clone())
    }

    /// Take this before reading the store, and hand it to [`KeyCache::put`].
    pub fn generation(&self) -> u64 {
        self.0.read().map_or(u64::MAX, |held| held.generation)
    }

    pub fn put(&self, hash: &str, found: Cached, generation: u64) {
        if let Ok(mut held) = self.0.write()
            && held.generation == generation
        {
            held.keys.insert(hash.to_owned(), Arc::new(found));
        }
    }

    pub fn forget(&self, hash: &str) {
        if let Ok(mut held) = self.0.write() {
            held.keys.remove(hash);
            held.generation += 1;
        }
    }
}

/// One token bucket per key: a minute's worth at once, refilled evenly.
#[derive(Default)]
pub struct Limits(Mutex<HashMap<String, (f64, u64)>>);

impl Limits {
    /// Takes one; otherwise the seconds until there is one again.
    pub fn take(&self, key_id: &str, per_minute: u32, now_ms: u64) -> Result<(), u64> {
        let Ok(mut buckets) = self.0.lock() else { return Ok(()) };
        let full = f64::from(per_minute);
        let (left, at) = buckets.entry(key_id.to_owned()).or_insert((full, now_ms));
        #[allow(clippy::cast_precision_loss)]
        let refill = now_ms.saturating_sub(*at) as f64 * full / 60_000.0;
        *left = (*left + refill).min(full);
        *at = (*at).max(now_ms);
        if *left >= 1.0 {
            *left -= 1.0;
            return Ok(());
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Err(((1.0 - *left) * 60.0 / full).ceil().max(1.0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_refills() {
        let limits = Limits::default();
        assert!((0..3).all(|_| limits.take("k", 3, 1_000).is_ok()));
        assert_eq!(limits.take("k", 3, 1_000), Err(20));
        assert!(limits.take("other", 3, 1_000).is_ok());
        assert!(limits.take("k", 3, 21_000).is_ok());
        assert!(limits.take("k", 3, 21_000).is_err());
    }
}
