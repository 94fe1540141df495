//! A run: each selected probe in turn, and the answer around their results.

use std::collections::BTreeMap;

use super::{
    DoorReport, InventorySummary, Options, ProbeCounts, ProbeId, ProbeMode, ProbePolicy, ProbeResult, ProbeRun,
    ProbeScope, ProbeStatus,
    checks::{self, Scene},
};
use crate::{
    estate::Estate, evidence::EvidencePack, finding::Finding, inventory::AuthorityInventory, posture::DraftConversion,
};

/// Runs the selected probes. `findings` are those of posture; `doors` is what the doors of this server said to a scoped
/// key, `None` where they could not be asked.
pub fn run(
    estate: &Estate,
    inventory: &AuthorityInventory,
    findings: &[Finding],
    doors: Option<&DoorReport>,
    options: &Options,
) -> ProbeRun {
    let scene = Scene { estate, inventory, findings, doors };
    let results: Vec<ProbeResult> = match options.mode {
        ProbeMode::Disabled => Vec::new(),
        ProbeMode::DryRun => options
            .selected
            .iter()
            .flat_map(|probe| checks::check(*probe, &scene))
            .map(|said| ProbeResult::new(said, options.include_draft_suggestions))
            .collect(),
    };
    let words = |ids: &[ProbeId]| ids.iter().map(|id| id.word().to_owned()).collect();
    ProbeRun {
        schema_version: 1,
        generated_at_ms: estate.now_ms,
        scope: ProbeScope {
            source: "incident_monitor_security_assessment_probes".into(),
            read_only: true,
            dry_run: true,
            mutates_external_systems: false,
            admin_invoked: true,
            full_token_required: true,
            tenant_context: estate.tenant.clone(),
            authority_inventory_source: inventory.scope.source.clone(),
        },
        probe_policy: ProbePolicy {
            mode: options.mode,
            requested_mode: options.requested_mode.clone(),
            dry_run: true,
            supported_modes: ProbeMode::ALL.iter().map(|mode| mode.word().to_owned()).collect(),
            selected_probe_ids: words(&options.selected),
            supported_probe_ids: words(ProbeId::ALL),
            ignored_probe_ids: options.ignored.clone(),
            include_draft_suggestions: options.include_draft_suggestions,
        },
        counts: counts(&results),
        results,
        evidence_pack: EvidencePack::none(match options.mode {
            ProbeMode::Disabled => "probes are disabled",
            ProbeMode::DryRun => "not kept",
        }),
        authority_inventory: InventorySummary {
            schema_version: inventory.schema_version,
            generated_at_ms: inventory.generated_at_ms,
            counts: inventory.counts.clone(),
        },
        draft_conversion: DraftConversion::by_report(),
        sensitive_values: inventory.sensitive_values.clone(),
    }
}

fn counts(results: &[ProbeResult]) -> ProbeCounts {
    let of = |status: ProbeStatus| results.iter().filter(|result| result.status == status).count() as u64;
    let by_status: BTreeMap<String, u64> =
        ProbeStatus::ALL.iter().map(|status| (status.word().to_owned(), of(*status))).collect();
    ProbeCounts {
        results: results.len() as u64,
        pass: of(ProbeStatus::Pass),
        fail: of(ProbeStatus::Fail),
        blocked: of(ProbeStatus::Blocked),
        not_applicable: of(ProbeStatus::NotApplicable),
        by_status,
        draft_suggestions: results.iter().filter(|result| result.incident_draft_suggestion.is_some()).count() as u64,
    }
}
