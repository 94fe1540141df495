//! Each rule on an estate on which it fires and on one on which it does not.

use proptest::prelude::*;
use serde_json::{Value, json};
use tandem_core::{
    actor::{ActorKind, ActorRef},
    audit::integrity::{Integrity, Status},
    automation::Automation,
    config,
    credential::{ApiToken, IntakeKey},
    governance::agent::Agent,
    mcp::{ServerRow, ToolRow},
    publish::external_action::ExternalAction,
    tenant::TenantContext,
};

use super::*;
use crate::{
    declared::{Declared, DeclaredKind, DeclaredServer, DeclaredSpec, Origin, Step},
    estate::Owned,
    finding::Severity,
    inventory::{Viewer, inventory},
};

const NOW: u64 = 1_000 * 86_400_000;
const DAY: u64 = 86_400_000;

fn local<T>(value: T) -> Owned<T> {
    Owned { tenant: TenantContext::local(), value }
}

fn estate(body: Value) -> Estate {
    estate_of(body)
}

fn estate_of(body: Value) -> Estate {
    let mut estate = Estate::empty(TenantContext::local(), NOW);
    estate.config = config::read(body).unwrap_or_else(|error| panic!("{error:?}"));
    estate.sources = tandem_core::source::readiness(&estate.config, &[], estate.now_ms);
    estate
}

fn bare() -> Estate {
    estate(json!({"safety_defaults": {"retention_days": 30}}))
}

fn automation(id: &str, agents: Value, nodes: Value) -> Automation {
    let body = json!({
        "automation_id": id, "status": "active", "creator_id": "ann", "created_at_ms": 1, "updated_at_ms": 1,
        "name": id, "agents": agents, "flow": {"nodes": nodes},
    });
    serde_json::from_value(body).unwrap_or_else(|error| panic!("{error}"))
}

fn with_automation(agents: Value, nodes: Value) -> Estate {
    let mut estate = bare();
    estate.automations = vec![local(automation("a1", agents, nodes))];
    estate
}

fn agent(allowlist: Value, rest: Value) -> Value {
    let mut agent = json!({"agent_id": "g", "display_name": "G", "tool_policy": {"allowlist": allowlist}});
    if let (Some(agent), Some(rest)) = (agent.as_object_mut(), rest.as_object()) {
        agent.extend(rest.clone());
    }
    agent
}

fn run(estate: &Estate, rules: &[&str]) -> PostureChecks {
    let options = Options { rules: rules.iter().map(|id| (*id).to_owned()).collect(), ..Options::default() };
    check(estate, &inventory(estate, &Viewer::Reviewer), &options)
}

