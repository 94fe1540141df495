//! Who reaches what, on small estates that can be read.

use serde_json::{Value, json};
use tandem_core::{
    actor::{ActorKind, ActorRef},
    automation::Automation,
    config,
    credential::IntakeKey,
    governance::agent::Agent,
    mcp::{ServerRow, ToolRow},
    tenant::TenantContext,
};

use super::*;
use crate::{
    declared::{Declared, DeclaredKind, DeclaredServer, DeclaredSpec, Origin},
    estate::Owned,
    inventory::{Viewer, inventory},
};

const NOW: u64 = 1_000_000;

fn local<T>(value: T) -> Owned<T> {
    Owned { tenant: TenantContext::local(), value }
}

fn estate(body: Value) -> Estate {
    let mut estate = Estate::empty(TenantContext::local(), NOW);
    estate.config = config::read(body).unwrap_or_else(|error| panic!("{error:?}"));
    estate.sources = tandem_core::source::readiness(&estate.config, &[], NOW);
    estate
}

fn shop() -> Value {
    json!({
        "enabled": true,
        "destinations": [
            {"destination_id": "hook", "name": "H", "kind": "webhook", "webhook_url": "https://x.test"},
            {"destination_id": "gh", "name": "G", "kind": "github_issue", "repo": "acme/shop", "require_approval": true},
            {"destination_id": "log", "name": "L", "kind": "telemetry"},
        ],
        "default_destination_ids": ["log"],
        "routes": [
            {"route_id": "ci", "name": "ci", "match_source_kinds": ["ci"], "destination_ids": ["hook"]},
            {"route_id": "sec", "name": "sec", "match_risk_categories": ["security"], "destination_ids": ["gh"],
             "priority": 5},
        ],
        "monitored_projects": [
            {"project_id": "shop", "name": "S", "repo": "acme/shop", "workspace_root": "/srv", "source_kind": "ci"},
            {"project_id": "bank", "name": "B", "repo": "acme/bank", "workspace_root": "/srv",
             "allowed_destination_ids": ["log", "gh"]},
        ],
    })
}

fn key(id: &str, project: &str) -> IntakeKey {
    IntakeKey {
        key_id: id.into(),
        project_id: project.into(),
        name: id.into(),
        key_hash: "h".into(),
        enabled: true,
        scopes: vec!["incident_monitor:report".into()],
        created_at_ms: Some(1),
        last_used_at_ms: None,
        expires_at_ms: None,
        rate_limit_per_min: None,
    }
}

fn ask(estate: &Estate, from: Option<&str>, to: Option<&str>) -> Result<Reach, Failure> {
    let ask = Ask { from: Point::read("from", from)?, to: Point::read("to", to)? };
    reach(estate, &inventory(estate, &Viewer::Reviewer), &ask)
}

fn answer(estate: &Estate, from: Option<&str>, to: Option<&str>) -> Reach {
    ask(estate, from, to).unwrap_or_else(|failure| panic!("{failure:?}"))
}

fn way(path: &Path) -> String {
    path.hops.iter().map(|hop| format!("{}:{}", hop.kind, hop.id)).collect::<Vec<_>>().join(" > ")
}

fn ways(reach: &Reach) -> Vec<String> {
    reach.paths.iter().map(way).collect()
}

#[test]
fn a_key_reaches_what_the_router_lets_it() {
    let mut estate = estate(shop());
    estate.keys = vec![key("k1", "shop"), key("k2", "bank")];
    let found = answer(&estate, Some("intake_key:k1"), Some("outside:webhook:hook"));
    assert_eq!(ways(&found), ["intake_key:k1 > source:shop > route:ci > destination:hook > outside:webhook:hook"]);
    // High risk asks by default; the rest leaves on a call.
    assert_eq!((found.reachable, found.gated, found.approval), (true, false, Some(Standing::Conditional)));
    assert_eq!(found.paths[0].hops[3].approval, Standing::Conditional);
    assert_eq!(found.paths[0].hops[3].note.as_deref(), Some("published by a call"));

    // The other project is of another kind, and may not send there anyway.
    let found = answer(&estate, Some("key:k2"), Some("destination:hook"));
    assert_eq!((found.reachable, found.gated, found.approval, found.paths.len()), (false, false, None, 0));
    // What it may reach outside, somebody has to agree to each time.
    let found = answer(&estate, Some("key:k2"), Some("outside:github:acme/shop"));
    assert!(found.reachable && found.gated, "{:?}", ways(&found));
    let found = answer(&estate, Some("key:k2"), Some("destination:log"));
    assert_eq!(ways(&found), ["intake_key:k2 > source:bank > route:default_destinations > destination:log"]);
}

