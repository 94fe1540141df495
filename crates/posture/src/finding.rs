//! A finding: what is wrong, with what, where that can be seen, and what to do.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tandem_core::{publish::digest::h, wire_enum};
use utoipa::ToSchema;

use crate::lifecycle::Lifecycle;

wire_enum! {
    #[schema(as = PostureSeverity)]
    pub enum Severity {
        Low = "low",
        Medium = "medium",
        High = "high",
        Critical = "critical",
    }
}

impl Severity {
    /// 1 for low to 4 for critical.
    pub fn rank(self) -> u8 {
        match self {
            Self::Low => 1,
            Self::Medium => 2,
            Self::High => 3,
            Self::Critical => 4,
        }
    }

    /// The risk level of a draft that is made of it.
    pub fn risk_level(self) -> &'static str {
        match self {
            Self::Critical | Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

impl From<tandem_core::source::Severity> for Severity {
    fn from(severity: tandem_core::source::Severity) -> Self {
        use tandem_core::source::Severity as Source;
        match severity {
            Source::Low => Self::Low,
            Source::Medium => Self::Medium,
            Source::High => Self::High,
        }
    }
}

/// What a finding is about: `{kind, id}` and what helps to find it (`name`, `automation_id`, …).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AffectedObject {
    pub kind: String,
    pub id: String,
    #[serde(flatten)]
    #[schema(ignore)]
    pub more: Map<String, Value>,
}

impl AffectedObject {
    pub fn new(kind: &str, id: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), id: id.into(), more: Map::new() }
    }

    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }
}

/// Where it can be seen: `inventory.<section>[<id>].<field>`, or live state under `incident_monitor.`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceRef {
    pub kind: Cow<'static, str>,
    pub path: String,
}

impl EvidenceRef {
    pub fn inventory(path: impl Into<String>) -> Self {
        Self { kind: "authority_inventory".into(), path: path.into() }
    }

    pub fn source_readiness(path: impl Into<String>) -> Self {
        Self { kind: "source_readiness".into(), path: path.into() }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteSuggestion {
    pub route_tags: Vec<String>,
    pub risk_level: Cow<'static, str>,
    pub risk_category: String,
    pub expected_destination: Cow<'static, str>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DestinationSuggestion {
    pub kind: Cow<'static, str>,
    pub require_approval: bool,
    pub idempotency_key: Cow<'static, str>,
    pub receipt_required: bool,
}

/// The body of a report that would make an incident of it: post it as `report` to `/incident-monitor/report`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DraftSuggestion {
    pub source: String,
    pub event_type: String,
    pub title: String,
    pub fingerprint: String,
    pub detail: String,
    pub risk_level: Cow<'static, str>,
    pub risk_category: String,
    pub confidence: Cow<'static, str>,
    pub route_tags: Vec<String>,
    pub excerpt: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PostureFinding)]
pub struct Finding {
    /// `bpf_` and 16 hex characters of the fingerprint.
    pub finding_id: String,
    /// `sha256:` and the hash over rule, category, severity and what is affected, parents included.
    pub fingerprint: String,
    pub rule_id: String,
    pub category: String,
    pub severity: Severity,
    pub title: String,
    pub detail: String,
    pub recommendation: String,
    pub dry_run: bool,
    pub affected_objects: Vec<AffectedObject>,
    pub evidence_refs: Vec<EvidenceRef>,
    pub route_suggestion: RouteSuggestion,
    pub destination_suggestion: DestinationSuggestion,
    pub incident_draft_suggestion: DraftSuggestion,
    /// Where it stands, as recorded; null while nobody has recorded it.
    #[serde(default)]
    pub lifecycle: Option<Lifecycle>,
}

/// What a rule says; the rest of the finding follows from it.
pub struct New<'a> {
    pub rule_id: &'a str,
    pub category: &'a str,
    pub severity: Severity,
    pub title: String,
    pub detail: String,
    pub recommendation: String,
    /// The first is the one that it is about.
    pub affected: Vec<AffectedObject>,
    pub evidence: Vec<EvidenceRef>,
    /// Distinguishes findings that are otherwise alike.
    pub extra: Option<String>,
}

impl Finding {
    pub fn new(new: New<'_>, dry_run: bool) -> Self {
        let ids: Vec<Cow<'_, str>> = new.affected.iter().map(qualified).collect();
        let ids = match ids.as_slice() {
            [only] => only.clone(),
            all => Cow::Owned(all.join("|")),
        };
        let parts = [new.rule_id, new.category, new.severity.word(), &ids];
        let hash = h(parts.into_iter().chain(new.extra.as_deref()));
        let risk = new.severity.risk_level();
        let fingerprint = format!("sha256:{hash}");
        let tags = vec!["security_posture".to_owned(), new.category.to_owned()];
        Self {
            finding_id: format!("bpf_{}", &hash[..16]),
            rule_id: new.rule_id.into(),
            category: new.category.into(),
            severity: new.severity,
            dry_run,
            route_suggestion: RouteSuggestion {
                route_tags: tags.clone(),
                risk_level: risk.into(),
                risk_category: new.category.into(),
                expected_destination: "security_review".into(),
            },
            destination_suggestion: DestinationSuggestion {
                kind: "linear_issue".into(),
                require_approval: true,
                idempotency_key: "finding.fingerprint".into(),
                receipt_required: true,
            },
            incident_draft_suggestion: DraftSuggestion {
                source: "security_posture".into(),
                event_type: "security.posture.finding".into(),
                title: new.title.clone(),
                fingerprint: fingerprint.clone(),
                detail: format!("{}\n\n{}", new.detail, new.recommendation),
                risk_level: risk.into(),
                risk_category: new.category.into(),
                confidence: "high".into(),
                route_tags: tags,
                excerpt: new.evidence.iter().map(|evidence| evidence.path.clone()).collect(),
            },
            fingerprint,
            title: new.title,
            detail: new.detail,
            recommendation: new.recommendation,
            affected_objects: new.affected,
            evidence_refs: new.evidence,
            lifecycle: None,
        }
    }
}

impl Finding {
    /// The same finding under an identity of its own, for one that names many things of which any may go.
    pub fn identified(mut self, identity: &str) -> Self {
        let hash = h([self.rule_id.as_str(), &self.category, self.severity.word(), identity]);
        self.finding_id = format!("bpf_{}", &hash[..16]);
        self.fingerprint = format!("sha256:{hash}");
        self.incident_draft_suggestion.fingerprint.clone_from(&self.fingerprint);
        self
    }
}

/// The id with its parents, so that equal ids in two automations or projects stay apart.
fn qualified(object: &AffectedObject) -> Cow<'_, str> {
    if object.more.is_empty() {
        return Cow::Borrowed(&object.id);
    }
    let parent = |key: &str| object.more.get(key).and_then(Value::as_str);
    let mut id = String::new();
    for parent in ["automation_id", "project_id", "workflow_id"].iter().filter_map(|key| parent(key)) {
        if parent != object.id {
            id.push_str(parent);
            id.push('/');
        }
    }
    if id.is_empty() {
        return Cow::Borrowed(&object.id);
    }
    id.push_str(&object.id);
    Cow::Owned(id)
}
