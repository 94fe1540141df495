//! Which crate may import which. The list is the architecture; a new crate or arrow is decided here, in the open.

use serde_json::Value;

/// Crate, what its code may import, what only its tests may import besides.
const ARROWS: &[(&str, &[&str], &[&str])] = &[
    ("tandem-core", &[], &[]),
    ("tandem-posture", &["tandem-core"], &[]),
    ("tandem-app", &["tandem-core", "tandem-posture"], &["tandem-testkit"]),
    ("tandem-store", &["tandem-core"], &["tandem-posture", "tandem-testkit"]),
    ("tandem-outbound", &["tandem-core"], &["tandem-testkit"]),
    ("tandem-inbound", &["tandem-core"], &["tandem-testkit"]),
    ("tandem-testkit", &["tandem-core"], &[]),
    (
        "tandem",
        &["tandem-core", "tandem-posture", "tandem-app", "tandem-store", "tandem-outbound", "tandem-inbound"],
        &["tandem-testkit"],
    ),
    ("tandem-bench", &["tandem-core", "tandem-store", "tandem-inbound"], &[]),
    ("xtask", &[], &[]),
];

pub fn check(metadata: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let members: Vec<&str> =
        metadata["workspace_members"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let ours: Vec<&Value> =
        packages.filter(|package| package["id"].as_str().is_some_and(|id| members.contains(&id))).collect();
    let names: Vec<&str> = ours.iter().filter_map(|package| package["name"].as_str()).collect();
    for package in &ours {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, code, tests)) = ARROWS.iter().find(|(crate_name, ..)| *crate_name == name) else {
            findings
                .push(format!("{name}: a crate without a rule; say in xtask/src/tidy/arrows.rs what it may import"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            let only_tests = dependency["kind"] == "dev";
            if names.contains(&to) && !code.contains(&to) && !(only_tests && tests.contains(&to)) {
                findings.push(format!("{name} imports {to}, which the architecture forbids"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::check;

    fn found(name: &str, to: &str, kind: Value) -> usize {
        let dependency = json!({ "name": to, "kind": kind });
        check(&json!({
            "workspace_members": ["1", "2"],
            "packages": [
                { "id": "1", "name": name, "dependencies": [dependency] },
                { "id": "2", "name": to, "dependencies": [] },
                { "id": "3", "name": "serde", "dependencies": [] },
            ],
        }))
        .len()
    }

    #[test]
    fn the_arrows_point_inwards() {
        for (name, to, kind, findings) in [
            ("tandem-app", "tandem-core", Value::Null, 0),
            ("tandem-core", "tandem-app", Value::Null, 1),
            ("tandem-store", "tandem-outbound", Value::Null, 1),
            ("tandem-store", "tandem-outbound", json!("dev"), 1),
            ("tandem-store", "tandem-testkit", json!("dev"), 0),
            ("tandem-store", "tandem-testkit", Value::Null, 1),
            ("tandem-app", "tandem", Value::Null, 1),
            ("xtask", "tandem", json!("dev"), 1),
            ("tandem", "tandem-store", Value::Null, 0),
        ] {
            assert_eq!(found(name, to, kind), findings, "{name} → {to}");
        }
    }

    #[test]
    fn a_crate_without_a_rule_is_found() {
        assert_eq!(found("tandem-new", "tandem-core", Value::Null), 1);
    }
}
