//! No sequence of calls by agents reaches a state with more authority than approvals allow.

use proptest::prelude::*;
use serde_json::json;

use super::{
    lab::{Call, Lab, agent, capability, human, patched},
    spending,
};
use crate::{
    decide::Desk,
    governance::{
        approval::{Approval, RequestType, Resource, Status},
        create::NewAutomation,
        deletion, grant,
        ledger::RunEnd,
        lifecycle,
        mutate::{self, Operation},
        patch::PatchAutomation,
        record::{Capabilities, GovernanceRecord},
        request::Cancel,
        usage::{Creation, TenantUsage},
        window::WindowKind,
    },
};

/// What an agent may try. Numbers choose agents, automations and requests.
#[derive(Clone, Debug)]
enum Try {
    Create {
        agent: u8,
        id: u8,
        creates: bool,
        modifies: bool,
        ancestors: u8,
        parent: Option<u8>,
    },
    Patch {
        agent: u8,
        id: u8,
        creates: bool,
        modifies: bool,
    },
    Ask {
        agent: u8,
        about: u8,
        kind: u8,
    },
    Decide {
        agent: u8,
        request: u8,
    },
    Cancel {
        agent: u8,
        request: u8,
    },
    Grant {
        agent: u8,
        id: u8,
    },
    Extend {
        agent: u8,
        id: u8,
    },
    Resume {
        agent: u8,
        id: u8,
    },
    Delete {
        agent: u8,
        id: u8,
    },
    Run {
        agent: u8,
        id: u8,
        dollars: u8,
    },
    /// The one thing that a person does: approve a request.
    Approve {
        request: u8,
    },
    Wait {
        hours: u8,
    },
}

fn tries() -> impl Strategy<Value = Try> {
    let (agent, id) = (0..3_u8, 0..12_u8);
    prop_oneof![
        6 => (agent.clone(), id.clone(), any::<bool>(), any::<bool>(), 0..5_u8, proptest::option::of(0..12_u8)).prop_map(
            |(agent, id, creates, modifies, ancestors, parent)| Try::Create { agent, id, creates, modifies, ancestors, parent }
        ),
        2 => (agent.clone(), id.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(agent, id, creates, modifies)| Try::Patch { agent, id, creates, modifies }),
        4 => (agent.clone(), 0..3_u8, 0..6_u8).prop_map(|(agent, about, kind)| Try::Ask { agent, about, kind }),
        2 => (agent.clone(), 0..40_u8).prop_map(|(agent, request)| Try::Decide { agent, request }),
        1 => (agent.clone(), 0..40_u8).prop_map(|(agent, request)| Try::Cancel { agent, request }),
        1 => (agent.clone(), id.clone()).prop_map(|(agent, id)| Try::Grant { agent, id }),
        1 => (agent.clone(), id.clone()).prop_map(|(agent, id)| Try::Extend { agent, id }),
        1 => (agent.clone(), id.clone()).prop_map(|(agent, id)| Try::Resume { agent, id }),
        1 => (agent.clone(), id.clone()).prop_map(|(agent, id)| Try::Delete { agent, id }),
        3 => (agent, id, 0..4_u8).prop_map(|(agent, id, dollars)| Try::Run { agent, id, dollars }),
        2 => (0..40_u8).prop_map(|request| Try::Approve { request }),
        1 => (1..60_u8).prop_map(|hours| Try::Wait { hours }),
    ]
}

fn name(n: u8) -> String {
    format!("agent-{n}")
}

fn nth(lab: &Lab, n: u8) -> Option<Approval> {
    let all = lab.all::<Approval>();
    (!all.is_empty()).then(|| all[usize::from(n) % all.len()].clone())
}