#[test]
fn what_leads_nowhere() {
    let mut estate = estate(shop());
    let mut off = key("off", "shop");
    off.enabled = false;
    let mut old = key("old", "shop");
    old.expires_at_ms = Some(NOW);
    let mut other = key("other", "shop");
    other.scopes = vec!["something".into()];
    estate.keys = vec![off, old, other];
    for id in ["off", "old", "other"] {
        assert!(!answer(&estate, Some(&format!("key:{id}")), Some("destination:hook")).reachable, "{id}");
    }
    estate.keys = vec![key("k", "shop")];
    assert!(answer(&estate, Some("key:k"), Some("destination:hook")).reachable);
    estate.config.destinations[0].enabled = false;
    assert!(!answer(&estate, Some("key:k"), Some("destination:hook")).reachable);
    estate.config.destinations[0].enabled = true;
    estate.config.routes[0].enabled = false;
    assert!(!answer(&estate, Some("key:k"), Some("destination:hook")).reachable);
}

#[test]
fn a_route_that_is_shadowed_is_on_no_path() {
    let mut body = shop();
    body["routes"][1]["match_risk_categories"] = json!([]);
    let estate = estate(body);
    let found = answer(&estate, Some("source:shop"), Some("destination:hook"));
    assert!(!found.reachable, "{:?}", ways(&found));
}

#[test]
fn a_route_that_lifts_the_approval_opens_the_way() {
    let mut body = shop();
    body["routes"][0]["approval_policy"] = json!("never");
    body["routes"][0]["auto_publish"] = json!(true);
    let found = answer(&estate(body.clone()), Some("source:shop"), Some("destination:hook"));
    assert_eq!(found.approval, Some(Standing::None));
    assert_eq!(found.paths[0].hops[2].note.as_deref(), Some("published by itself"));
    body["routes"][0]["approval_policy"] = json!("always");
    let found = answer(&estate(body), Some("source:shop"), Some("destination:hook"));
    assert!(found.gated);
}

