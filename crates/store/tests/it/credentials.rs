//! Credentials: found by their hash, and marked when they are used.

use tandem_core::{
    credential::{API_TOKENS, INTAKE_KEYS, IntakeKey},
    record::{Commit, Put},
    tenant::TenantContext,
};

use crate::lab::*;

pub async fn a_secret_finds_its_row_in_any_tenant(lab: Lab) {
    let opened = lab.open().await;
    for n in 0..3 {
        let key = IntakeKey {
            key_id: format!("key-{n}"),
            project_id: "web".into(),
            name: "ci".into(),
            key_hash: format!("hash-{n}"),
            enabled: true,
            scopes: Vec::new(),
            created_at_ms: Some(1),
            last_used_at_ms: None,
            expires_at_ms: None,
            rate_limit_per_min: None,
        };
        let tenant = TenantContext::explicit("acme", format!("w{n}"));
        send(&opened, Commit::new(&context(&tenant, 1)).put(Put::insert(&key))).await;
    }
    let found = opened.store().credential(&INTAKE_KEYS, "hash-1").await.expect("it answers");
    let (tenant, row) = found.expect("it is there");
    assert_eq!((tenant.as_str(), row.id.as_str(), row.version), ("acme/w1", "key-1", 1));
    assert_eq!(opened.store().credential(&INTAKE_KEYS, "hash-9").await, Ok(None));
    assert_eq!(opened.store().credential(&API_TOKENS, "hash-1").await, Ok(None));
}

pub async fn last_use_never_goes_back(lab: Lab) {
    let opened = lab.open().await;
    let tenant = local().key();
    assert_eq!(opened.store().last_used(&INTAKE_KEYS, &tenant, "k").await, Ok(None));
    for (at, seen) in [(50, 50), (40, 50), (50, 50), (60, 60)] {
        let used = vec![(tenant.clone(), "other".into(), at), (tenant.clone(), "k".into(), at)];
        assert_eq!(opened.store().mark_used(&INTAKE_KEYS, used).await, Ok(()));
        assert_eq!(opened.store().last_used(&INTAKE_KEYS, &tenant, "k").await, Ok(Some(seen)));
    }
    let twice = vec![(tenant.clone(), "k".into(), 90), (tenant.clone(), "k".into(), 70)];
    assert_eq!(opened.store().mark_used(&INTAKE_KEYS, twice).await, Ok(()));
    assert_eq!(opened.store().last_used(&INTAKE_KEYS, &tenant, "k").await, Ok(Some(90)));
    assert_eq!(opened.store().last_used(&API_TOKENS, &tenant, "k").await, Ok(None));
    assert_eq!(opened.store().mark_used(&INTAKE_KEYS, Vec::new()).await, Ok(()));
}
