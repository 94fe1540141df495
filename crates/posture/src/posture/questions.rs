//! What depends on a policy that nobody has told Tandem. It is asked, never passed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::findings::{monitor, path};
use crate::{
    estate::Estate,
    finding::{AffectedObject, EvidenceRef},
    inventory::{AuthorityInventory, Inventory},
    tools::{self, Risk},
};

/// A question that the operator owns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OpenQuestion {
    pub question_id: String,
    /// `retention`, `allowed_use`, `tool_risk`, …
    pub topic: String,
    pub question: String,
    /// Why it cannot be inferred.
    pub why: String,
    /// The first ones; `object_count` says how many there are.
    pub affected_objects: Vec<AffectedObject>,
    pub object_count: u64,
    pub evidence_refs: Vec<EvidenceRef>,
}

/// Objects that one question names.
const NAMED: usize = 25;

pub(super) fn open(estate: &Estate, inventory: &AuthorityInventory) -> Vec<OpenQuestion> {
    let sections = &inventory.inventory;
    let asked = [
        retention(sections),
        allowed_use(sections),
        outside(sections),
        unknown_tools(sections),
        reviewers(sections),
        declared(estate),
    ];
    let mut open: Vec<OpenQuestion> = asked.into_iter().flatten().collect();
    open.push(completeness());
    open
}

struct Ask {
    id: &'static str,
    topic: &'static str,
    question: String,
    why: &'static str,
    evidence: Vec<EvidenceRef>,
}

impl Ask {
    /// Nothing is asked about nothing.
    fn about(self, objects: impl Iterator<Item = AffectedObject>) -> Option<OpenQuestion> {
        let (mut named, mut count) = (Vec::new(), 0);
        for object in objects {
            count += 1;
            if named.len() < NAMED {
                named.push(object);
            }
        }
        (count > 0).then(|| OpenQuestion {
            question_id: self.id.into(),
            topic: self.topic.into(),
            question: self.question,
            why: self.why.into(),
            affected_objects: named,
            object_count: count,
            evidence_refs: self.evidence,
        })
    }
}

fn retention(sections: &Inventory) -> Option<OpenQuestion> {
    let days = sections.incident_monitor.safety_defaults.retention_days;
    let question = match days {
        None => "How long must incidents, receipts and audit rows be kept, and who owns that decision?".to_owned(),
        Some(days) => format!("Does a retention of {days} days meet your obligations, and who owns that decision?"),
    };
    Ask {
        id: "retention_policy",
        topic: "retention",
        question,
        why: "Tandem knows the number that is set, not the obligations that it has to meet.",
        evidence: vec![path("inventory.incident_monitor.safety_defaults.retention_days".into())],
    }
    .about(std::iter::once(monitor()))
}

fn allowed_use(sections: &Inventory) -> Option<OpenQuestion> {
    let sources = sections.monitored_sources.iter().filter(|row| row.enabled);
    Ask {
        id: "source_allowed_use",
        topic: "allowed_use",
        question: "Are the data of these sources covered by their legal basis and allowed use, for what is done here?"
            .into(),
        why: "Tandem sees whether a legal basis and an allowed use are written down, not whether they hold.",
        evidence: vec![path("inventory.monitored_sources[].data_readiness".into())],
    }
    .about(
        sources.map(|row| AffectedObject::new("monitored_source", row.id()).with("project_id", row.project_id.clone())),
    )
}

fn outside(sections: &Inventory) -> Option<OpenQuestion> {
    let rows = sections.destinations.iter().filter(|row| row.enabled && row.is_external());
    Ask {
        id: "destination_policy",
        topic: "destinations",
        question: "Which classes of incidents may reach these systems, and how long do they keep what they get?".into(),
        why: "Tandem knows what it sends and the receipt. What a system keeps, and who reads it there, it cannot see.",
        evidence: vec![path("inventory.destinations".into())],
    }
    .about(rows.map(|row| {
        AffectedObject::new("incident_monitor_destination", row.destination_id.clone())
            .with("destination_kind", row.kind.clone())
    }))
}

/// A tool that no rule knows is neither safe nor dangerous.
fn unknown_tools(sections: &Inventory) -> Option<OpenQuestion> {
    let unknown = sections.automation_specs.iter().flat_map(|row| {
        let agents = row.agents.iter().flat_map(|agent| &agent.tool_policy.allowlist);
        let nodes = row.nodes.iter().filter_map(|node| node.tool_policy.as_ref()).flat_map(|policy| &policy.allowlist);
        agents.chain(nodes).filter(|tool| !tools::is_wildcard(tool) && tools::risk(tool) == Risk::Unknown)
    });
    let names: std::collections::BTreeSet<&str> = unknown.map(String::as_str).collect();
    Ask {
        id: "unknown_tool_risk",
        topic: "tool_risk",
        question: "May these tools run without approval?".into(),
        why: "Nothing about their names tells whether they change something.",
        evidence: vec![path("inventory.automation_specs[].agents[].tool_policy.allowlist".into())],
    }
    .about(names.into_iter().map(|name| AffectedObject::new("tool", name)))
}

fn reviewers(sections: &Inventory) -> Option<OpenQuestion> {
    let gates = sections.approval_rules.iter().filter(|rule| {
        rule.requires_approval == Some(true) || rule.required == Some(true) || rule.approval_policy.is_some()
    });
    Ask {
        id: "reviewer_competence",
        topic: "oversight",
        question: "Are those who approve competent for it, independent of who asks, and enough of them?".into(),
        why: "Tandem records who decided. Whether that person was the right one is your policy.",
        evidence: vec![path("inventory.approval_rules".into())],
    }
    .about(gates.map(|rule| AffectedObject::new("approval_rule", rule.rule_id.clone())))
}

fn declared(estate: &Estate) -> Option<OpenQuestion> {
    Ask {
        id: "declared_enforcement",
        topic: "declared_authority",
        question: "Do the systems that declared these enforce what they declared?".into(),
        why: "A declaration says what another system claims; Tandem does not run it.",
        evidence: vec![path("inventory.declared_agents".into()), path("inventory.workflows".into())],
    }
    .about(estate.declared.iter().map(|owned| {
        AffectedObject::new(owned.value.kind.word(), owned.value.object_id.clone())
            .with("name", owned.value.spec.name.clone())
    }))
}

fn completeness() -> OpenQuestion {
    OpenQuestion {
        question_id: "inventory_completeness".into(),
        topic: "completeness".into(),
        question: "Which agents, credentials and integrations exist that Tandem was not told of?".into(),
        why: "An inventory holds what is connected or declared. What is neither is not in it.".into(),
        affected_objects: vec![monitor()],
        object_count: 1,
        evidence_refs: vec![path("inventory".into())],
    }
}