fn attempt(lab: &mut Lab, what: &Try, step: usize) {
    match what {
        Try::Create { agent: by, id, creates, modifies, ancestors, parent } => {
            let new = NewAutomation {
                automation_id: format!("auto-{id}"),
                declared: Capabilities { creates_agents: *creates, modifies_grants: *modifies },
                ancestors: (0..*ancestors).map(|n| format!("above-{n}")).collect(),
                parent_automation_id: parent.map(|id| format!("auto-{id}")),
                ..NewAutomation::default()
            };
            let _ = lab.create_as(&agent(&name(*by)), new);
        }
        Try::Patch { agent: by, id, creates, modifies } => {
            let (base, declared) =
                (lab.base.clone(), Capabilities { creates_agents: *creates, modifies_grants: *modifies });
            let automation_id = format!("auto-{id}");
            let patch = PatchAutomation { automation_id, declared: Some(declared), ..PatchAutomation::default() };
            let _ = lab.act(&agent(&name(*by)), Call(move |desk: &mut Desk<'_>| patched(desk, &base, &patch)));
        }
        Try::Ask { agent: by, about, kind } => {
            let (kind, context) = match kind {
                0 => (RequestType::CapabilityRequest, capability("creates_agents")),
                1 => (RequestType::ElevatedCapability, capability("modifies_grants")),
                2 => (RequestType::QuotaOverride, json!({ "quota": "daily_creation" })),
                3 => (RequestType::QuotaOverride, json!({ "max_additional_usd": 3.0 })),
                4 => (RequestType::DepthOverride, json!({ "max_depth": 5 })),
                _ => (RequestType::LifecycleReview, json!({})),
            };
            let _ = lab.file(&agent(&name(*by)), kind, Resource::agent(&name(*about)), context);
        }
        Try::Decide { agent: by, request } => {
            if let Some(found) = nth(lab, *request) {
                assert!(lab.decide(&agent(&name(*by)), &found.approval_id, true).is_err(), "an agent has decided");
            }
        }
        Try::Cancel { agent: by, request } => {
            if let Some(found) = nth(lab, *request) {
                let _ = lab.act(
                    &agent(&name(*by)),
                    Cancel { base: lab.base.clone(), approval_id: found.approval_id, reason: None },
                );
            }
        }
        Try::Grant { agent: by, id } => {
            let give = grant::Give {
                base: lab.base.clone(),
                automation_id: format!("auto-{id}"),
                agent_id: name(*by),
                reason: None,
                approval_id: None,
            };
            assert!(lab.act(&agent(&name(*by)), give).is_err(), "an agent has granted");
        }
        Try::Extend { agent: by, id } => {
            let extend = lifecycle::Extend {
                base: lab.base.clone(),
                automation_id: format!("auto-{id}"),
                expires_at_ms: None,
                reason: None,
                approval_id: None,
            };
            assert!(lab.act(&agent(&name(*by)), extend).is_err(), "an agent has extended");
        }
        Try::Resume { agent: by, id } => {
            let (base, id) = (lab.base.clone(), format!("auto-{id}"));
            let _ = lab.act(&agent(&name(*by)), Call(move |desk: &mut Desk<'_>| lifecycle::resume(desk, &base, &id)));
        }
        Try::Delete { agent: by, id } => {
            let (base, id) = (lab.base.clone(), format!("auto-{id}"));
            let call = Call(move |desk: &mut Desk<'_>| deletion::delete(desk, &base, &id, json!({})));
            let _ = lab.act(&agent(&name(*by)), call);
        }
        Try::Run { agent: by, id, dollars } => {
            let (actor, automation, run) = (agent(&name(*by)), format!("auto-{id}"), format!("run-{step}"));
            let check = automation.clone();
            let call = Call(move |desk: &mut Desk<'_>| mutate::check(desk, &check, Operation::RunNow).map(|_| ()));
            if lab.act(&actor, call).is_ok() && spending::start(lab, &run, &automation, None).is_ok() {
                spending::spend(lab, &run, f64::from(*dollars));
                spending::end(lab, &run, RunEnd::Completed);
            }
        }
        Try::Approve { request } => {
            if let Some(found) = nth(lab, *request) {
                let _ = lab.decide(&human("ann"), &found.approval_id, true);
            }
        }
        Try::Wait { hours } => lab.now_ms += u64::from(*hours) * 3_600_000,
    }
}

/// What must hold whatever was tried.
fn holds(lab: &Lab) {
    let approvals = lab.all::<Approval>();
    let records = lab.all::<GovernanceRecord>();
    let approved = |kind: &[RequestType]| {
        approvals
            .iter()
            .filter(|one| kind.contains(&one.request_type) && one.status == Status::Approved)
            .collect::<Vec<_>>()
    };
    for approval in &approvals {
        if let Some(by) = &approval.reviewed_by {
            assert_eq!(by.actor_id.as_deref(), Some("ann"), "only the person decides");
        }
        assert!(approval.uses_allowed.is_none_or(|allowed| approval.uses <= allowed), "{approval:?}");
        assert!(approval.uses == 0 || approval.status == Status::Approved, "{approval:?}");
    }
    let capabilities = approved(&[RequestType::CapabilityRequest, RequestType::ElevatedCapability]);
    for record in &records {
        for key in record.declared_capabilities.escalation_from(Capabilities::default()) {
            let answered = capabilities.iter().any(|one| {
                one.capability_key.as_deref() == Some(key)
                    && one.recent_uses.iter().any(|used| used.resource_id == record.automation_id)
            });
            assert!(answered, "{} declares {key} without an approval", record.automation_id);
        }
        assert!(record.modify_grants.is_empty());
        let deep = record.provenance.depth > 3;
        let depth = approved(&[RequestType::DepthOverride]);
        assert!(
            !deep
                || depth.iter().any(|one| one.recent_uses.iter().any(|used| used.resource_id == record.automation_id))
        );
    }
    let creations = lab.all::<Creation>();
    let overrides = approved(&[RequestType::QuotaOverride]);
    for by in (0..3).map(name) {
        let own: Vec<u64> = creations.iter().filter(|one| one.agent_id == by).map(|one| one.created_at_ms).collect();
        let lifted =
            overrides.iter().filter(|one| one.target_resource.id == by).map(|one| one.uses as usize).sum::<usize>();
        for at in &own {
            let day = own.iter().filter(|other| **other <= *at && **other + 86_400_000 > *at).count();
            assert!(day <= 3 + lifted, "{by} created {day} in a day");
        }
        if let Some(row) = lab.get::<crate::governance::agent::Agent>(&by) {
            let week = row.spend.window(WindowKind::Lifetime).map_or(0.0, |window| window.cost_usd.dollars());
            // Each of the weeks that have passed allows the cap, and the last report may go beyond it once.
            let weeks = (lab.now_ms - super::lab::START) / (7 * 86_400_000) + 2;
            let lifted = overrides.iter().map(|one| one.additional_spent_usd.dollars()).sum::<f64>();
            assert!(week <= weeks as f64 * (5.0 + 3.0) + lifted + 3.0, "{by} spent {week}");
            assert!(row.pause.is_none());
        }
    }
    let alive = records.iter().filter(|one| !one.is_deleted() && one.provenance.creator_agent().is_some()).count();
    let counted = lab.get::<TenantUsage>(TenantUsage::ID).map_or(0, |usage| usage.agent_automations);
    assert_eq!(counted, alive as u64);
    assert!(alive <= 8);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn agents_do_not_gain_authority(tries in proptest::collection::vec(tries(), 1..60)) {
        let mut lab = Lab::new();
        lab.limit(json!({
            "per_agent_daily_creation_limit": 3, "active_agent_automation_cap": 8, "weekly_spend_cap_usd": 5.0,
            "per_agent_creation_review_threshold": 4, "run_review_threshold": 6,
        }));
        for (step, what) in tries.iter().enumerate() {
            attempt(&mut lab, what, step);
            holds(&lab);
        }
    }
}