/// `severity kind id` of what one rule finds.
fn of(estate: &Estate, rule: &str) -> Vec<String> {
    let say = |finding: &Finding| {
        let first = finding.affected_objects.first();
        let (kind, id) = first.map(|object| (object.kind.as_str(), object.id.as_str())).unwrap_or_default();
        format!("{} {kind} {id}", finding.severity)
    };
    run(estate, &[rule]).findings.iter().map(say).collect()
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn tools_without_approval() {
    let rule = table::TOOL_WITHOUT_APPROVAL;
    let write = || agent(json!(["read", "write"]), json!({}));
    let node = |rest: Value| {
        let mut node = json!({"node_id": "n", "agent_id": "g", "objective": "o"});
        if let (Some(node), Some(rest)) = (node.as_object_mut(), rest.as_object()) {
            node.extend(rest.clone());
        }
        json!([node])
    };
    let on_agent = vec!["high automation_agent g".to_owned()];
    let on_node = vec!["high automation_node n".to_owned()];
    for (agents, nodes, expected) in [
        (json!([write()]), json!([]), &on_agent),
        (json!([agent(json!(["read"]), json!({}))]), json!([]), &none()),
        (json!([agent(json!(["*"]), json!({}))]), json!([]), &on_agent),
        (json!([agent(json!(["write"]), json!({"approval_policy": "always"}))]), json!([]), &none()),
        (json!([agent(json!(["write"]), json!({"approval_policy": "  "}))]), json!([]), &on_agent),
        (json!([write()]), node(json!({})), &on_node),
        (json!([write()]), node(json!({"gate": {"required": true}})), &none()),
        (json!([write()]), node(json!({"gate": {"required": false}})), &on_node),
        (json!([write()]), node(json!({"tool_policy": {"allowlist": ["read"]}})), &none()),
        (json!([]), node(json!({"tool_policy": {"allowlist": ["bash"]}})), &on_node),
        (json!([]), node(json!({})), &none()),
    ] {
        assert_eq!(&of(&with_automation(agents.clone(), nodes.clone()), rule), expected, "{agents} {nodes}");
    }
}

#[test]
fn equal_names_in_two_automations_are_two_findings() {
    let mut estate = bare();
    let nodes = json!([{"node_id": "n", "agent_id": "g", "objective": "o"}]);
    let agents = json!([agent(json!(["bash"]), json!({}))]);
    for id in ["a1", "a2"] {
        estate.automations.push(local(automation(id, agents.clone(), nodes.clone())));
    }
    assert_eq!(run(&estate, &[table::TOOL_WITHOUT_APPROVAL]).findings.len(), 2);
    // And so are equal automations of two tenants, which only the implicit one sees at once.
    estate.automations[1].value.automation_id = "a1".into();
    estate.automations[1].tenant = TenantContext::explicit("acme", "main");
    assert_eq!(run(&estate, &[table::TOOL_WITHOUT_APPROVAL]).findings.len(), 2);
}

#[test]
fn servers_without_a_list_of_tools() {
    let rule = table::MCP_WITHOUT_ALLOWLIST;
    let policy = |policy: Value| json!([agent(json!(["read"]), json!({"mcp_policy": policy}))]);
    let found = vec!["high automation_agent g".to_owned()];
    for (given, expected) in [
        (json!({"allowed_servers": ["GH"]}), &found),
        (json!({"allowed_servers": ["gh"], "allowed_tools": []}), &found),
        (json!({"allowed_servers": ["gh"], "allowed_tools": ["list_issues"]}), &none()),
        (json!({"allowed_servers": []}), &none()),
        (json!({"allowed_servers": [], "allowed_connections": [{"server": "gh"}]}), &found),
    ] {
        assert_eq!(&of(&with_automation(policy(given.clone()), json!([])), rule), expected, "{given}");
    }
    let node = |policy: Value| {
        let agents = json!([agent(json!(["read"]), json!({}))]);
        with_automation(agents, json!([{"node_id": "n", "agent_id": "g", "objective": "o", "mcp_policy": policy}]))
    };
    assert_eq!(of(&node(json!({"allowed_servers": ["gh"]})), rule), ["high automation_node n"]);
    assert_eq!(of(&node(json!({"allowed_servers": ["gh"], "allowed_tools": ["x"]})), rule), none());
}

fn destinations(external: usize) -> Value {
    let of =
        |n| json!({"destination_id": format!("d{n}"), "name": "D", "kind": "webhook", "webhook_url": "https://x.test"});
    let mut all: Vec<Value> = (0..external).map(of).collect();
    all.push(json!({"destination_id": "t", "name": "T", "kind": "telemetry"}));
    Value::Array(all)
}

fn project(rest: Value) -> Value {
    let mut project = json!({"project_id": "p", "name": "P", "repo": "a/b", "workspace_root": "/srv"});
    if let (Some(project), Some(rest)) = (project.as_object_mut(), rest.as_object()) {
        project.extend(rest.clone());
    }
    project
}

#[test]
fn breadth_of_sources() {
    let rule = table::BROAD_SCOPE;
    let found = vec!["medium monitored_source p".to_owned()];
    for (external, rest, expected) in [
        (0, json!({}), &none()),
        (1, json!({}), &found),
        (2, json!({"allowed_destination_ids": ["d0", "d1", "t"]}), &found),
        (2, json!({"allowed_destination_ids": ["d0"]}), &none()),
        // The only outside destination, named: it cannot be narrower.
        (1, json!({"allowed_destination_ids": ["d0"]}), &none()),
        (1, json!({"enabled": false}), &none()),
    ] {
        let body = json!({"destinations": destinations(external), "monitored_projects": [project(rest.clone())]});
        assert_eq!(&of(&estate(body), rule), expected, "{external} {rest}");
    }
    // Lists that have nothing in common admit nothing; the source is no broad one.
    let closed = project(json!({"allowed_destination_ids": ["d0"], "log_sources": [
        {"source_id": "s", "path": "a.log", "allowed_destination_ids": ["d1"]},
    ]}));
    let body = json!({"destinations": destinations(2), "monitored_projects": [closed]});
    assert_eq!(of(&estate(body.clone()), rule), none());
    assert_eq!(of(&estate(body), table::NO_DESTINATION_POLICY), none());
}

#[test]
fn tenants() {
    let rule = table::MISSING_TENANT;
    let source = |rest: Value| estate(json!({"monitored_projects": [project(rest)]}));
    for (rest, count) in [
        (json!({}), 1),
        (json!({"tenant_id": "acme"}), 1),
        (json!({"tenant_id": "acme", "workspace_id": "Local"}), 1),
        (json!({"tenant_id": "acme", "workspace_id": "main"}), 0),
        (json!({"enabled": false}), 0),
    ] {
        assert_eq!(of(&source(rest.clone()), rule).len(), count, "{rest}");
    }
    // One finding for a server that has no tenants, one for each automation where there are some.
    let mut estate = bare();
    estate.automations = ["a1", "a2", "a3"].map(|id| local(automation(id, json!([]), json!([])))).into_iter().collect();
    let once = run(&estate, &[rule]).findings;
    assert_eq!((once.len(), once[0].affected_objects.len()), (1, 3));
    estate.automations.pop();
    assert_eq!(run(&estate, &[rule]).findings[0].fingerprint, once[0].fingerprint);
    estate.automations[1].tenant = TenantContext::explicit("acme", "main");
    assert_eq!(of(&estate, rule), ["high automation a1"]);
    estate.automations.remove(0);
    assert_eq!(of(&estate, rule), none());
}

#[test]
fn destinations_without_approval() {
    let rule = table::DESTINATION_WITHOUT_APPROVAL;
    let with = |rest: Value, high: bool| {
        let mut destination = json!({"destination_id": "d", "name": "D", "kind": "webhook"});
        if let (Some(destination), Some(rest)) = (destination.as_object_mut(), rest.as_object()) {
            destination.extend(rest.clone());
        }
        estate(json!({"destinations": [destination], "safety_defaults": {"require_approval_for_high_risk": high}}))
    };
    let d = "incident_monitor_destination d";
    assert_eq!(of(&with(json!({}), true), rule), [format!("medium {d}")]);
    assert_eq!(of(&with(json!({}), false), rule), [format!("medium {d}"), format!("high {d}")]);
    assert_eq!(of(&with(json!({"require_approval": true}), false), rule), none());
    assert_eq!(of(&with(json!({"enabled": false}), false), rule), none());
    assert_eq!(of(&with(json!({"kind": "telemetry"}), false), rule), none());
}

#[test]
fn unfinished_destinations() {
    let rule = table::FAIL_OPEN;
    let with = |rest: Value, block: bool| {
        let mut destination = json!({"destination_id": "d", "name": "D"});
        if let (Some(destination), Some(rest)) = (destination.as_object_mut(), rest.as_object()) {
            destination.extend(rest.clone());
        }
        estate(json!({"destinations": [destination], "safety_defaults": {"block_unready_destinations": block}}))
    };
    for (rest, complete) in [
        (json!({"kind": "github_issue"}), false),
        (json!({"kind": "github_issue", "repo": "a/b"}), true),
        (json!({"kind": "linear_issue"}), false),
        (json!({"kind": "linear_issue", "linear_team": "T"}), true),
        (json!({"kind": "webhook", "webhook_url": " "}), false),
        (json!({"kind": "webhook", "webhook_url": "https://x.test"}), true),
        (json!({"kind": "mcp_tool", "mcp_server": "s", "mcp_tool": "t"}), false),
        (json!({"kind": "mcp_tool", "mcp_server": "s", "mcp_tool": "t", "config": {"allow_publish": true}}), true),
        (json!({"kind": "telemetry"}), true),
    ] {
        assert_eq!(of(&with(rest.clone(), false), rule).is_empty(), complete, "{rest}");
        assert_eq!(of(&with(rest, true), rule), none());
    }
}

#[test]
fn actions_without_proof() {
    let action = |status: &str, key: Option<&str>, receipt: Option<Value>| {
        let mut estate = bare();
        estate.actions = vec![local(ExternalAction {
            action_id: "x".into(),
            operation: "create_issue".into(),
            status: status.into(),
            source_kind: None,
            source_id: None,
            routine_run_id: None,
            context_run_id: None,
            capability_id: None,
            provider: None,
            target: None,
            approval_state: None,
            idempotency_key: key.map(str::to_owned),
            receipt,
            error: None,
            metadata: None,
            created_at_ms: 1,
            updated_at_ms: 1,
        })];
        of(&estate, table::MISSING_RECEIPT)
    };
    assert_eq!(action("posted", None, Some(json!({"id": 1}))), ["medium external_action x"]);
    assert_eq!(action("success", Some("k"), None), ["medium external_action x"]);
    assert_eq!(action("posted", Some("k"), Some(json!({"id": 1}))), none());
    assert_eq!(action("failed", None, None), none());
}

#[test]
fn repeated_denials() {
    let decision = |id: &str, operation: &str, automation: Option<&str>, effect: &str| {
        let body = json!({
            "decision_id": id, "actor": {"kind": "agent", "actor_id": "bot"}, "operation": operation,
            "automation_id": automation, "decision": effect, "reason_code": "r", "reason": "r", "rule_id": "r",
            "policy_id": "p", "inputs_digest": "d", "rules": [], "request_id": "q", "created_at_ms": 1,
        });
        local(serde_json::from_value(body).unwrap_or_else(|error| panic!("{error}")))
    };
    let mut estate = bare();
    // The resource counts: once on each of two automations is no repetition.
    estate.decisions = vec![decision("1", "patch", Some("a"), "deny"), decision("2", "patch", Some("b"), "deny")];
    assert_eq!(of(&estate, table::RECURRING_DENIAL), none());
    estate.decisions.push(decision("3", "patch", Some("b"), "deny"));
    estate.decisions.push(decision("4", "patch", Some("a"), "allow"));
    estate.decisions.push(decision("5", "create", None, "deny"));
    estate.decisions.push(decision("6", "create", None, "deny"));
    assert_eq!(
        of(&estate, table::RECURRING_DENIAL),
        ["medium policy_decision_cluster create:unknown_resource", "medium policy_decision_cluster patch:automation/b"]
    );
}

#[test]
fn readiness_is_carried_over() {
    let estate = estate(json!({"monitored_projects": [project(json!({}))]}));
    let checks = run(&estate, &[table::SOURCE_READINESS]);
    let theirs: Vec<_> = estate.sources[0].findings.iter().map(|f| Severity::from(f.severity)).collect();
    assert_eq!(checks.findings.iter().map(|f| f.severity).collect::<Vec<_>>(), theirs);
    assert!(theirs.len() > 8);
    let first = &checks.findings[0];
    assert_eq!(first.evidence_refs[0].kind, "authority_inventory");
    assert_eq!(first.evidence_refs[1].kind, "source_readiness");
    assert!(first.evidence_refs[1].path.starts_with("incident_monitor.config.monitored_projects[]"));
    // Mending one leaves the fingerprints of the others as they are.
    let mended = estate_of(json!({"monitored_projects": [
        project(json!({"data_readiness": {"source_owner": "team"}})),
    ]}));
    let mended = run(&mended, &[table::SOURCE_READINESS]).findings;
    let known: Vec<_> = checks.findings.iter().map(|f| &f.fingerprint).collect();
    assert_eq!(mended.len(), known.len() - 1);
    assert!(mended.iter().all(|finding| known.contains(&&finding.fingerprint)));
    // And so do others of the same source in another project.
    let two = estate_of(json!({"monitored_projects": [
        project(json!({"log_sources": [{"source_id": "s", "path": "a.log"}]})),
        project(json!({"project_id": "q", "log_sources": [{"source_id": "s", "path": "a.log"}]})),
    ]}));
    assert_eq!(
        run(&two, &[table::SOURCE_READINESS]).findings.len(),
        two.sources.iter().map(|s| s.findings.len()).sum::<usize>()
    );
}

#[test]
fn switches_of_the_monitor() {
    let with = |safety: Value| estate(json!({"safety_defaults": safety}));
    assert_eq!(of(&with(json!({})), table::RETENTION_UNSET), ["medium incident_monitor incident_monitor"]);
    assert_eq!(of(&with(json!({"retention_days": 0})), table::RETENTION_UNSET).len(), 1);
    assert_eq!(of(&with(json!({"retention_days": 30})), table::RETENTION_UNSET), none());
    assert_eq!(of(&with(json!({})), table::REDACTION_OFF), none());
    assert_eq!(of(&with(json!({"redact_secrets": false})), table::REDACTION_OFF).len(), 1);
}

#[test]
fn sources_without_policy_and_generic_tools() {
    let source =
        |rest: Value| of(&estate(json!({"monitored_projects": [project(rest)]})), table::NO_DESTINATION_POLICY);
    assert_eq!(source(json!({})), ["medium monitored_source p"]);
    assert_eq!(source(json!({"default_destination_ids": ["x"]})), none());
    assert_eq!(source(json!({"allowed_destination_ids": ["x"]})), none());
    let generic = |rest: Value| of(&estate(json!({"destinations": [rest]})), table::GENERIC_MCP);
    let mcp = json!({"destination_id": "d", "name": "D", "kind": "mcp_tool", "mcp_server": "s", "mcp_tool": "t"});
    assert_eq!(generic(mcp), ["high incident_monitor_destination d"]);
    assert_eq!(generic(json!({"destination_id": "d", "name": "D", "kind": "mcp_tool", "enabled": false})), none());
}

#[test]
fn evidence_about_oneself() {
    let rule = table::SELF_WITHOUT_EXPORT;
    let body = json!({"enabled": true, "destinations": destinations(1)});
    let mut on = estate(body);
    assert_eq!(of(&on, rule).len(), 1, "no readiness is known: nothing is ready");
    on.destinations = tandem_core::destination::effective(&on.config)
        .iter()
        .map(|destination| {
            let secrets = |_: &str| true;
            let facts = tandem_core::destination::Facts::new(NOW, &secrets);
            let mut row = tandem_core::destination::readiness(&on.config, destination, &facts);
            row.publish_ready = true;
            row
        })
        .collect();
    assert_eq!(of(&on, rule), none());
    assert_eq!(of(&estate(json!({"enabled": false})), rule), none());
    let own = json!({"monitored_projects": [project(json!({"source_kind": "tandem_monitor"}))]});
    let mut alone = estate(own);
    assert_eq!(of(&alone, rule).len(), 1);
    alone.exported = true;
    assert_eq!(of(&alone, rule), none(), "a scheduled export works");
}

#[test]
fn routes_that_lift_publish_or_lead_nowhere() {
    let with = |route: Value, rest: Value| {
        let mut body = json!({"destinations": destinations(1), "routes": [route]});
        if let (Some(body), Some(rest)) = (body.as_object_mut(), rest.as_object()) {
            body.extend(rest.clone());
        }
        estate(body)
    };
    let route = |rest: Value| {
        let mut route = json!({"route_id": "r", "name": "r", "destination_ids": ["d0"]});
        if let (Some(route), Some(rest)) = (route.as_object_mut(), rest.as_object()) {
            route.extend(rest.clone());
        }
        route
    };
    let r = "incident_monitor_route r";
    let never = |rest: Value| of(&with(route(rest), json!({})), table::ROUTE_NEVER);
    assert_eq!(never(json!({"approval_policy": "never"})), [format!("high {r}")]);
    assert_eq!(never(json!({"approval_policy": "never", "destination_ids": ["t"]})), [format!("low {r}")]);
    assert_eq!(never(json!({"approval_policy": "always"})), none());
    assert_eq!(never(json!({"approval_policy": "never", "enabled": false})), none());

    let auto = |rest: Value, config: Value| of(&with(route(rest), config), table::AUTO_PUBLISH);
    assert_eq!(auto(json!({"auto_publish": true}), json!({})), [format!("medium {r}")]);
    assert_eq!(auto(json!({"auto_publish": true, "approval_policy": "never"}), json!({})), [format!("high {r}")]);
    assert_eq!(auto(json!({"auto_publish": true, "approval_policy": "always"}), json!({})), none());
    assert_eq!(auto(json!({"auto_publish": true}), json!({"require_approval_for_new_issues": true})), none());
    assert_eq!(auto(json!({"auto_publish": true, "destination_ids": ["t"]}), json!({})), none());
    let own =
        json!({"monitored_projects": [project(json!({"auto_publish": true, "default_destination_ids": ["d0"]}))]});
    assert_eq!(auto(json!({}), own), ["medium monitored_source p"]);

    let dead = |rest: Value, config: Value| of(&with(route(rest), config), table::ROUTE_UNREACHABLE);
    assert_eq!(dead(json!({}), json!({})), none());
    assert_eq!(dead(json!({"destination_ids": ["gone"]}), json!({})), [format!("medium {r}")]);
    assert_eq!(dead(json!({"destination_ids": ["gone", "d0"]}), json!({})), [format!("low {r}")]);
    assert_eq!(dead(json!({"destination_ids": []}), json!({})), [format!("medium {r}")]);
    assert_eq!(dead(json!({"destination_ids": []}), json!({"default_destination_ids": ["d0"]})), none());
    let defaults = json!({"default_destination_ids": ["gone"]});
    assert_eq!(dead(json!({}), defaults), ["medium incident_monitor incident_monitor"]);
    let off = json!({"destinations": [{"destination_id": "d0", "name": "D", "kind": "telemetry", "enabled": false}]});
    assert_eq!(dead(json!({}), off), [format!("medium {r}")]);

    let low = || route(json!({"match_risk_levels": ["low", "medium"]}));
    let floor = |level: &str| json!({"safety_defaults": {"minimum_risk_level": level}});
    assert_eq!(of(&with(low(), floor("high")), table::ROUTE_SHADOWED), [format!("medium {r}")]);
    assert_eq!(of(&with(low(), floor("medium")), table::ROUTE_SHADOWED), none());
    let both = json!({"routes": [route(json!({})), {"route_id": "z", "name": "z", "match_sources": ["ci"]}]});
    assert_eq!(of(&with(route(json!({})), both), table::ROUTE_SHADOWED), ["medium incident_monitor_route z"]);
}

fn key(scopes: &[&str]) -> IntakeKey {
    IntakeKey {
        key_id: "k".into(),
        project_id: "p".into(),
        name: "K".into(),
        key_hash: "hash".into(),
        enabled: true,
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        created_at_ms: Some(NOW - DAY),
        last_used_at_ms: Some(NOW - DAY),
        expires_at_ms: Some(NOW + DAY),
        rate_limit_per_min: None,
    }
}

#[test]
fn keys() {
    let found = |change: fn(&mut IntakeKey)| {
        let mut estate = estate(json!({"monitored_projects": [project(json!({}))]}));
        let mut key = key(&["incident_monitor:report"]);
        change(&mut key);
        estate.keys = vec![key];
        let rules = [table::KEY_UNUSED, table::KEY_WITHOUT_EXPIRY, table::KEY_OVER_SCOPED, table::KEY_UNKNOWN_PROJECT];
        run(&estate, &rules).findings.iter().map(|f| f.rule_id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(found(|_| {}), none());
    assert_eq!(found(|key| key.expires_at_ms = None), [table::KEY_WITHOUT_EXPIRY]);
    assert_eq!(found(|key| key.last_used_at_ms = None), none(), "made yesterday");
    let old = |key: &mut IntakeKey| {
        key.last_used_at_ms = None;
        key.created_at_ms = Some(NOW - 31 * DAY);
    };
    assert_eq!(found(old), [table::KEY_UNUSED]);
    assert_eq!(found(|key| key.last_used_at_ms = Some(NOW - 91 * DAY)), [table::KEY_UNUSED]);
    assert_eq!(found(|key| key.scopes.push("engine.api".into())), [table::KEY_OVER_SCOPED]);
    assert_eq!(found(|key| key.scopes = vec!["bug_monitor:report".into()]), none());
    assert_eq!(found(|key| key.project_id = "gone".into()), [table::KEY_UNKNOWN_PROJECT]);
    assert_eq!(found(|key| key.project_id = " P".into()), none());
    let dead = |key: &mut IntakeKey| {
        key.enabled = false;
        key.scopes = vec!["*".into()];
        key.expires_at_ms = None;
    };
    assert_eq!(found(dead), none());
    assert_eq!(found(|key| (key.expires_at_ms, key.scopes) = (Some(NOW), vec!["*".into()])), none());
}

#[test]
fn tokens_and_agents() {
    let mut estate = bare();
    estate.tokens = vec![ApiToken {
        token_id: "t".into(),
        name: "T".into(),
        token_hash: "hash".into(),
        tenant: TenantContext::local(),
        agent_id: None,
        actor_id: None,
        may_assert_actor: false,
        created_at_ms: 1,
        expires_at_ms: None,
        revoked_at_ms: None,
    }];
    assert_eq!(of(&estate, table::TOKEN_WITHOUT_EXPIRY), ["low api_token t"]);
    estate.tokens[0].expires_at_ms = Some(NOW + 1);
    assert_eq!(of(&estate, table::TOKEN_WITHOUT_EXPIRY), none());
    (estate.tokens[0].expires_at_ms, estate.tokens[0].revoked_at_ms) = (None, Some(5));
    assert_eq!(of(&estate, table::TOKEN_WITHOUT_EXPIRY), none());

    estate.agents = vec![local(Agent::new("bot", 1))];
    assert_eq!(of(&estate, table::AGENT_WITHOUT_SPONSOR), ["medium agent bot"]);
    estate.agents[0].value.sponsor = Some("ann".into());
    assert_eq!(of(&estate, table::AGENT_WITHOUT_SPONSOR), none());
}

#[test]
fn tools_that_changed() {
    let tool = |used: bool, accepted: &str| ToolRow {
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
        used,
    };
    let mut estate = bare();
    estate.servers = vec![ServerRow { name: "gh".into(), enabled: true, ..ServerRow::default() }];
    let mut found = |tools: Vec<ToolRow>| {
        estate.tools = tools;
        of(&estate, table::TOOL_DRIFT)
    };
    assert_eq!(found(vec![tool(true, "before")]), ["high mcp_tool mcp.gh.create_issue"]);
    assert_eq!(found(vec![tool(true, "now")]), none());
    assert_eq!(found(vec![tool(false, "before")]), none());
    estate.config.destinations = vec![tandem_core::destination::Destination {
        destination_id: "d".into(),
        enabled: true,
        mcp_server: Some("GH".into()),
        mcp_tool: Some("Create_Issue".into()),
        ..Default::default()
    }];
    estate.tools = vec![tool(false, "before")];
    assert_eq!(of(&estate, table::TOOL_DRIFT).len(), 1, "a destination aims at it");

    assert_eq!(of(&estate, table::SERVER_WITHOUT_ALLOWLIST), ["medium mcp_server gh"]);
    estate.servers[0].allowed_tools = Some(Vec::new());
    assert_eq!(of(&estate, table::SERVER_WITHOUT_ALLOWLIST), none());
}

#[test]
fn requests_that_wait() {
    let mut estate = bare();
    let mut waiting = |created: u64, status: &str| {
        let body = json!({
            "approval_id": "q", "request_type": "external_post", "requested_by": {"kind": "agent", "actor_id": "bot"},
            "target_resource": {"type": "automation", "id": "a"}, "rationale": "r", "context": {}, "status": status,
            "expires_at_ms": NOW + DAY, "decide_by_ms": NOW + DAY, "use_by_ms": NOW + DAY, "risk_tier": null,
            "action": null, "parameters": null, "action_digest": null, "capability_key": null, "automation_id": null,
            "quota": null, "max_depth": null, "max_additional_usd": null, "additional_spent_usd": 0, "uses_allowed": 1,
            "uses": 0, "recent_uses": [], "approvals_needed": 1, "denials_needed": 1, "reviewers": [], "votes": [],
            "delegations": [], "remind_at_ms": null, "reminded_at_ms": null, "escalate_at_ms": null,
            "escalated_at_ms": null, "escalate_to": [], "reviewed_by": null, "reviewed_at_ms": null,
            "review_notes": null, "superseded": false, "created_at_ms": created, "updated_at_ms": created,
        });
        let approval = serde_json::from_value(body).unwrap_or_else(|error| panic!("{error}"));
        estate.approvals = vec![local(approval)];
        of(&estate, table::APPROVAL_WAITING).len()
    };
    assert_eq!(waiting(NOW - 25 * 3_600_000, "pending"), 1);
    assert_eq!(waiting(NOW - 23 * 3_600_000, "pending"), 0);
    assert_eq!(waiting(NOW - 25 * 3_600_000, "approved"), 0);
}

fn declared(kind: DeclaredKind, spec: DeclaredSpec) -> Estate {
    let mut estate = bare();
    estate.declared = vec![local(Declared {
        declared_id: Declared::key(kind, "x"),
        kind,
        object_id: "x".into(),
        origin: Origin::Api,
        spec: DeclaredSpec { owner: Some("ann".into()), ..spec },
        digest: String::new(),
        stale_after_ms: DAY,
        first_seen_at_ms: NOW,
        last_seen_at_ms: NOW,
        declared_by: ActorRef { kind: ActorKind::System, actor_id: None, source: None },
    })];
    estate
}

#[test]
fn declarations() {
    let rule = table::DECLARED_TOOL_WITHOUT_APPROVAL;
    let steps = |action: &str| vec![Step { action: action.into(), ..Step::default() }];
    let workflow = |action: &str, policy: Option<&str>| {
        let spec = DeclaredSpec {
            steps: steps(action),
            approval_policy: policy.map(str::to_owned),
            ..DeclaredSpec::default()
        };
        of(&declared(DeclaredKind::Workflow, spec), rule)
    };
    assert_eq!(workflow("bash", None), ["high declared_workflow x"]);
    assert_eq!(workflow("bash", Some("Never")), ["high declared_workflow x"]);
    assert_eq!(workflow("bash", Some("always")), none());
    assert_eq!(workflow("read", None), none());
    let agent = |list: Option<&[&str]>| {
        let tool_allowlist = list.map(|list| list.iter().map(|tool| (*tool).to_owned()).collect());
        of(&declared(DeclaredKind::Agent, DeclaredSpec { tool_allowlist, ..DeclaredSpec::default() }), rule)
    };
    assert_eq!(agent(Some(&["write"])), ["high declared_agent x"]);
    assert_eq!(agent(None), ["medium declared_agent x"]);
    assert_eq!(agent(Some(&[])), none());

    let open = |tools: Option<Vec<String>>| {
        let servers = vec![DeclaredServer { name: "gh".into(), allowed_tools: tools, ..DeclaredServer::default() }];
        let spec = DeclaredSpec { servers, ..DeclaredSpec::default() };
        of(&declared(DeclaredKind::Runtime, spec), table::DECLARED_SERVER_WITHOUT_ALLOWLIST)
    };
    assert_eq!(open(None), ["medium declared_runtime x"]);
    assert_eq!(open(Some(vec!["list_issues".into()])), none());

    let mut estate = declared(DeclaredKind::Hook, DeclaredSpec::default());
    assert_eq!(of(&estate, table::DECLARED_STALE), none());
    assert_eq!(of(&estate, table::DECLARED_WITHOUT_OWNER), none());
    estate.declared[0].value.last_seen_at_ms = NOW - DAY - 1;
    estate.declared[0].value.spec.owner = Some(" ".into());
    assert_eq!(of(&estate, table::DECLARED_STALE), ["medium declared_hook x"]);
    assert_eq!(of(&estate, table::DECLARED_WITHOUT_OWNER), ["medium declared_hook x"]);
}

#[test]
fn a_log_that_is_not_what_was_signed() {
    let mut estate = bare();
    assert_eq!(of(&estate, table::LOG_TAMPERED), none());
    estate.integrity = Integrity { status: Status::Tampered, checked_to_seq: 3, first_bad_seq: Some(4), reason: None };
    assert_eq!(of(&estate, table::LOG_TAMPERED), ["critical audit_log local/local"]);
    let first = run(&estate, &[table::LOG_TAMPERED]).findings;
    estate.integrity.first_bad_seq = Some(9);
    assert_ne!(run(&estate, &[table::LOG_TAMPERED]).findings[0].fingerprint, first[0].fingerprint);
}

/// Something for many rules.
fn messy() -> Value {
    json!({
        "enabled": true,
        "destinations": [
            {"destination_id": "hook", "name": "H", "kind": "webhook"},
            {"destination_id": "gh", "name": "G", "kind": "github_issue", "repo": "a/b"},
            {"destination_id": "tool", "name": "M", "kind": "mcp_tool"},
        ],
        "routes": [
            {"route_id": "r1", "name": "r1", "destination_ids": ["hook", "gone"], "approval_policy": "never"},
            {"route_id": "r2", "name": "r2", "match_sources": ["ci"], "auto_publish": true},
            {"route_id": "r3", "name": "r3", "match_sources": ["ci"], "destination_ids": ["gh"]},
        ],
        "safety_defaults": {"require_approval_for_high_risk": false, "block_unready_destinations": false},
        "monitored_projects": [
            project(json!({"log_sources": [{"source_id": "s", "path": "a.log"}, {"source_id": "u", "path": "b.log"}]})),
            project(json!({"project_id": "q", "log_sources": [{"source_id": "s", "path": "a.log"}]})),
        ],
    })
}

fn messy_estate() -> Estate {
    let mut estate = estate(messy());
    let nodes = json!([{"node_id": "n", "agent_id": "g", "objective": "o"}]);
    let agents = json!([agent(json!(["bash"]), json!({"mcp_policy": {"allowed_servers": ["gh"]}}))]);
    for id in ["a1", "a2", "a3"] {
        estate.automations.push(local(automation(id, agents.clone(), nodes.clone())));
    }
    estate
}

#[test]
fn the_answer_holds_together() {
    let estate = messy_estate();
    let checks = run(&estate, &[]);
    let counts = &checks.counts;
    assert_eq!(counts.findings, checks.findings.len() as u64);
    assert_eq!(counts.by_severity.values().sum::<u64>(), counts.findings);
    assert_eq!(counts.by_category.values().sum::<u64>(), counts.findings);
    assert_eq!(counts.by_rule.values().sum::<u64>(), counts.findings);
    assert_eq!(counts.active_rules, table::RULES.len() as u64);
    let baseline: Vec<&str> = table::RULES[..table::BASELINE].iter().map(|rule| rule.id).collect();
    let of_baseline = checks.findings.iter().take_while(|f| baseline.contains(&f.rule_id.as_str())).count();
    assert_eq!(counts.baseline_findings, of_baseline as u64, "the baseline comes first");
    let kinds: Vec<&str> = checks.findings[..of_baseline].iter().map(|f| f.affected_objects[0].kind.as_str()).collect();
    let group = |kind: &str| match kind {
        "automation" | "automation_agent" | "automation_node" => 0,
        "monitored_source" => 1,
        "incident_monitor_destination" => 2,
        _ => 3,
    };
    assert!(kinds.windows(2).all(|pair| group(pair[0]) <= group(pair[1])), "{kinds:?}");
    assert_eq!(checks.rules.iter().take(9).map(|rule| rule.rule_id.as_str()).collect::<Vec<_>>(), baseline);
    assert!(!checks.open_questions.is_empty());

    let off = Options { mode: Mode::Disabled, ..Options::default() };
    let off = check(&estate, &inventory(&estate, &Viewer::Reviewer), &off);
    assert_eq!((off.findings.len(), off.counts.active_rules), (0, 0));
    assert_eq!(off.baseline_policy.disabled_rule_ids.len(), table::RULES.len());
    assert!(off.rules.iter().all(|rule| !rule.enabled));

    let high = Options { min_severity: Severity::High, mode: Mode::Enabled, ..Options::default() };
    let high = check(&estate, &inventory(&estate, &Viewer::Reviewer), &high);
    assert!(high.findings.iter().all(|f| f.severity >= Severity::High && !f.dry_run));
    assert_eq!(high.findings.len(), checks.findings.iter().filter(|f| f.severity >= Severity::High).count());

    let ignored = run(&estate, &["bogus", table::RETENTION_UNSET]);
    assert_eq!(ignored.baseline_policy.ignored_rule_ids, ["bogus"]);
    assert_eq!((ignored.counts.active_rules, ignored.findings.len()), (1, 1));
}

#[test]
fn fingerprints_are_the_hash_that_was_promised() {
    let estate = with_automation(json!([agent(json!(["bash"]), json!({}))]), json!([]));
    let found = &run(&estate, &[table::TOOL_WITHOUT_APPROVAL]).findings[0];
    let hash = tandem_core::publish::digest::h(["high_risk_tool_without_approval", "missing_approval", "high", "a1/g"]);
    assert_eq!(found.fingerprint, format!("sha256:{hash}"));
    assert_eq!(found.finding_id, format!("bpf_{}", &hash[..16]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The order in which things are configured says nothing about what is wrong with them.
    #[test]
    fn order_changes_no_fingerprint(seed in any::<u64>()) {
        let reference = messy_estate();
        let mut shuffled = messy_estate();
        let mut state = seed | 1;
        let mut turn = |length: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap_or(0) % length.max(1)
        };
        let n = turn(shuffled.config.destinations.len());
        shuffled.config.destinations.rotate_left(n);
        let n = turn(shuffled.config.routes.len());
        shuffled.config.routes.rotate_left(n);
        let n = turn(shuffled.config.monitored_projects.len());
        shuffled.config.monitored_projects.rotate_left(n);
        for project in &mut shuffled.config.monitored_projects {
            let n = turn(project.log_sources.len());
            project.log_sources.rotate_left(n);
        }
        let n = turn(shuffled.automations.len());
        shuffled.automations.rotate_left(n);
        shuffled.sources = tandem_core::source::readiness(&shuffled.config, &[], NOW);
        let prints = |estate: &Estate| {
            let mut all: Vec<String> = run(estate, &[]).findings.into_iter().map(|f| f.fingerprint).collect();
            all.sort_unstable();
            all
        };
        prop_assert_eq!(prints(&reference), prints(&shuffled));
    }
}

/// An estate of `n` automations, `n` sources and a tenth of destinations and routes.
#[test]
fn an_answer_holds_the_severest_and_counts_all() {
    let estate = messy_estate();
    let whole = run(&estate, &[]);
    let all = whole.findings.len();
    assert!(all > 6, "{all}");
    let short = whole.clone().shortened(5);
    assert_eq!((short.truncated, short.findings_omitted, short.findings.len()), (true, all as u64 - 5, 5));
    assert_eq!(short.counts, whole.counts);
    let mildest = short.findings.iter().map(|finding| finding.severity).min();
    let left = whole.findings.iter().filter(|finding| !short.findings.contains(finding));
    assert!(left.map(|finding| finding.severity).max() <= mildest);
    let places = short.findings.iter().map(|finding| whole.findings.iter().position(|other| other == finding));
    assert!(places.collect::<Vec<_>>().is_sorted(), "they keep their order");
    assert_eq!(whole.clone().shortened(all), whole);
}

pub(crate) fn large(n: usize) -> Estate {
    let tenth = n / 10;
    let body = json!({
        "enabled": true,
        "destinations": (0..tenth).map(|i| json!({
            "destination_id": format!("d{i}"), "name": format!("D{i}"), "kind": "webhook",
            "webhook_url": "https://x.test", "require_approval": true,
        })).collect::<Vec<_>>(),
        "routes": (0..tenth).map(|i| json!({
            "route_id": format!("r{i}"), "name": format!("R{i}"), "destination_ids": [format!("d{i}")],
            "match_components": [format!("c{i}")], "match_risk_levels": ["high"],
        })).collect::<Vec<_>>(),
        "monitored_projects": (0..n).map(|i| json!({
            "project_id": format!("p{i}"), "name": "P", "repo": "a/b", "workspace_root": "/srv",
            "allowed_destination_ids": [format!("d{}", i % tenth.max(1))],
        })).collect::<Vec<_>>(),
    });
    let mut config = tandem_core::config::Config::default();
    for (key, value) in body.as_object().into_iter().flatten() {
        match key.as_str() {
            "destinations" => config.destinations = serde_json::from_value(value.clone()).unwrap_or_default(),
            "routes" => config.routes = serde_json::from_value(value.clone()).unwrap_or_default(),
            "monitored_projects" => {
                config.monitored_projects = serde_json::from_value(value.clone()).unwrap_or_default();
            }
            _ => {}
        }
    }
    config.enabled = true;
    let mut estate = Estate::empty(TenantContext::local(), NOW);
    estate.config = config;
    estate.sources = tandem_core::source::readiness(&estate.config, &[], NOW);
    let agents = json!([agent(json!(["bash"]), json!({"mcp_policy": {"allowed_servers": ["gh"]}}))]);
    let nodes = json!([{"node_id": "n", "agent_id": "g", "objective": "o"}]);
    estate.automations = (0..n).map(|i| local(automation(&format!("a{i}"), agents.clone(), nodes.clone()))).collect();
    estate
}

#[test]
fn every_automation_of_a_large_estate_is_judged() {
    for n in [100, 2_000] {
        let estate = large(n);
        let inventory = inventory(&estate, &Viewer::Reviewer);
        let found = check(&estate, &inventory, &Options::default()).findings.len();
        assert!(found > 10 * n, "{found} of {n}");
    }
}
