use serde_json::{Value, json};

use super::*;
use crate::config::read;

fn project(more: Value) -> Value {
    merged(json!({"project_id": "p", "name": "P", "repo": "acme/app", "workspace_root": "/srv/app"}), more)
}

fn source(more: Value) -> Value {
    merged(json!({"source_id": "s", "path": "app.log"}), more)
}

fn merged(mut base: Value, more: Value) -> Value {
    if let (Some(base), Value::Object(more)) = (base.as_object_mut(), more) {
        base.extend(more);
    }
    base
}

fn two() -> Value {
    json!([{"destination_id": "a", "name": "A"}, {"destination_id": "b", "name": "B"}])
}

fn problems(body: Value, servers: Option<&[String]>) -> Vec<(String, &'static str)> {
    let mut config = read(body).unwrap_or_default();
    validate(&mut config, servers)
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|violation| (violation.path, violation.code.word()))
        .collect()
}

#[test]
fn every_rule_names_its_field() {
    for (body, expected) in [
        (json!({}), vec![]),
        (json!({"repo": "acme/app"}), vec![]),
        (json!({"repo": ""}), vec![]),
        (json!({"repo": "acme"}), vec![("repo", "repo_invalid")]),
        (json!({"repo": "a/b/c"}), vec![("repo", "repo_invalid")]),
        (json!({"repo": "/b"}), vec![("repo", "repo_invalid")]),
        (json!({"mcp_server": " "}), vec![("mcp_server", "mcp_server_unknown")]),
        (
            json!({"safety_defaults": {"minimum_risk_level": "spicy"}}),
            vec![("safety_defaults.minimum_risk_level", "malformed")],
        ),
        (json!({"safety_defaults": {"minimum_risk_level": ""}}), vec![]),
        (json!({"model_policy": {"default_model": {"provider_id": "p", "model_id": "m"}}}), vec![]),
        (
            json!({"model_policy": {"default_model": {"provider_id": "p", "model_id": " "}}}),
            vec![("model_policy.default_model", "model_policy_incomplete")],
        ),
        (
            json!({"model_policy": {"role_models": {"r": {}}}}),
            vec![("model_policy.role_models.r", "model_policy_incomplete")],
        ),
        (json!({"model_policy": {"role_models": []}}), vec![("model_policy.role_models", "model_policy_incomplete")]),
        // Destinations and routes.
        (
            json!({"destinations": [{"destination_id": " ", "name": "A"}]}),
            vec![("destinations[0].destination_id", "blank")],
        ),
        (
            json!({"destinations": [{"destination_id": "a", "name": "A"}, {"destination_id": " a", "name": "B"}]}),
            vec![("destinations[1].destination_id", "duplicate")],
        ),
        (json!({"destinations": [{"destination_id": "a", "name": "A"}, {"destination_id": "A", "name": "B"}]}), vec![]),
        (json!({"routes": [{"route_id": "", "name": "R"}]}), vec![("routes[0].route_id", "blank")]),
        (
            json!({"routes": [{"route_id": "r", "name": "R"}, {"route_id": "r", "name": "S"}]}),
            vec![("routes[1].route_id", "duplicate")],
        ),
        (
            json!({"destinations": two(), "routes": [{"route_id": "r", "name": "R", "destination_ids": ["a", "x"]}]}),
            vec![("routes[0].destination_ids[1]", "destination_unknown")],
        ),
        (
            json!({"destinations": two(), "default_destination_ids": ["x"]}),
            vec![("default_destination_ids[0]", "destination_unknown")],
        ),
        // The implied destination exists only while none is configured.
        (
            json!({"default_destination_ids": ["legacy-github"], "routes": [{"route_id": "r", "name": "R", "destination_ids": ["legacy-github"]}]}),
            vec![],
        ),
        (
            json!({"destinations": two(), "default_destination_ids": ["legacy-github"]}),
            vec![("default_destination_ids[0]", "destination_unknown")],
        ),
        (
            json!({"destinations": [{"destination_id": "legacy-github", "name": "L"}], "default_destination_ids": ["legacy-github"]}),
            vec![],
        ),
        // Projects.
        (json!({"monitored_projects": [project(json!({}))]}), vec![]),
        (
            json!({"monitored_projects": [project(json!({"project_id": "a b"}))]}),
            vec![("monitored_projects[0].project_id", "malformed")],
        ),
        (
            json!({"monitored_projects": [project(json!({"project_id": ""}))]}),
            vec![("monitored_projects[0].project_id", "blank")],
        ),
        (
            json!({"monitored_projects": [project(json!({})), project(json!({}))]}),
            vec![("monitored_projects[1].project_id", "duplicate")],
        ),
        (json!({"monitored_projects": [project(json!({"name": " "}))]}), vec![("monitored_projects[0].name", "blank")]),
        (
            json!({"monitored_projects": [project(json!({"repo": ""}))]}),
            vec![("monitored_projects[0].repo", "repo_invalid")],
        ),
        (
            json!({"monitored_projects": [project(json!({"workspace_root": "srv"}))]}),
            vec![("monitored_projects[0].workspace_root", "path_not_absolute")],
        ),
        (
            json!({"monitored_projects": [project(json!({"allowed_destination_ids": ["x"]}))], "destinations": two()}),
            vec![("monitored_projects[0].allowed_destination_ids[0]", "destination_unknown")],
        ),
        (
            json!({"monitored_projects": [project(json!({"default_destination_ids": ["b"], "allowed_destination_ids": ["a"]}))], "destinations": two()}),
            vec![("monitored_projects[0].default_destination_ids", "destination_not_allowed")],
        ),
        (json!({"monitored_projects": [project(json!({"mcp_server": ""}))]}), vec![]),
        (
            json!({"monitored_projects": [project(json!({"model_policy": {"default_model": {}}}))]}),
            vec![("monitored_projects[0].model_policy.default_model", "model_policy_incomplete")],
        ),
        // Sources.
        (
            json!({"monitored_projects": [project(json!({"log_sources": [source(json!({})), source(json!({}))]}))]}),
            vec![("monitored_projects[0].log_sources[1].source_id", "duplicate")],
        ),
        (
            json!({"monitored_projects": [project(json!({"log_sources": [source(json!({"source_id": "a/b"}))]}))]}),
            vec![("monitored_projects[0].log_sources[0].source_id", "malformed")],
        ),
        (
            json!({"monitored_projects": [project(json!({"log_sources": [source(json!({"path": " "}))]}))]}),
            vec![("monitored_projects[0].log_sources[0].path", "blank")],
        ),
        (
            json!({"monitored_projects": [project(json!({"log_sources": [source(json!({"path": "../x.log"}))]}))]}),
            vec![("monitored_projects[0].log_sources[0].path", "path_outside_workspace")],
        ),
        (
            json!({"monitored_projects": [project(json!({"log_sources": [source(json!({"path": "logs/**"}))]}))]}),
            vec![("monitored_projects[0].log_sources[0].path", "malformed")],
        ),
        (
            json!({"monitored_projects": [project(json!({"log_sources": [source(json!({"path": "logs/*.log"}))]}))]}),
            vec![],
        ),
        (
            json!({"monitored_projects": [project(json!({"log_sources": [source(json!({"allowed_destination_ids": ["x"]}))]}))], "destinations": two()}),
            vec![("monitored_projects[0].log_sources[0].allowed_destination_ids[0]", "destination_unknown")],
        ),
        // The inherited default must be inside the source's own list too.
        (
            json!({"monitored_projects": [project(json!({"default_destination_ids": ["a"], "log_sources": [source(json!({"allowed_destination_ids": ["b"]}))]}))], "destinations": two()}),
            vec![("monitored_projects[0].log_sources[0].default_destination_ids", "destination_not_allowed")],
        ),
        // Disjoint lists are allowed: they admit nothing.
        (
            json!({"monitored_projects": [project(json!({"allowed_destination_ids": ["a"], "log_sources": [source(json!({"allowed_destination_ids": ["b"]}))]}))], "destinations": two()}),
            vec![],
        ),
    ] {
        let expected: Vec<(String, &str)> = expected.into_iter().map(|(path, code)| (path.to_owned(), code)).collect();
        assert_eq!(problems(body.clone(), None), expected, "{body}");
    }
}

