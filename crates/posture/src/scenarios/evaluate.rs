//! A pack on an estate: each scenario, each of its cases, and what is said of them.

use serde_json::{Value, json};
use tandem_core::{
    publish::digest::h,
    route::{self, BlockCode, Context, PreviewInput, ReadinessRows, RoutePreview},
    text::{non_blank, truncate},
};

use super::{
    Assertion, Expect, Pack, PackCounts, PackResult, PreviewSummary, Scenario, ScenarioEvidence, ScenarioInput,
    ScenarioResult, ScenarioStatus,
    cases::{Case, MOST_CASES, cases},
    hostile,
};
use crate::{
    estate::Estate,
    probes::{is_external, own_tenant},
};

/// Scenarios of a pack at most, and items of a list and bytes of a text in one.
const MOST_SCENARIOS: usize = 500;
const MOST_ITEMS: usize = 100;
const LONGEST: usize = 16_000;
/// Failed cases that are named.
const NAMED: usize = 5;

/// Why a pack cannot be run.
pub fn refuse(pack: &Pack) -> Option<String> {
    let bad = |text: &str| text.trim().is_empty() || text.len() > 200;
    if bad(&pack.pack_id) || bad(&pack.version) {
        return Some("pack_id and version must have 1 to 200 characters.".into());
    }
    if pack.scenarios.len() > MOST_SCENARIOS {
        return Some(format!("A pack has at most {MOST_SCENARIOS} scenarios."));
    }
    let mut seen = std::collections::HashSet::new();
    for (n, scenario) in pack.scenarios.iter().enumerate() {
        if bad(&scenario.scenario_id) || bad(&scenario.category) {
            return Some(format!("scenarios[{n}]: scenario_id and category must have 1 to 200 characters."));
        }
        if !seen.insert(scenario.scenario_id.as_str()) {
            return Some(format!("scenarios[{n}]: another scenario has the same scenario_id."));
        }
        let input = &scenario.input;
        if input.route_tags.len() > MOST_ITEMS || input.requested_destination_ids.len() > MOST_ITEMS {
            return Some(format!("scenarios[{n}]: a list has at most {MOST_ITEMS} items."));
        }
        let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > LONGEST);
        if long(&input.title) || long(&input.detail) || scenario.description.len() > LONGEST {
            return Some(format!("scenarios[{n}]: a text has at most {LONGEST} bytes."));
        }
        if scenario.expect == (Expect { note: scenario.expect.note.clone(), ..Expect::default() }) {
            return Some(format!("scenarios[{n}]: `expect` expects nothing, so it could not fail."));
        }
    }
    None
}

/// Runs the scenarios of a pack, or those of them that are named.
pub fn evaluate(estate: &Estate, pack: &Pack, scenario_ids: &[String]) -> PackResult {
    let wanted: Vec<&str> = scenario_ids.iter().filter_map(|id| non_blank(Some(id))).collect();
    let results: Vec<ScenarioResult> = pack
        .scenarios
        .iter()
        .filter(|scenario| wanted.is_empty() || wanted.contains(&scenario.scenario_id.as_str()))
        .map(|scenario| judge(estate, pack, scenario))
        .collect();
    let of = |status| results.iter().filter(|result| result.status == status).count() as u64;
    let known = |id: &str| pack.scenarios.iter().any(|scenario| scenario.scenario_id == id);
    PackResult {
        pack_id: pack.pack_id.clone(),
        version: pack.version.clone(),
        description: pack.description.clone(),
        mode: "dry_run".into(),
        mutates_external_systems: false,
        counts: PackCounts {
            total: results.len() as u64,
            passed: of(ScenarioStatus::Pass),
            failed: of(ScenarioStatus::Fail),
            blocked: of(ScenarioStatus::Blocked),
        },
        results,
        ignored_scenario_ids: wanted.into_iter().filter(|id| !known(id)).map(|id| truncate(id, 200)).collect(),
    }
}

/// A case and what became of it.
struct Judged {
    id: Option<String>,
    status: ScenarioStatus,
    assertions: Vec<Assertion>,
    expect: Expect,
    preview: RoutePreview,
    requested: Vec<String>,
}

