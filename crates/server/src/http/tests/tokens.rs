//! The life of a full token.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tandem_core::{
    credential::{INTAKE_KEYS, IntakeKey, intake_key_hash},
    tenant::TenantKey,
};

use super::*;

async fn create(server: &Server, body: Value) -> (String, String) {
    let seen = server.call("POST", "/auth/tokens", Some(body)).await;
    assert_eq!(seen.status, 201, "{}", seen.text);
    let body = seen.json();
    (body["token"]["token_id"].as_str().unwrap().into(), body["raw_token"].as_str().unwrap().into())
}

#[tokio::test]
async fn created_used_revoked() {
    let server = Setup::default().build();
    let (id, raw) = create(&server, json!({"name": "ci", "unknown": 1, "agent_id": null})).await;
    assert_eq!((raw.len(), raw.starts_with("tandem_")), (71, true));
    let list = server.call_with("GET", "/auth/tokens", &raw, &[], None).await;
    assert_eq!(list.json()["count"], 1);
    assert!(!list.text.contains(&raw) && !list.text.contains("hash"), "{}", list.text);
    let before = server.store.lookups.load(Ordering::Relaxed);
    assert_eq!(server.call_with("GET", "/auth/tokens", &raw, &[], None).await.status, 200);
    assert_eq!(server.store.lookups.load(Ordering::Relaxed), before, "an exclusive store is asked once");

    let path = format!("/auth/tokens/{id}/revoke");
    assert_eq!(server.call("POST", &path, None).await.json()["token"]["active"], false);
    assert_eq!(server.call_with("GET", "/auth/tokens", &raw, &[], None).await.status, 401);
    assert_eq!(server.call("POST", &path, None).await.status, 200);
    assert_eq!(
        server.call("POST", "/auth/tokens/none/revoke", None).await.refusal(),
        (404, "API_TOKEN_NOT_FOUND".into())
    );

    let audit = server.store.audit.lock().unwrap();
    let types: Vec<&str> = audit.iter().map(|row| row.event_type.as_ref()).collect();
    assert_eq!(types, ["auth.token.created", "auth.token.revoked"]);
    assert!(audit.iter().all(|row| !row.payload.to_string().contains(&raw)));
}

#[tokio::test]
async fn a_shared_store_is_asked_each_time() {
    let server = Setup::default().build();
    server.store.shared.store(true, Ordering::Relaxed);
    let (_, raw) = create(&server, json!({"name": "ci"})).await;
    for expected in 1..=3 {
        server.call_with("GET", "/nowhere", &raw, &[], None).await;
        assert_eq!(server.store.lookups.load(Ordering::Relaxed), expected);
    }
}

#[tokio::test]
async fn agents_stay_agents_and_manage_nothing() {
    let server = Setup::default().build();
    let (_, bound) = create(&server, json!({"name": "bot", "agent_id": "bot-1"})).await;
    for headers in [&[][..], &[("x-tandem-request-source", "control_panel")], &[("x-tandem-actor-id", "ann")]] {
        let seen = server.call_with("GET", "/auth/tokens", &bound, headers, None).await;
        assert_eq!(seen.refusal(), (403, "HUMAN_ACTOR_REQUIRED".into()), "{headers:?}");
    }
    let claimed = server
        .call_with("POST", "/auth/tokens", TOKEN, &[("x-tandem-agent-id", "b")], Some(json!({"name": "x"})))
        .await;
    assert_eq!(claimed.refusal().0, 403);
}

#[tokio::test]
async fn sixteen_are_active() {
    let server = Setup::default().build();
    let (first, _) = create(&server, json!({"name": "t"})).await;
    for _ in 1..16 {
        create(&server, json!({"name": "t"})).await;
    }
    let refused = server.call("POST", "/auth/tokens", Some(json!({"name": "t"}))).await;
    assert_eq!(refused.refusal(), (409, "API_TOKEN_LIMIT".into()));
    server.call("POST", &format!("/auth/tokens/{first}/revoke"), None).await;
    create(&server, json!({"name": "t"})).await;
}

#[tokio::test]
async fn tenants_are_apart() {
    let server = Setup::default().build();
    let tenant = json!({"org_id": "acme", "workspace_id": "prod"});
    let (_, acme) = create(&server, json!({"name": "acme", "tenant": tenant})).await;
    assert_eq!(server.call_with("GET", "/auth/tokens", &acme, &[], None).await.json()["count"], 0);
    let own =
        server.call_with("POST", "/auth/tokens", &acme, &[], Some(json!({"name": "own", "tenant": tenant}))).await;
    assert_eq!(own.json()["token"]["tenant"]["org_id"], "acme");
    let other = json!({"name": "x", "tenant": {"org_id": "local", "workspace_id": "local"}});
    let refused = server.call_with("POST", "/auth/tokens", &acme, &[], Some(other)).await;
    assert_eq!(refused.refusal(), (403, "TENANT_CONTEXT_DENIED".into()));
    assert_eq!(server.call("GET", "/auth/tokens", None).await.json()["count"], 2);
    let id = own.json()["token"]["token_id"].as_str().unwrap().to_owned();
    assert_eq!(server.call("POST", &format!("/auth/tokens/{id}/revoke"), None).await.status, 200);
    let audit = server.store.audit.lock().unwrap();
    assert_eq!(audit.last().unwrap().tenant.key(), TenantKey("acme/prod".into()));
}

#[tokio::test]
async fn wrong_requests() {
    let server = Setup::default().build();
    let cases = [
        json!({}),
        json!({"name": " "}),
        json!({"name": "n".repeat(121)}),
        json!({"name": "n", "expires_at_ms": 1}),
        json!({"name": "n", "expires_at_ms": -1}),
        json!({"name": "n", "tenant": {"org_id": "a/b", "workspace_id": "c"}}),
        json!({"name": "n", "agent_id": "a\u{0}b"}),
        json!({"name": "n", "agent_id": "a", "may_assert_actor": true}),
    ];
    for body in cases {
        let seen = server.call("POST", "/auth/tokens", Some(body.clone())).await;
        assert_eq!(seen.refusal(), (422, "VALIDATION_FAILED".into()), "{body}");
    }
    let expiring = json!({"name": "n", "expires_at_ms": NOW_MS + 1, "actor_id": "ann"});
    let (_, raw) = create(&server, expiring).await;
    assert_eq!(server.call_with("GET", "/auth/tokens", &raw, &[], None).await.status, 200);
}

#[tokio::test]
async fn a_stored_intake_key_is_no_full_token_even_where_none_is_needed() {
    let key = IntakeKey {
        key_id: "k".into(),
        project_id: "p".into(),
        name: "n".into(),
        key_hash: intake_key_hash("own-form"),
        enabled: true,
        scopes: Vec::new(),
        created_at_ms: Some(NOW_MS),
        last_used_at_ms: None,
        expires_at_ms: None,
        rate_limit_per_min: None,
    };
    for token in [Some(TOKEN), None] {
        let server = Setup { token, ..Setup::default() }.build();
        server.store.plant(&TenantKey("local/local".into()), &key, &INTAKE_KEYS);
        let seen = server.call_with("GET", "/auth/tokens", "own-form", &[], None).await;
        assert_eq!(seen.refusal(), (401, "AUTH_REQUIRED".into()), "{token:?}");
    }
}
