//! The rules that judged, by the controls that their results are evidence for. An assessor decides whether a control is
//! met; nothing here does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{controls::Framework, posture::RuleRow};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ControlMappingRow)]
pub struct Row {
    pub framework: Framework,
    pub control: String,
    pub evidence_for: Vec<String>,
    pub rule_ids: Vec<String>,
    /// Findings of those rules.
    pub findings: u64,
    /// Rules that looked. A rule that was switched off is evidence for nothing.
    pub rules_run: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ControlMapping)]
pub struct Mapping {
    pub note: String,
    pub rows: Vec<Row>,
}

pub(super) fn mapping(rules: &[RuleRow], by_rule: &BTreeMap<String, u64>) -> Mapping {
    let mut rows: BTreeMap<(Framework, String), Row> = BTreeMap::new();
    for rule in rules {
        for control in &rule.controls {
            let key = (control.framework, control.control.clone());
            let row = rows.entry(key).or_insert_with(|| Row {
                framework: control.framework,
                control: control.control.clone(),
                evidence_for: Vec::new(),
                rule_ids: Vec::new(),
                findings: 0,
                rules_run: 0,
            });
            if !row.evidence_for.contains(&control.evidence_for) {
                row.evidence_for.push(control.evidence_for.clone());
            }
            if !row.rule_ids.contains(&rule.rule_id) {
                row.rule_ids.push(rule.rule_id.clone());
                row.rules_run += u64::from(rule.enabled);
                row.findings += by_rule.get(&rule.rule_id).copied().unwrap_or_default();
            }
        }
    }
    Mapping {
        note: "Results of these rules are evidence for these controls. Whether a control is met is for an assessor to say."
            .into(),
        rows: rows.into_values().collect(),
    }
}