fn judge(estate: &Estate, pack: &Pack, scenario: &Scenario) -> ScenarioResult {
    let all: Vec<Judged> = cases(estate, scenario).into_iter().map(|case| attempt(estate, case)).collect();
    let first = |status| all.iter().find(|judged| judged.status == status);
    let decided = first(ScenarioStatus::Fail).or_else(|| first(ScenarioStatus::Pass)).or_else(|| all.first());
    let status = decided.map_or(ScenarioStatus::Blocked, |judged| judged.status);
    let case_id = decided.and_then(|judged| judged.id.clone());
    let id = &scenario.scenario_id;
    let failed: Vec<&Judged> = all.iter().filter(|judged| judged.status == ScenarioStatus::Fail).collect();
    let tenant = estate.tenant.key();
    let object = case_id.as_deref().unwrap_or_default();
    let fingerprint = h([&pack.pack_id, id, &scenario.category, tenant.as_str(), status.word(), object]);
    ScenarioResult {
        scenario_id: id.clone(),
        category: scenario.category.clone(),
        description: scenario.description.clone(),
        status,
        passed: status == ScenarioStatus::Pass,
        expected_behavior: expected(decided.map_or(&scenario.expect, |judged| &judged.expect)),
        observed_behavior: observed(decided, &all, &failed),
        assertions: decided.map(|judged| judged.assertions.clone()).unwrap_or_default(),
        route_preview: decided.map(summary).unwrap_or_default(),
        finding_id: (status == ScenarioStatus::Fail)
            .then(|| format!("asp_{}", &h([id, &scenario.category, status.word()])[..16])),
        fingerprint: format!("sha256:{fingerprint}"),
        evidence_refs: vec![ScenarioEvidence {
            kind: "scenario_pack".into(),
            id: id.clone(),
            pack_id: pack.pack_id.clone(),
            version: pack.version.clone(),
        }],
        prompt_injection: scenario.input.prompt_injection,
        dry_run: true,
        mutates_external_systems: false,
        cases: all.len() as u64,
        failed_cases: failed.len() as u64,
        case_id,
    }
}

fn summary(judged: &Judged) -> PreviewSummary {
    PreviewSummary {
        requested_destination_ids: judged.requested.clone(),
        effective_destination_ids: judged.preview.effective_destination_ids.clone(),
        approval_required: judged.preview.approval_required,
        blocked: judged.preview.blocked,
        blocked_reasons: judged.preview.blocked_reasons.clone(),
    }
}

/// An event without a tenant of its own is one of the caller's.
fn preview_input(estate: &Estate, input: &ScenarioInput) -> PreviewInput {
    let bound = input.project_id.is_some();
    let (tenant, workspace) = if bound { (None, None) } else { own_tenant(estate) };
    PreviewInput {
        event_type: input.event_type.clone(),
        source: input.source.clone(),
        component: input.component.clone(),
        source_kind: input.source_kind,
        risk_level: input.risk_level.clone(),
        risk_category: input.risk_category.clone(),
        confidence: input.confidence.clone(),
        expected_destination: input.expected_destination.clone(),
        project_id: input.project_id.clone(),
        log_source_id: input.log_source_id.clone(),
        tenant_id: input.tenant_id.clone().or(tenant),
        workspace_id: input.workspace_id.clone().or(workspace),
        route_tags: input.route_tags.clone(),
        destination_ids: input.requested_destination_ids.clone(),
        ..PreviewInput::default()
    }
}

fn attempt(estate: &Estate, case: Case) -> Judged {
    let asked = preview_input(estate, &case.input);
    let rows = ReadinessRows { destinations: &estate.destinations, sources: &estate.sources };
    let preview = route::preview(&estate.config, &Context::from_parts(&asked, None, None, None), &rows);
    let (assertions, evaluable) = assertions(estate, &case, &preview);
    let status = match evaluable {
        false => ScenarioStatus::Blocked,
        true if assertions.iter().all(|assertion| assertion.ok) => ScenarioStatus::Pass,
        true => ScenarioStatus::Fail,
    };
    Judged { id: case.id, status, assertions, expect: case.expect, preview, requested: asked.destination_ids }
}

