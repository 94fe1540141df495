//! The server answers; then a project, three destinations, a route and a scoped key.

use http::Method;
use serde_json::json;

use super::{logs, text, word};
use crate::cli::{
    Fault,
    demo::{
        Demo,
        client::As,
        server::{SECRET_VARIABLE, Server},
    },
};

pub const PROJECT: &str = "shop";
pub const REPO: &str = "acme/shop";
pub const WEBHOOK: &str = "team-hook";
pub const TELEMETRY: &str = "telemetry";
pub const MEMORY: &str = "memory";
/// Beneath the server's own data directory.
pub const TELEMETRY_FILE: &str = "telemetry.jsonl";

pub async fn arrived(demo: &mut Demo, server: &Server) -> Result<(), Fault> {
    let document = demo.client.get("/openapi.json").await?;
    let routes = document["paths"].as_object().map_or(0, serde_json::Map::len);
    let out = &demo.out;
    out.fact("address", &format!("http://{}", server.address));
    out.fact("API", &format!("http://{}/openapi.json (OpenAPI {})", server.address, text(&document, "/openapi")));
    out.fact("state", &server.state_dir.display().to_string());
    out.fact("token file", &server.token_file.display().to_string());
    out.fact("ready", &format!("{} ms after its start", server.ready_after.as_millis()));
    out.expect(routes > 30, &format!("{routes} paths are described"));
    let refused = demo.client.send(Method::GET, "/incident-monitor/status", As::Nobody, None).await?;
    demo.out.expect(refused.status == 401, &format!("without the token: {} {}", refused.status, refused.code()));
    let manifest = demo.client.get("/audit/ledger/manifest").await?;
    demo.audit_key = text(&manifest, "/public_key").to_owned();
    demo.out.fact("audit key", &demo.audit_key);
    Ok(())
}

pub async fn configure(demo: &mut Demo) -> Result<(), Fault> {
    demo.out.screen("A project and where its failures may go", "One route for the project; a person must approve.");
    let history = demo.home.write_workspace()?;
    demo.home.begin_log(logs::FILE)?;
    let config = json!({
        "enabled": true,
        // Where runs that fail are reported; the projects below name their own.
        "repo": "acme/demo",
        "monitored_projects": [{
            "project_id": PROJECT,
            "name": "Acme shop",
            "repo": REPO,
            "workspace_root": demo.home.workspace(),
            "source_kind": "ci",
            "allowed_destination_ids": [WEBHOOK, TELEMETRY, MEMORY],
        }, {
            "project_id": logs::PROJECT,
            "name": "Checkout",
            "repo": REPO,
            "workspace_root": demo.home.workspace(),
            "source_kind": "external_app",
            "approval_policy": "always",
            "auto_create_new_issues": false,
            "log_sources": [{ "source_id": logs::SOURCE, "path": logs::FILE }],
        }],
        "destinations": [
            {
                "destination_id": WEBHOOK,
                "name": "The team's webhook",
                "kind": "webhook",
                "webhook_url": demo.receiver.url(),
                "webhook_secret_ref": format!("env:{SECRET_VARIABLE}"),
                // The receiver is on loopback. Without these two words the server would refuse to dial it.
                "config": { "allow_private_networks": true, "allow_insecure_http": true },
            },
            {
                "destination_id": TELEMETRY,
                "name": "Local telemetry",
                "kind": "telemetry",
                "telemetry_path": TELEMETRY_FILE,
            },
            { "destination_id": MEMORY, "name": "Internal memory", "kind": "internal_memory" },
        ],
        "routes": [{
            "route_id": "shop-failures",
            "name": "Failures of the shop",
            "priority": 10,
            "match_project_ids": [PROJECT],
            "destination_ids": [WEBHOOK, TELEMETRY, MEMORY],
            "approval_policy": "always",
        }],
    });
    let body = json!({ "incident_monitor": config });
    let saved = demo.client.send(Method::PATCH, "/config/incident-monitor", As::Operator, Some(&body)).await?;
    let saved = saved.ok("saving the configuration")?;
    demo.out.fact("project", &format!("{PROJECT} ({REPO}), workspace {}", demo.home.workspace().display()));
    demo.out.fact("log source", &format!("{}/{}: {}", logs::PROJECT, logs::SOURCE, logs::FILE));
    demo.out.fact("webhook", &format!("{}, secret by reference env:{SECRET_VARIABLE}", demo.receiver.url()));
    demo.out.fact("route", "shop-failures: webhook, telemetry and memory; approval `always`");
    demo.out.fact("history", if history { "the workspace is a git repository" } else { "none: no git here" });
    let status = demo.client.get("/incident-monitor/status").await?;
    let readiness = super::rows(&status, "/status/destination_readiness");
    let ready = readiness.iter().filter(|row| row["ready"] == true).count();
    demo.out.expect(ready == 3 && readiness.len() == 3, "all three destinations are ready");
    let leaked = saved.to_string().contains(&demo.secret) || status.to_string().contains(&demo.secret);
    demo.out.expect(!leaked, "no answer holds the signing secret, only its reference");

    let wanted = json!({ "project_id": PROJECT, "name": "the shop's reporter" });
    let key = demo.client.post("/incident-monitor/intake/keys", &wanted).await?;
    demo.intake_key = text(&key, "/raw_key").to_owned();
    demo.out.fact(
        "intake key",
        &format!("{}, shown once, scope {}", text(&key, "/key/key_id"), word(&key["key"]["scopes"][0])),
    );
    let config = "/config/incident-monitor";
    let refused = demo.client.send(Method::GET, config, As::Reporter(&demo.intake_key), None).await?;
    demo.out
        .expect(refused.status == 401, &format!("the intake key cannot read the configuration: {}", refused.status));
    Ok(())
}
