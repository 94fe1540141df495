//! Recent history as a report shows it: incidents, receipts and audit rows without what they carry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_core::{
    destination::DestinationKind,
    incident::Incident,
    publish::digest::h,
    receipt::Post,
    redaction::{Counts, redactor},
    tenant::TenantContext,
    text::sha256_hex,
};
use utoipa::ToSchema;

use crate::{inventory::webhook_name, run::facts::RowFact};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReportIncident)]
pub struct IncidentRow {
    pub incident_id: String,
    pub title: String,
    pub status: String,
    pub event_type: String,
    pub fingerprint: String,
    pub source: Option<String>,
    pub source_kind: String,
    pub project_id: Option<String>,
    pub log_source_id: Option<String>,
    pub risk_level: Option<String>,
    pub risk_category: Option<String>,
    pub confidence: Option<String>,
    pub tenant_id: Option<String>,
    pub workspace_id: Option<String>,
    pub route_tags: Vec<String>,
    pub evidence_refs: Vec<String>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    pub last_error_present: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentCounts {
    pub incidents: u64,
    pub by_source_kind: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReportIncidents)]
pub struct IncidentSection {
    pub counts: IncidentCounts,
    /// Newest first, at most 200.
    pub incidents: Vec<IncidentRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReportReceipt)]
pub struct ReceiptRow {
    pub post_id: String,
    pub draft_id: String,
    pub incident_id: Option<String>,
    pub operation: String,
    pub status: String,
    pub destination_id: Option<String>,
    pub destination_kind: Option<String>,
    pub route_id: Option<String>,
    pub route_match_reason: Option<String>,
    pub external_id: Option<String>,
    pub external_url: Option<String>,
    pub target_ref: Option<String>,
    pub receipt_present: bool,
    pub evidence_digest: Option<String>,
    pub evidence_refs: Vec<String>,
    pub idempotency_key_present: bool,
    pub error_present: bool,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptCounts {
    pub receipts: u64,
    pub by_destination_kind: BTreeMap<String, u64>,
    pub by_status: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReportReceipts)]
pub struct ReceiptSection {
    pub counts: ReceiptCounts,
    /// Newest first, at most 200.
    pub receipts: Vec<ReceiptRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordTenant {
    pub org_id: String,
    pub workspace_id: String,
    pub deployment_id: Option<String>,
}

/// An audit row without its payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReportAuditRow)]
pub struct RecordRow {
    pub event_id: String,
    pub event_type: String,
    pub created_at_ms: u64,
    pub seq: u64,
    /// Always false: rows are leaves of a tree, and the tree takes the place of a chain.
    pub prev_hash_present: bool,
    pub record_hash: String,
    /// Retention has dropped what it said; the digests of its payload are empty.
    #[serde(default)]
    pub body_dropped: bool,
    /// `sha256:` and the SHA-256 over the payload as compact JSON and one zero byte, hex.
    pub payload_hash: String,
    /// The SHA-256 over the payload as compact JSON alone, hex.
    pub payload_sha256: String,
    pub payload_keys: Vec<String>,
    pub tenant_context: RecordTenant,
}

/// Free text of others, once more without secrets: it may have come in while redaction was off.
fn clean(text: &str) -> String {
    redactor(None).text(text, &mut Counts::new()).into_owned()
}

fn clean_opt(text: Option<&str>) -> Option<String> {
    text.map(clean)
}

fn clean_list(list: &[String]) -> Vec<String> {
    list.iter().map(|text| clean(text)).collect()
}

impl IncidentRow {
    pub fn of(incident: &Incident) -> Self {
        Self {
            incident_id: incident.incident_id.clone(),
            title: clean(&incident.title),
            status: incident.status.word().into(),
            event_type: clean(&incident.event_type),
            fingerprint: incident.fingerprint.clone(),
            source: clean_opt(incident.source.as_deref()),
            source_kind: incident.source_kind.unwrap_or_default().label().into(),
            project_id: incident.project_id.clone(),
            log_source_id: incident.log_source_id.clone(),
            risk_level: clean_opt(incident.classification.risk_level.as_deref()),
            risk_category: clean_opt(incident.safety.risk_category.as_deref()),
            confidence: clean_opt(incident.classification.confidence.as_deref()),
            tenant_id: incident.routing.tenant_id.clone(),
            workspace_id: incident.routing.workspace_id.clone(),
            route_tags: clean_list(&incident.routing.route_tags),
            evidence_refs: clean_list(&incident.classification.evidence_refs),
            created_at_ms: incident.created_at_ms,
            updated_at_ms: incident.updated_at_ms,
            last_error_present: incident.last_error.is_some(),
        }
    }