/// The assertions, and whether there was something to judge.
fn assertions(estate: &Estate, case: &Case, preview: &RoutePreview) -> (Vec<Assertion>, bool) {
    let expect = &case.expect;
    let effective = &preview.effective_destination_ids;
    let mut all = Vec::new();
    let mut evaluable = true;
    let mut add = |name: &str, expected: Value, actual: Value, ok: bool| {
        all.push(Assertion { name: name.into(), expected, actual, ok });
    };
    if let Some(wanted) = expect.blocked {
        add("blocked", wanted.into(), preview.blocked.into(), preview.blocked == wanted);
    }
    if let Some(wanted) = expect.approval_required {
        evaluable &= expect.blocked == Some(true) || !(effective.is_empty() || preview.blocked);
        let is = preview.approval_required;
        add("approval_required", wanted.into(), is.into(), is == wanted);
    }
    if let Some(wanted) = &expect.reason_contains {
        let ok = preview.blocked_reasons.iter().any(|reason| reason.contains(wanted.as_str()));
        add("reason_contains", wanted.as_str().into(), json!(preview.blocked_reasons), ok);
    }
    if let Some(wanted) = &expect.effective_destination_id {
        let first = effective.first();
        add("effective_destination_id", wanted.as_str().into(), json!(first), first == Some(wanted));
    }
    if let Some(wanted) = expect.approval_or_internal {
        evaluable &= !effective.is_empty();
        let held = preview.approval_required || reached_outside(preview).is_empty();
        add("approval_or_internal", wanted.into(), held.into(), held == wanted);
    }
    if let Some(unwanted) = &expect.not_effective_destination_id {
        let ok = !effective.contains(unwanted);
        add("not_effective_destination_id", unwanted.as_str().into(), json!(effective), ok);
    }
    if let Some(wanted) = expect.fail_closed {
        let unready = preview.blocked_codes.contains(&BlockCode::NotReady);
        let closed = !unready || estate.config.safety_defaults.block_unready_destinations;
        add("fail_closed", wanted.into(), closed.into(), closed == wanted);
    }
    if case.input.prompt_injection
        && let Some((plain, hostile)) = hostile::outcomes(estate, &case.input)
    {
        let outcome = |outcome: &hostile::Outcome| {
            json!({
                "approval_required": outcome.approval_required,
                "effective_destination_ids": outcome.effective_destination_ids,
            })
        };
        add("prompt_injection", outcome(&plain), outcome(&hostile), plain == hostile);
    }
    (all, evaluable)
}

/// Effective destinations outside this server that the source may use.
fn reached_outside(preview: &RoutePreview) -> Vec<&str> {
    let refused = |id: &str| {
        let reasons = preview.blocked_codes.iter().zip(&preview.blocked_reasons);
        reasons.into_iter().any(|(code, text)| *code == BlockCode::NotAllowed && text.contains(&format!("`{id}`")))
    };
    let outside = preview.destinations.iter().filter(|destination| is_external(destination.kind));
    outside.map(|destination| destination.destination_id.as_str()).filter(|id| !refused(id)).collect()
}

fn expected(expect: &Expect) -> String {
    if let Some(note) = non_blank(expect.note.as_deref()) {
        return note.to_owned();
    }
    let mut parts = Vec::new();
    match expect.blocked {
        Some(true) => parts.push("It is blocked".to_owned()),
        Some(false) => parts.push("It is not blocked".to_owned()),
        None => {}
    }
    match expect.approval_required {
        Some(true) => parts.push("an approval is required".to_owned()),
        Some(false) => parts.push("no approval is required".to_owned()),
        None => {}
    }
    if let Some(text) = &expect.reason_contains {
        parts.push(format!("a reason says `{text}`"));
    }
    if let Some(id) = &expect.effective_destination_id {
        parts.push(format!("it goes to `{id}` first"));
    }
    if expect.approval_or_internal.is_some() {
        parts.push("an approval is required, or it stays inside this server".to_owned());
    }
    if let Some(id) = &expect.not_effective_destination_id {
        parts.push(format!("it does not go to `{id}`"));
    }
    if expect.fail_closed.is_some() {
        parts.push("what is not ready takes nothing".to_owned());
    }
    sentence(&parts.join(", "))
}

fn observed(decided: Option<&Judged>, all: &[Judged], failed: &[&Judged]) -> String {
    let Some(decided) = decided else { return "There is nothing of the kind that it is tried for.".into() };
    let preview = &decided.preview;
    let to = match preview.effective_destination_ids.as_slice() {
        [] => "no destination matched".to_owned(),
        ids => format!("to {}", ids.join(", ")),
    };
    let approval = if preview.approval_required { "an approval is required" } else { "no approval is required" };
    let blocked = match preview.blocked_reasons.as_slice() {
        [] => String::new(),
        reasons => format!("; blocked: {}", reasons.join("; ")),
    };
    let mut text = sentence(&format!("{to}, {approval}{blocked}"));
    if decided.id.is_some() {
        let named: Vec<&str> = failed.iter().take(NAMED).filter_map(|judged| judged.id.as_deref()).collect();
        let most = if all.len() == MOST_CASES { " (no further ones were tried)" } else { "" };
        let of = all.len();
        text += &match named.is_empty() {
            true => format!(" {of} cases{most}."),
            false => format!(" {} of {of} cases{most} failed: {}.", failed.len(), named.join(", ")),
        };
    }
    text
}

/// With a capital at its start and a full stop at its end.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return String::new() };
    format!("{}{}.", first.to_uppercase(), chars.as_str())
}
