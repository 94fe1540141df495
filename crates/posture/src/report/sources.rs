//! What is monitored, and how ready each source is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::LISTED;
use crate::inventory::{DataPresence, Inventory, SourceRow};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReportSourceReadinessCounts)]
pub struct ReadinessCounts {
    pub sources: u64,
    pub enabled_sources: u64,
    pub ready_sources: u64,
    pub unready_enabled_sources: u64,
    pub findings: u64,
    pub findings_by_severity: BTreeMap<String, u64>,
    pub findings_by_category: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReportSourceReadiness)]
pub struct Readiness {
    pub ready: bool,
    pub governance_ready: bool,
    pub lineage_ready: bool,
    pub freshness_ready: bool,
    pub schema_ready: bool,
    pub protection_ready: bool,
    pub missing: Vec<String>,
    pub warnings: Vec<String>,
    pub finding_count: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReportSource)]
pub struct Source {
    pub project_id: String,
    pub source_id: Option<String>,
    pub name: String,
    pub enabled: bool,
    pub paused: bool,
    pub source_kind: String,
    pub tenant_id_present: bool,
    pub workspace_id_present: bool,
    pub allowed_destination_ids: Vec<String>,
    pub default_destination_ids: Vec<String>,
    pub data_readiness: DataPresence,
    pub readiness: Option<Readiness>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReportSources)]
pub struct SourcesSection {
    pub source_kind_counts: BTreeMap<String, u64>,
    pub source_readiness: ReadinessCounts,
    /// The first 50.
    pub sources: Vec<Source>,
}

/// Not blank, and not a word for nothing.
pub fn bound(text: Option<&str>) -> bool {
    let text = text.map(|text| text.trim().to_lowercase()).unwrap_or_default();
    !matches!(text.as_str(), "" | "local" | "null")
}

pub(super) fn section(inventory: &Inventory) -> SourcesSection {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let mut counts = ReadinessCounts::default();
    for row in &inventory.monitored_sources {
        *kinds.entry(row.source_kind.clone()).or_default() += 1;
        counts.sources += 1;
        counts.enabled_sources += u64::from(row.enabled);
        let ready = row.readiness.as_ref().is_some_and(|readiness| readiness.ready);
        counts.ready_sources += u64::from(ready);
        counts.unready_enabled_sources += u64::from(row.enabled && !ready);
        for finding in row.readiness.iter().flat_map(|readiness| &readiness.findings) {
            counts.findings += 1;
            *counts.findings_by_severity.entry(finding.severity.word().to_owned()).or_default() += 1;
            *counts.findings_by_category.entry(finding.category.word().to_owned()).or_default() += 1;
        }
    }
    SourcesSection {
        source_kind_counts: kinds,
        source_readiness: counts,
        sources: inventory.monitored_sources.iter().take(LISTED).map(source).collect(),
    }
}

fn source(row: &SourceRow) -> Source {
    Source {
        project_id: row.project_id.clone(),
        source_id: row.source_id.clone(),
        name: row.name.clone(),
        enabled: row.enabled,
        paused: row.paused,
        source_kind: row.source_kind.clone(),
        tenant_id_present: crate::inventory::present(row.tenant_id.as_deref()),
        workspace_id_present: crate::inventory::present(row.workspace_id.as_deref()),
        allowed_destination_ids: row.allowed_destination_ids.clone(),
        default_destination_ids: row.default_destination_ids.clone(),
        data_readiness: row.data_readiness.clone(),
        readiness: row.readiness.as_ref().map(|readiness| Readiness {
            ready: readiness.ready,
            governance_ready: readiness.governance_ready,
            lineage_ready: readiness.lineage_ready,
            freshness_ready: readiness.freshness_ready,
            schema_ready: readiness.schema_ready,
            protection_ready: readiness.protection_ready,
            missing: readiness.missing.clone(),
            warnings: readiness.warnings.clone(),
            finding_count: readiness.findings.len() as u64,
        }),
    }
}
