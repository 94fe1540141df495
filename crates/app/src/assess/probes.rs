//! The controlled probes: run, kept as an evidence artifact, and written into the audit log in the same commit.

use serde_json::{Value, json};
use tandem_core::{
    actor::OpContext,
    error::{Code, Failure},
    record::Commit,
};
use tandem_posture::{
    estate::Estate,
    evidence::{Names, RunType, pack, render},
    finding::Finding,
    inventory::{AuthorityInventory, inventory},
    posture,
    probes::{self, Options, ProbeId, ProbeMode, ProbeRun, Request, Unknown},
};

use super::{Turn, viewer};
use crate::{App, store_failure};

impl App {
    pub async fn assessment_probes(
        &self,
        turn: &Turn,
        ctx: &OpContext,
        request: &Request,
    ) -> Result<ProbeRun, Failure> {
        let options = probe_options(request)?;
        let estate = self.estate(turn, ctx).await?;
        let inventory = inventory(&estate, &viewer(ctx));
        let mut run = self.probe(&estate, &inventory, &options).await;
        if run.probe_policy.mode == ProbeMode::Disabled {
            return Ok(run);
        }
        let names = Names::new(RunType::Probes, ctx.now_ms, &self.ports.ids.fresh(), &self.ports.ids.fresh());
        let (puts, kept) = pack(ctx, &names, render(&artifact(&run, &estate, &inventory)), None);
        run.evidence_pack = kept;
        let payload = completed(&run);
        let commit = puts.into_iter().fold(Commit::new(ctx), Commit::put).audit(
            self.event_id(),
            "incident_monitor.assessment_probes.completed",
            payload,
        );
        self.store().commit(commit).await.map_err(store_failure)?;
        Ok(run)
    }

    /// Runs probes on what is loaded already. Nothing is kept.
    pub async fn probe(&self, estate: &Estate, inventory: &AuthorityInventory, options: &Options) -> ProbeRun {
        let wanted = options.mode == ProbeMode::DryRun && options.selected.contains(&ProbeId::ScopedIntakeRestriction);
        let keys = inventory.inventory.scoped_intake_keys.iter().any(|key| key.enabled);
        let doors = if wanted && keys { self.knock().await } else { None };
        probes::run(estate, inventory, &repeated_findings(estate, inventory), doors.as_ref(), options)
    }
}

/// The options of a request; words that name no probe at all are refused.
pub fn probe_options(request: &Request) -> Result<Options, Failure> {
    probes::options(request).map_err(|Unknown(ids)| {
        Failure::new(Code::ValidationFailed, "None of the ids names a probe.")
            .status(400)
            .with("field", "probes")
            .with("ignored_probe_ids", ids)
    })
}

/// Findings of the posture rules that probes repeat.
fn repeated_findings(estate: &Estate, inventory: &AuthorityInventory) -> Vec<Finding> {
    let rules = ["high_risk_tool_without_approval", "mcp_server_without_tool_allowlist"];
    let options = posture::Options { rules: rules.map(str::to_owned).to_vec(), ..posture::Options::default() };
    posture::check(estate, inventory, &options).findings
}

/// What is kept: the answer without its evidence pack, the whole inventory, and the state that was probed.
fn artifact(run: &ProbeRun, estate: &Estate, inventory: &AuthorityInventory) -> Value {
    let mut body = json!(run);
    if let Value::Object(map) = &mut body {
        map.remove("evidence_pack");
    }
    let monitor = &inventory.inventory.incident_monitor;
    body["inventory"] = json!(inventory.inventory);
    body["status_snapshot"] = json!({
        "config": {
            "enabled": monitor.enabled,
            "paused": monitor.paused,
            "default_destination_ids": monitor.default_destination_ids,
            "safety_defaults": monitor.safety_defaults,
        },
        "destinations": inventory.inventory.destinations,
        "destination_readiness": estate.destinations,
    });
    body
}

fn completed(run: &ProbeRun) -> Value {
    json!({
        "schema_version": run.schema_version,
        "generated_at_ms": run.generated_at_ms,
        "mode": run.probe_policy.mode,
        "dry_run": run.probe_policy.dry_run,
        "selected_probe_ids": run.probe_policy.selected_probe_ids,
        "ignored_probe_ids": run.probe_policy.ignored_probe_ids,
        "counts": run.counts,
        "evidence_pack": run.evidence_pack,
    })
}
