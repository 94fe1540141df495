//! The groups of fields that submissions, incidents and drafts share.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::approval::ApprovalPolicy;

/// Who acted with what, and how far the failure reaches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SafetyContext {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "toolName")]
    pub tool_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "approvalState")]
    pub approval_state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "riskCategory")]
    pub risk_category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "blastRadius")]
    pub blast_radius: Option<String>,
    #[serde(default, alias = "externalCorrelationIds", deserialize_with = "super::submission::null_default")]
    pub external_correlation_ids: Vec<String>,
}

impl SafetyContext {
    /// The scalar fields, for code that treats them alike.
    pub fn scalars_mut(&mut self) -> [&mut Option<String>; 8] {
        [
            &mut self.actor,
            &mut self.model,
            &mut self.tool_name,
            &mut self.action,
            &mut self.policy,
            &mut self.approval_state,
            &mut self.risk_category,
            &mut self.blast_radius,
        ]
    }

    /// Takes over what this context lacks.
    pub fn fill_from(&mut self, other: &Self) {
        let mut other = other.clone();
        for (mine, theirs) in self.scalars_mut().into_iter().zip(other.scalars_mut()) {
            if mine.is_none() {
                *mine = theirs.take();
            }
        }
        merge_bounded(&mut self.external_correlation_ids, other.external_correlation_ids);
    }
}

/// Routing facts that only a trusted source binding may set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceRouting {
    #[serde(default, alias = "routeTags", deserialize_with = "super::submission::null_default")]
    pub route_tags: Vec<String>,
    #[serde(default, alias = "allowedDestinationIds", deserialize_with = "super::submission::null_default")]
    pub allowed_destination_ids: Vec<String>,
    #[serde(default, alias = "defaultDestinationIds", deserialize_with = "super::submission::null_default")]
    pub default_destination_ids: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "tenantId")]
    pub tenant_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "workspaceId")]
    pub workspace_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "eventSchemaVersion")]
    pub event_schema_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "sourceApprovalPolicy")]
    pub source_approval_policy: Option<ApprovalPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "redactionProfile")]
    pub redaction_profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "retentionProfile")]
    pub retention_profile: Option<String>,
}

/// The reporter's own judgement, and where the evidence is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Classification {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "riskLevel")]
    pub risk_level: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "expectedDestination")]
    pub expected_destination: Option<String>,
    #[serde(default, alias = "evidenceRefs", deserialize_with = "super::submission::null_default")]
    pub evidence_refs: Vec<String>,
}

/// Lists of identifiers and references keep at most this many entries.
pub const LIST_CAP: usize = 50;

/// Adds what is new, up to [`LIST_CAP`] entries.
pub fn merge_bounded(into: &mut Vec<String>, more: Vec<String>) {
    for item in more {
        if into.len() >= LIST_CAP {
            return;
        }
        if !into.contains(&item) {
            into.push(item);
        }
    }
}