#[test]
fn servers_are_checked_only_against_a_known_list() {
    let body = json!({"mcp_server": "gh", "monitored_projects": [project(json!({"mcp_server": "other"}))]});
    assert_eq!(problems(body.clone(), None), []);
    assert_eq!(
        problems(body, Some(&["gh".to_owned()])),
        [("monitored_projects[0].mcp_server".to_owned(), "mcp_server_unknown")]
    );
}

#[test]
fn texts_are_tidied_and_numbers_clamped() {
    let body = json!({
        "repo": " acme/app ", "workspace_root": " ", "default_destination_ids": [" a ", "a", ""],
        "destinations": two(),
        "routes": [{"route_id": " r ", "name": "R", "match_sources": [" x ", "", "x"], "match_components": ["", " "]}],
        "monitored_projects": [project(json!({
            "tenant_id": " ", "default_route_tags": ["t", "t", " "], "data_readiness": {"source_owner": " me "},
            "log_sources": [
                source(json!({"watch_interval_seconds": 0, "max_bytes_per_poll": 1, "max_candidates_per_poll": 0})),
                source(json!({"source_id": "t", "watch_interval_seconds": 1e6 as u64, "max_bytes_per_poll": 1 << 30, "max_candidates_per_poll": 999})),
            ],
        }))],
    });
    let mut config = read(body).unwrap_or_default();
    assert_eq!(validate(&mut config, None), Ok(()));
    assert_eq!(config.repo.as_deref(), Some("acme/app"));
    assert_eq!(config.workspace_root, None);
    assert_eq!(config.default_destination_ids, ["a"]);
    assert_eq!(config.routes[0].match_sources, ["x"]);
    // A matcher of blanks matches nothing; it must not turn into "anything".
    assert_eq!(config.routes[0].match_components, [""]);
    let project = &config.monitored_projects[0];
    assert_eq!((project.tenant_id.as_deref(), project.default_route_tags.as_slice()), (None, &["t".to_owned()][..]));
    assert_eq!(project.data_readiness.source_owner.as_deref(), Some("me"));
    let polled = |i: usize| {
        let s = &project.log_sources[i];
        (s.watch_interval_seconds, s.max_bytes_per_poll, s.max_candidates_per_poll)
    };
    assert_eq!(polled(0), (1, 1_024, 1));
    assert_eq!(polled(1), (86_400, 10_485_760, 200));
}

/// What the clients do: get, edit, patch the whole.
#[test]
fn what_was_emitted_is_accepted_again() {
    let body = json!({
        "triage_timeout_ms": null, "destinations": two(), "default_destination_ids": ["a"],
        "routes": [{"route_id": "r", "name": "R", "destination_ids": ["b"], "match_sources": [" "]}],
        "monitored_projects": [project(json!({"log_sources": [source(json!({}))]}))],
    });
    for body in [json!({}), body] {
        let mut first = read(body).unwrap_or_default();
        assert_eq!(validate(&mut first, None), Ok(()));
        let emitted = serde_json::to_value(&first).unwrap_or_default();
        let mut second = read(emitted).unwrap_or_default();
        assert_eq!(validate(&mut second, None), Ok(()));
        assert_eq!(first, second);
    }
}

#[test]
fn a_removed_destination_that_a_project_still_names_is_refused() {
    let body = json!({
        "destinations": [{"destination_id": "b", "name": "B"}],
        "monitored_projects": [project(json!({"allowed_destination_ids": ["a", "b"]}))],
    });
    assert_eq!(
        problems(body, None),
        [("monitored_projects[0].allowed_destination_ids[0]".to_owned(), "destination_unknown")]
    );
}
