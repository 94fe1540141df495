//! Posture checks: rules over an estate and its inventory. Each rule is a pure function that says what is wrong, with
//! what, where that can be seen and what to do. Nothing is enforced, recorded or sent by looking.

mod answer;
mod automations;
mod credentials;
pub(crate) mod declarations;
mod deployment;
mod destinations;
mod findings;
mod monitor;
mod options;
mod people;
mod questions;
mod records;
mod routes;
mod servers;
mod shadow;
mod sources;
pub mod table;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

pub use answer::{
    BaselinePolicy, Counts, DraftConversion, InventorySummary, MOST_SHOWN, PostureChecks, RuleRow, Scope,
};
pub use options::{Mode, Options, severity};
pub use questions::OpenQuestion;

use self::findings::Findings;
use crate::{controls, estate::Estate, finding::Finding, inventory::AuthorityInventory};

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
        truncated: false,
        findings_omitted: 0,
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
        controls: controls::of(rule.id),
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

/// The groups of the baseline in its order, then the others in the order of the table.
fn findings(estate: &Estate, inventory: &AuthorityInventory, options: &Options) -> Vec<Finding> {
    let mut out = Findings::new(options);
    automations::judge(estate, inventory, &mut out);
    sources::judge(estate, inventory, &mut out);
    destinations::judge(inventory, &mut out);
    records::judge_actions(inventory, &mut out);
    records::judge_denials(estate, inventory, &mut out);

    sources::judge_policies(estate, inventory, &mut out);
    monitor::judge(inventory, &mut out);
    destinations::judge_generic(inventory, &mut out);
    monitor::judge_self(estate, inventory, &mut out);
    routes::judge(estate, inventory, &mut out);
    credentials::judge(estate, inventory, &mut out);
    servers::judge(inventory, &mut out);
    people::judge(estate, inventory, &mut out);
    declarations::judge(estate, &mut out);
    deployment::judge(estate, inventory, &mut out);
    records::judge_log(estate, &mut out);
    out.into_vec()
}