fn automation(agents: Value, nodes: Value) -> Automation {
    let body = json!({
        "automation_id": "a1", "status": "active", "creator_id": "bot", "created_at_ms": 1, "updated_at_ms": 1,
        "name": "a1", "agents": agents, "flow": {"nodes": nodes},
    });
    serde_json::from_value(body).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn an_agent_reaches_through_what_it_created() {
    let mut estate = estate(shop());
    let agents = json!([{"agent_id": "g", "tool_policy": {"allowlist": ["read", "bash"]},
                         "mcp_policy": {"allowed_servers": ["gh"], "allowed_tools": ["create_issue"]}}]);
    let node = |gate: bool| json!([{"node_id": "n", "agent_id": "g", "objective": "o", "gate": {"required": gate}}]);
    estate.automations = vec![local(automation(agents.clone(), node(false)))];
    estate.agents = vec![local(Agent::new("bot", 1))];
    let found = answer(&estate, Some("agent:bot"), Some("outside:mcp:gh"));
    assert_eq!(
        ways(&found),
        [
            "agent:bot > automation:a1 > automation_node:a1/n > tool:mcp.gh.create_issue > mcp_server:gh > outside:mcp:gh"
        ]
    );
    assert_eq!(found.approval, Some(Standing::None));
    assert!(answer(&estate, Some("automation:a1"), Some("outside:executor")).reachable);
    estate.automations = vec![local(automation(agents.clone(), node(true)))];
    let found = answer(&estate, Some("agent:bot"), Some("outside:mcp:gh"));
    assert!(found.gated && found.paths[0].hops[3].approval == Standing::Required);
    // A tool that only reads reaches nothing outside.
    assert!(!answer(&estate, Some("tool:read"), Some("outside:executor")).reachable);
    estate.agents[0].value.pause = serde_json::from_value(json!({
        "paused_at_ms": 1, "paused_by": {"kind": "human"}, "reason": null, "runs_told": 0, "runs_stopped": 0,
        "last_stopped_at_ms": null, "slowest_stop_ms": null, "telling": false,
    }))
    .ok();
    assert!(estate.agents[0].value.is_paused());
    assert!(!answer(&estate, Some("agent:bot"), Some("outside:mcp:gh")).reachable);
}

#[test]
fn a_tool_that_changed_is_not_called() {
    let mut body = shop();
    body["destinations"] = json!([{"destination_id": "tool", "name": "T", "kind": "mcp_tool", "mcp_server": "gh",
                                   "mcp_tool": "create_issue", "config": {"allow_publish": true}}]);
    body["routes"] = json!([]);
    body["default_destination_ids"] = json!(["tool"]);
    body["monitored_projects"][1]["allowed_destination_ids"] = json!([]);
    let mut estate = estate(body);
    estate.servers = vec![ServerRow { name: "gh".into(), enabled: true, ..ServerRow::default() }];
    let tool = |accepted: &str| ToolRow {
        server_name: "gh".into(),
        tool_name: "create_issue".into(),
        namespaced_name: "mcp.gh.create_issue".into(),
        description: String::new(),
        input_schema: json!({}),
        output_schema: None,
        schema_hash: "now".into(),
        accepted_hash: accepted.into(),
        fetched_at_ms: 1,
        withdrawn: false,
        used: true,
    };
    estate.tools = vec![tool("now")];
    assert!(answer(&estate, Some("source:bank"), Some("outside:mcp:gh")).reachable);
    estate.tools = vec![tool("before")];
    assert!(!answer(&estate, Some("source:bank"), Some("outside:mcp:gh")).reachable);
}

#[test]
fn what_is_declared_counts() {
    let mut estate = estate(json!({}));
    let declare = |kind: DeclaredKind, id: &str, spec: DeclaredSpec| {
        local(Declared {
            declared_id: Declared::key(kind, id),
            kind,
            object_id: id.into(),
            origin: Origin::Scan,
            spec,
            digest: String::new(),
            stale_after_ms: 1,
            first_seen_at_ms: 1,
            last_seen_at_ms: 1,
            declared_by: ActorRef { kind: ActorKind::System, actor_id: None, source: None },
        })
    };
    let server = DeclaredServer { name: "files".into(), ..DeclaredServer::default() };
    estate.declared = vec![
        declare(
            DeclaredKind::Runtime,
            "desk",
            DeclaredSpec { related: vec!["agent:claude".into()], ..DeclaredSpec::default() },
        ),
        declare(
            DeclaredKind::Agent,
            "claude",
            DeclaredSpec {
                servers: vec![server],
                tool_allowlist: Some(Vec::new()),
                approval_policy: Some("always".into()),
                ..DeclaredSpec::default()
            },
        ),
    ];
    let found = answer(&estate, Some("runtime:desk"), Some("outside:mcp:files"));
    assert_eq!(ways(&found), ["runtime:desk > declared_agent:claude > mcp_server:files > outside:mcp:files"]);
    // Nobody here enforces what is declared.
    assert_eq!((found.gated, found.approval), (false, Some(Standing::Conditional)));
}

#[test]
fn open_questions_name_every_other_end() {
    let mut estate = estate(shop());
    estate.keys = vec![key("k1", "shop"), key("k2", "bank")];
    let found = answer(&estate, None, Some("outside:webhook:hook"));
    let ends: Vec<String> = found.ends.iter().map(|end| format!("{}:{}", end.kind, end.id)).collect();
    assert_eq!(ends, ["source:shop", "intake_key:k1", "api_token:boot"]);
    assert_eq!(found.paths.len(), 3);
    assert_eq!(
        way(&found.paths[1]),
        "intake_key:k1 > source:shop > route:ci > destination:hook > outside:webhook:hook"
    );
    assert_eq!(way(&found.paths[2]), "api_token:boot > destination:hook > outside:webhook:hook");

    let found = answer(&estate, Some("key:k2"), None);
    let ends: Vec<String> = found.ends.iter().map(|end| format!("{}:{}", end.kind, end.id)).collect();
    assert!(ends.contains(&"destination:log".into()) && !ends.contains(&"destination:hook".into()), "{ends:?}");
    let gated = |id: &str| found.ends.iter().find(|end| end.id == id).map(|end| end.gated);
    assert_eq!((gated("gh"), gated("log")), (Some(true), Some(false)));
}

#[test]
fn questions_that_cannot_be_asked() {
    let estate = estate(shop());
    let refused = |from, to| ask(&estate, from, to).err().map(|f| (f.code.word(), f.http_status()));
    for (from, to) in
        [(None, None), (Some("hook"), None), (Some("planet:x"), None), (None, Some("tool: ")), (Some(" "), None)]
    {
        assert_eq!(refused(from, to), Some(("VALIDATION_FAILED", 400)), "{from:?} {to:?}");
    }
    let unknown = Some(("INCIDENT_MONITOR_REACH_OBJECT_NOT_FOUND", 404));
    assert_eq!(refused(Some("source:nobody"), None), unknown);
    assert_eq!(refused(Some("source:shop"), Some("outside:moon")), unknown);
    assert_eq!(refused(Some("source:SHOP"), Some("route:default_destinations")), None);
}

/// The gate is exact: cutting every required step by hand leaves no way, exactly when it says so.
#[test]
fn a_gate_holds_or_it_is_none() {
    let mut body = shop();
    body["routes"].as_array_mut().into_iter().for_each(|routes| {
        routes
            .push(json!({"route_id": "side", "name": "side", "match_components": ["side"], "destination_ids": ["gh"],
                           "priority": 9}));
    });
    let mut estate = estate(body);
    let gated = |estate: &Estate| answer(estate, Some("source:shop"), Some("outside:github:acme/shop")).gated;
    assert!(gated(&estate));
    estate.config.destinations[1].require_approval = false;
    assert!(!gated(&estate));
    for route in &mut estate.config.routes {
        route.approval_policy = tandem_core::approval::ApprovalPolicy::Always;
    }
    assert!(gated(&estate));
    // One side way is enough.
    if let Some(side) = estate.config.routes.iter_mut().find(|route| route.route_id == "side") {
        side.approval_policy = tandem_core::approval::ApprovalPolicy::Never;
    }
    assert!(!gated(&estate));
}

#[test]
fn a_large_estate_is_answered_within_limits() {
    let estate = crate::posture::tests::large(2_000);
    let inventory = inventory(&estate, &Viewer::Reviewer);
    for (from, to) in [
        (None, Some("outside:executor")),
        (None, Some("outside:webhook:d7")),
        (Some("source:p3"), None),
        (Some("api_token:boot"), None),
        (Some("api_token:boot"), Some("outside:executor")),
    ] {
        let ask = Ask { from: Point::read("from", from).ok().flatten(), to: Point::read("to", to).ok().flatten() };
        let found = reach(&estate, &inventory, &ask).unwrap_or_else(|failure| panic!("{failure:?}"));
        assert!(found.reachable && found.paths.len() <= LIMITS.paths && found.ends.len() <= LIMITS.ends, "{ask:?}");
    }
}

/// Work that grows with the square of the sources would take minutes here.
#[test]
fn one_project_may_have_very_many_sources() {
    const ALL: usize = 20_000;
    const NAMED: usize = 400;
    let mut body = shop();
    let id = |n: usize| format!("s-{n}");
    body["routes"] = json!([{
        "route_id": "named", "name": "named", "match_log_source_ids": (0..NAMED).map(id).collect::<Vec<_>>(),
        "destination_ids": ["hook"],
    }]);
    let source = |n: usize| json!({"source_id": id(n), "path": format!("{n}.log")});
    body["monitored_projects"] = json!([{
        "project_id": "shop", "name": "S", "repo": "acme/shop", "workspace_root": "/srv",
        "log_sources": (0..ALL).map(source).collect::<Vec<_>>(),
    }]);
    let estate = estate(body);
    let whole = answer(&estate, None, Some("destination:hook"));
    assert_eq!(whole.ends.iter().filter(|end| end.kind == Kind::Source).count(), NAMED);
    let last = answer(&estate, Some(&format!("source:shop/{}", id(ALL - 1))), Some("destination:hook"));
    assert!(last.paths.is_empty() && !last.truncated);
}
