//! Posture checks: rules over an estate and its inventory. Each rule is a pure function that says what is wrong, with
//! what, where that can be seen and what to do. Nothing is enforced, recorded or sent by looking.

mod answer;
mod options;
mod questions;
pub mod table;

use std::collections::{BTreeMap, HashSet};

pub use answer::{BaselinePolicy, Counts, DraftConversion, InventorySummary, PostureChecks, RuleRow, Scope};
pub use options::{Mode, Options, severity};
pub use questions::OpenQuestion;

use crate::{
    controls,
    estate::Estate,
    finding::{Finding, New},
    inventory::AuthorityInventory,
};

/// Judges an estate. The inventory is the one that the caller may see.
pub fn check(estate: &Estate, inventory: &AuthorityInventory, options: &Options) -> PostureChecks {
    let findings = findings(estate, inventory, options);
    let open_questions = questions::open(estate, inventory);
    let dry_run = options.mode.is_dry_run();
    let ids = |enabled: bool| -> Vec<String> {
        let rules = table::RULES.iter().filter(|rule| options.is_enabled(rule) == enabled);
        let mut ids: Vec<String> = rules.map(|rule| rule.id.to_owned()).collect();
        ids.sort_unstable();
        ids
    };
    let (enabled_rule_ids, disabled_rule_ids) = (ids(true), ids(false));
    PostureChecks {
        schema_version: 1,
        generated_at_ms: estate.now_ms,
        scope: Scope {
            source: "incident_monitor_security_posture_checks".into(),
            read_only: true,
            dry_run,
            authority_inventory_source: inventory.scope.source.clone(),
        },
        counts: counts(&findings, enabled_rule_ids.len(), open_questions.len()),
        baseline_policy: BaselinePolicy {
            mode: options.mode,
            dry_run,
            read_only: true,
            supported_modes: Mode::ALL.to_vec(),
            enabled_rule_ids,
            disabled_rule_ids,
            ignored_rule_ids: options.ignored(),
            min_severity: options.min_severity,
        },
        rule_set_digest: table::digest(),
        rules: table::RULES.iter().enumerate().map(|(n, rule)| row(n, rule, options)).collect(),
        findings,
        open_questions,
        integrity: estate.integrity,
        authority_inventory: InventorySummary {
            schema_version: inventory.schema_version,
            generated_at_ms: inventory.generated_at_ms,
            counts: inventory.counts.clone(),
            incident_history_inputs: vec![
                "inventory.policy_decisions".into(),
                "inventory.external_publish_surfaces.recent_actions".into(),
            ],
        },
        draft_conversion: DraftConversion::by_report(),
        sensitive_values: inventory.sensitive_values.clone(),
    }
}

fn row(position: usize, rule: &table::Rule, options: &Options) -> RuleRow {
    RuleRow {
        rule_id: rule.id.into(),
        category: rule.category.into(),
        default_severity: rule.default_severity,
        enabled: options.is_enabled(rule),
        dry_run: options.mode.is_dry_run(),
        version: rule.version,
        looks_for: rule.looks_for.into(),
        baseline: position < table::BASELINE,
        controls: controls::of(rule.id).to_vec(),
    }
}

fn counts(findings: &[Finding], active_rules: usize, open_questions: usize) -> Counts {
    let mut counts = Counts {
        findings: findings.len() as u64,
        active_rules: active_rules as u64,
        open_questions: open_questions as u64,
        ..Counts::default()
    };
    let add = |map: &mut BTreeMap<String, u64>, key: &str| match map.get_mut(key) {
        Some(count) => *count += 1,
        None => _ = map.insert(key.to_owned(), 1),
    };
    for finding in findings {
        add(&mut counts.by_severity, finding.severity.word());
        add(&mut counts.by_category, &finding.category);
        add(&mut counts.by_rule, &finding.rule_id);
    }
    let baseline = table::RULES[..table::BASELINE].iter().filter_map(|rule| counts.by_rule.get(rule.id));
    counts.baseline_findings = baseline.sum();
    counts
}

fn findings(_estate: &Estate, _inventory: &AuthorityInventory, options: &Options) -> Vec<Finding> {
    let groups: Vec<Vec<New<'static>>> = Vec::new();
    let enabled: HashSet<&str> =
        table::RULES.iter().filter(|rule| options.is_enabled(rule)).map(|rule| rule.id).collect();
    let mut seen = HashSet::new();
    let wanted = |new: &New<'_>| enabled.contains(new.rule_id) && new.severity.rank() >= options.min_severity.rank();
    groups
        .into_iter()
        .flatten()
        .filter(wanted)
        .map(|new| Finding::new(new, options.mode.is_dry_run()))
        .filter(|finding| seen.insert(finding.fingerprint.clone()))
        .collect()
}
