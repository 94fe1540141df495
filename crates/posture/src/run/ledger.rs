//! What a run did, by the sequence of the audit log: the rows that tell of an effect, without their payloads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::facts::EffectFact;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ToolEffect)]
pub struct Record {
    pub event_type: String,
    pub tool: String,
    /// `request` or `outcome`.
    pub phase: String,
    pub status: String,
    /// It needed a decision and an approval.
    pub protected: bool,
    pub policy_decision_id: Option<String>,
    pub node_id: Option<String>,
    /// SHA-256 of the row's payload, hex.
    pub payload_sha256: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ToolEffectRow)]
pub struct LedgerRow {
    pub seq: u64,
    pub ts_ms: u64,
    pub event_id: String,
    pub record: Record,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ToolEffectSummary)]
pub struct Summary {
    pub total: u64,
    pub succeeded: u64,
    pub protected: u64,
    pub by_status: BTreeMap<String, u64>,
    /// Calls of tools as the executor counted them; it does not name them one by one.
    pub executor_reported_tool_calls: u64,
    pub last_seq: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ToolManifestRow)]
pub struct ManifestRow {
    pub tool: String,
    pub calls: u64,
    pub protected: bool,
}

pub fn rows(effects: &[EffectFact]) -> Vec<LedgerRow> {
    let row = |effect: &EffectFact| LedgerRow {
        seq: effect.seq,
        ts_ms: effect.at_ms,
        event_id: effect.event_id.clone(),
        record: Record {
            event_type: effect.event_type.clone(),
            tool: effect.tool.clone(),
            phase: effect.phase.clone(),
            status: effect.status.clone(),
            protected: effect.protected,
            policy_decision_id: effect.decision_id.clone(),
            node_id: effect.node_id.clone(),
            payload_sha256: effect.payload_sha256.clone(),
        },
    };
    effects.iter().map(row).collect()
}

pub fn summary(effects: &[EffectFact], reported: u64) -> Summary {
    let mut summary = Summary { executor_reported_tool_calls: reported, ..Summary::default() };
    for effect in effects {
        summary.total += 1;
        summary.succeeded += u64::from(effect.succeeded);
        summary.protected += u64::from(effect.protected);
        *summary.by_status.entry(effect.status.clone()).or_default() += 1;
        summary.last_seq = summary.last_seq.max(effect.seq);
    }
    summary
}

pub fn manifest(effects: &[EffectFact]) -> Vec<ManifestRow> {
    let mut tools: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
    for effect in effects {
        let entry = tools.entry(&effect.tool).or_default();
        entry.0 += 1;
        entry.1 |= effect.protected;
    }
    let row = |(tool, (calls, protected)): (&str, (u64, bool))| ManifestRow { tool: tool.to_owned(), calls, protected };
    tools.into_iter().map(row).collect()
}
