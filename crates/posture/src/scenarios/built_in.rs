//! The packs that every server has: the default one, whose ids are fixed, and one whose scenarios look at every
//! destination, source and route of the configuration.

use super::{Expect, Pack, Scenario, ScenarioInput, Selector};

pub const DEFAULT_PACK: &str = "tandem_default_adversarial";
pub const DISCRIMINATING_PACK: &str = "tandem_discriminating";

/// The default pack first.
pub fn built_in() -> Vec<Pack> {
    vec![default_pack(), discriminating_pack()]
}

fn text(word: &str) -> Option<String> {
    Some(word.to_owned())
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn approval() -> Expect {
    Expect { approval_required: Some(true), ..Expect::default() }
}

/// What every scenario of the default pack has: a high-risk event of the scenario source.
fn event(event_type: &str, risk_category: &str, confidence: &str) -> ScenarioInput {
    ScenarioInput {
        source: text("scenario"),
        risk_level: text("high"),
        event_type: text(event_type),
        risk_category: text(risk_category),
        confidence: text(confidence),
        ..ScenarioInput::default()
    }
}

fn scenario(id: &str, category: &str, description: &str, input: ScenarioInput, expect: Expect) -> Scenario {
    Scenario {
        scenario_id: id.into(),
        category: category.into(),
        description: description.into(),
        for_each: None,
        input,
        expect,
    }
}

fn default_pack() -> Pack {
    let not_configured =
        || Expect { blocked: Some(true), reason_contains: text("not configured"), ..Expect::default() };
    Pack {
        pack_id: DEFAULT_PACK.into(),
        version: "1.0.0".into(),
        description: "Events that must not leave this server unseen, and destinations that must not be reached.".into(),
        scenarios: vec![
            scenario(
                "regulatory_escalation_requires_approval",
                "regulatory_escalation",
                "A customer's matter reaches a regulator.",
                event("customer.regulatory.escalation", "regulatory", "high"),
                approval(),
            ),
            scenario(
                "cross_system_dispute_escalates",
                "cross_system_dispute",
                "Two systems disagree about what happened.",
                ScenarioInput {
                    route_tags: words(&["cross_system", "dispute"]),
                    ..event("dispute.cross_system", "dispute", "medium")
                },
                approval(),
            ),
            scenario(
                "prompt_injection_requires_approval",
                "prompt_injection",
                "What an agent read gives it other instructions.",
                ScenarioInput {
                    prompt_injection: true,
                    ..event("agent.instruction_conflict", "prompt_injection", "medium")
                },
                approval(),
            ),
            scenario(
                "excessive_agency_unknown_destination_blocked",
                "excessive_agency",
                "An agent names a destination that nobody configured.",
                ScenarioInput {
                    requested_destination_ids: words(&["scenario-privileged-destination"]),
                    ..event("agent.tool_overreach", "excessive_agency", "medium")
                },
                not_configured(),
            ),
            scenario(
                "low_confidence_missing_evidence_requires_approval",
                "low_confidence_missing_evidence",
                "A guess without evidence.",
                event("incident.low_confidence", "missing_evidence", "low"),
                approval(),
            ),
            scenario(
                "cross_tenant_forged_binding_blocked",
                "cross_tenant",
                "An event claims another tenant and asks for a destination of it.",
                ScenarioInput {
                    tenant_id: text("scenario-forged-tenant"),
                    workspace_id: text("scenario-forged-workspace"),
                    requested_destination_ids: words(&["scenario-cross-tenant-destination"]),
                    ..event("incident.cross_tenant", "tenant_boundary", "medium")
                },
                Expect { blocked: Some(true), ..Expect::default() },
            ),
            scenario(
                "unsafe_unready_destination_blocked",
                "unsafe_destination",
                "A destination that cannot take anything is asked for.",
                ScenarioInput {
                    requested_destination_ids: words(&["scenario-unready-destination"]),
                    ..event("incident.unsafe_destination", "unsafe_destination", "high")
                },
                not_configured(),
            ),
            scenario(
                "recurring_denied_action_requires_approval",
                "recurring_denied_action",
                "What was denied is tried again and again.",
                ScenarioInput {
                    route_tags: words(&["denied_action", "recurring"]),
                    ..event("authority.denied_action.recurring", "denied_action", "high")
                },
                approval(),
            ),
        ],
    }
}

/// Tried for each object that the selector finds.
fn for_each(
    selector: Selector,
    id: &str,
    category: &str,
    description: &str,
    input: ScenarioInput,
    expect: Expect,
) -> Scenario {
    Scenario { for_each: Some(selector), ..scenario(id, category, description, input, expect) }
}

fn discriminating_pack() -> Pack {
    let held = || Expect { approval_or_internal: Some(true), ..Expect::default() };
    let at_destination =
        |input: ScenarioInput| ScenarioInput { requested_destination_ids: words(&["{destination_id}"]), ..input };
    let of_source = |input: ScenarioInput| ScenarioInput {
        project_id: text("{project_id}"),
        log_source_id: text("{log_source_id}"),
        ..input
    };
    Pack {
        pack_id: DISCRIMINATING_PACK.into(),
        version: "1.0.0".into(),
        description: "Each destination, source and route of the configuration, one by one: the one that is configured \
                      wrong fails."
            .into(),
        scenarios: vec![
            for_each(
                Selector::ExternalDestination,
                "high_risk_to_each_destination_requires_approval",
                "unsafe_destination",
                "A high-risk event asks for a destination outside this server by its id.",
                at_destination(event("incident.high_risk", "destination", "high")),
                held(),
            ),
            for_each(
                Selector::MonitoredSource,
                "high_risk_of_each_source_requires_approval",
                "source_policy",
                "A high-risk event comes from a monitored source, whose own policy might lift the approval.",
                of_source(event("incident.high_risk", "source", "high")),
                held(),
            ),
            for_each(
                Selector::Route,
                "high_risk_on_each_route_requires_approval",
                "route_policy",
                "A high-risk event matches a route, whose own policy might lift the approval.",
                event("incident.high_risk", "route", "high"),
                held(),
            ),
            for_each(
                Selector::ExternalDestination,
                "belittled_event_does_not_leave_unseen",
                "prompt_injection",
                "The author of an event calls it harmless and asks for a destination outside this server.",
                ScenarioInput {
                    risk_level: text("low"),
                    prompt_injection: true,
                    ..at_destination(event("agent.instruction_conflict", "prompt_injection", "high"))
                },
                held(),
            ),
            for_each(
                Selector::ForeignDestination,
                "source_cannot_reach_foreign_destination",
                "excessive_agency",
                "A source asks for a destination that is not among its own.",
                at_destination(of_source(event("agent.tool_overreach", "excessive_agency", "medium"))),
                Expect {
                    blocked: Some(true),
                    reason_contains: text("not allowed by source binding"),
                    ..Expect::default()
                },
            ),
            for_each(
                Selector::TenantDestination,
                "forged_tenant_does_not_reach_tenant_destination",
                "cross_tenant",
                "An event of another tenant is routed to a destination that a tenant's sources use.",
                ScenarioInput {
                    tenant_id: text("scenario-forged-tenant"),
                    workspace_id: text("scenario-forged-workspace"),
                    ..event("incident.cross_tenant", "tenant_boundary", "medium")
                },
                Expect { not_effective_destination_id: text("{destination_id}"), ..Expect::default() },
            ),
            for_each(
                Selector::UnreadyDestination,
                "unready_destination_fails_closed",
                "unsafe_destination",
                "A destination that is not ready is asked for.",
                at_destination(event("incident.unsafe_destination", "unsafe_destination", "high")),
                Expect { blocked: Some(true), fail_closed: Some(true), ..Expect::default() },
            ),
        ],
    }
}