    /// Tandem watched itself.
    pub fn is_own(&self) -> bool {
        is_own(&self.source_kind)
    }
}

/// The kinds of sources that are Tandem itself.
pub(super) const OWN: [&str; 2] = ["tandem_runtime", "tandem_monitor"];

fn is_own(kind: &str) -> bool {
    OWN.contains(&kind)
}

impl ReceiptRow {
    pub fn of(post: &Post) -> Self {
        Self {
            post_id: post.post_id.clone(),
            draft_id: post.draft_id.clone(),
            incident_id: post.incident_id.clone(),
            operation: post.operation.clone(),
            status: post.status.word().into(),
            destination_id: post.destination_id.clone(),
            destination_kind: post.destination_kind.map(|kind| kind.label().into()),
            route_id: post.route_id.clone(),
            route_match_reason: clean_opt(post.route_match_reason.as_deref()),
            external_id: clean_opt(post.external_id.as_deref()),
            external_url: clean_opt(post.external_url.as_deref()),
            target_ref: match post.destination_kind {
                // Its path may be all that protects it.
                Some(DestinationKind::Webhook) => post.target_ref.as_deref().map(webhook_name),
                Some(_) | None => clean_opt(post.target_ref.as_deref()),
            },
            receipt_present: post.receipt.as_ref().is_some_and(|receipt| !receipt.is_null()),
            evidence_digest: post.evidence_digest.clone(),
            evidence_refs: clean_list(&post.evidence_refs),
            idempotency_key_present: !post.idempotency_key.trim().is_empty(),
            error_present: post.error.is_some(),
            created_at_ms: post.created_at_ms,
            updated_at_ms: post.updated_at_ms,
        }
    }
}

impl RecordRow {
    /// The row, if it belongs into a report.
    pub fn of(row: &RowFact) -> Option<Self> {
        let own = row.payload.get("source_kind").and_then(Value::as_str).is_some_and(is_own);
        if !own && !row.event_type.starts_with("incident_monitor.") {
            return None;
        }
        let payload = (!row.body_dropped).then(|| row.payload.to_string());
        Some(Self {
            event_id: row.event_id.clone(),
            event_type: row.event_type.clone(),
            created_at_ms: row.created_at_ms,
            seq: row.seq,
            prev_hash_present: false,
            record_hash: row.record_hash.clone(),
            body_dropped: row.body_dropped,
            payload_hash: payload.as_ref().map(|text| format!("sha256:{}", h([text.as_str()]))).unwrap_or_default(),
            payload_sha256: payload.as_deref().map(sha256_hex).unwrap_or_default(),
            payload_keys: crate::inventory::keys_of(Some(&row.payload)),
            tenant_context: tenant(&row.tenant),
        })
    }
}

fn tenant(tenant: &TenantContext) -> RecordTenant {
    RecordTenant {
        org_id: tenant.org_id.clone(),
        workspace_id: tenant.workspace_id.clone(),
        deployment_id: tenant.deployment_id.clone(),
    }
}

pub(super) fn incidents(rows: Vec<IncidentRow>) -> IncidentSection {
    let mut counts = IncidentCounts { incidents: rows.len() as u64, ..IncidentCounts::default() };
    for row in &rows {
        *counts.by_source_kind.entry(row.source_kind.clone()).or_default() += 1;
    }
    IncidentSection { counts, incidents: rows }
}

pub(super) fn receipts(rows: Vec<ReceiptRow>) -> ReceiptSection {
    let mut counts = ReceiptCounts { receipts: rows.len() as u64, ..ReceiptCounts::default() };
    for row in &rows {
        let kind = row.destination_kind.clone().unwrap_or_else(|| "unknown".into());
        *counts.by_destination_kind.entry(kind).or_default() += 1;
        *counts.by_status.entry(row.status.clone()).or_default() += 1;
    }
    ReceiptSection { counts, receipts: rows }
}
