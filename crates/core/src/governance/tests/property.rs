//! No sequence of calls by agents reaches a state with more authority than approvals allow.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    lab::{Call, Lab, agent, capability, human, patched},
    spending,
};
use crate::{
    actor::ActorRef,
    decide::Desk,
    error::Failure,
    governance::{
        agent::Agent,
        agents,
        approval::{Approval, Quota, RequestType, Resource, Status, USES_KEPT, Use},
        consume::Consume,
        create::NewAutomation,
        deletion, grant,
        ledger::RunEnd,
        lifecycle,
        limits_change::ChangeLimits,
        mutate::{self, Operation},
        patch::PatchAutomation,
        record::{Capabilities, GovernanceRecord, Grant},
        request::{Cancel, Delegate},
        usage::{Creation, TenantUsage},
        window::WindowKind,
    },
};

/// What an agent may try. Numbers choose agents, automations and requests.
#[derive(Clone, Debug)]
enum Try {
    Create {
        agent: u8,
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
    Retire {
        agent: u8,
        id: u8,
    },
    Restore {
        agent: u8,
        id: u8,
    },
    Revoke {
        agent: u8,
        id: u8,
    },
    Limits {
        agent: u8,
    },
    Register {
        agent: u8,
        about: u8,
    },
    /// The kill switch, on or off.
    Switch {
        agent: u8,
        about: u8,
        on: bool,
    },
    Delegate {
        agent: u8,
        request: u8,
    },
    Consume {
        agent: u8,
        request: u8,
        right: bool,
    },
    /// Any of the operations, as far as the author is judged.
    Operate {
        agent: u8,
        id: u8,
        operation: u8,
    },
    /// What a person does: approve a request, …
    Approve {
        request: u8,
    },
    /// … let an agent change an automation, or not any more, …
    Entrust {
        id: u8,
        agent: u8,
        back: bool,
    },
    /// … end an automation, or stop an agent.
    Stop {
        id: u8,
        agent: Option<u8>,
    },
    Wait {
        hours: u8,
    },
}

fn tries() -> impl Strategy<Value = Try> {
    let (agent, id) = (0..3_u8, any::<u8>());
    prop_oneof![
        9 => (agent.clone(), any::<u8>(), 0..5_u8, proptest::option::of(any::<u8>())).prop_map(
            // Most declare nothing, and so are not refused for it.
            |(agent, declares, ancestors, parent)| Try::Create {
                agent, creates: declares < 40, modifies: (20..60).contains(&declares), ancestors, parent
            }
        ),
        2 => (agent.clone(), id, any::<bool>(), any::<bool>())
            .prop_map(|(agent, id, creates, modifies)| Try::Patch { agent, id, creates, modifies }),
        4 => (agent.clone(), 0..3_u8, 0..7_u8).prop_map(|(agent, about, kind)| Try::Ask { agent, about, kind }),
        2 => (agent.clone(), 0..40_u8).prop_map(|(agent, request)| Try::Decide { agent, request }),
        1 => (agent.clone(), 0..40_u8).prop_map(|(agent, request)| Try::Cancel { agent, request }),
        1 => (agent.clone(), id).prop_map(|(agent, id)| Try::Grant { agent, id }),
        1 => (agent.clone(), id).prop_map(|(agent, id)| Try::Extend { agent, id }),
        1 => (agent.clone(), id).prop_map(|(agent, id)| Try::Resume { agent, id }),
        1 => (agent.clone(), id).prop_map(|(agent, id)| Try::Delete { agent, id }),
        6 => (agent.clone(), id, 0..4_u8).prop_map(|(agent, id, dollars)| Try::Run { agent, id, dollars }),
        1 => (agent.clone(), id).prop_map(|(agent, id)| Try::Retire { agent, id }),
        1 => (agent.clone(), id).prop_map(|(agent, id)| Try::Restore { agent, id }),
        1 => (agent.clone(), id).prop_map(|(agent, id)| Try::Revoke { agent, id }),
        1 => agent.clone().prop_map(|agent| Try::Limits { agent }),
        1 => (agent.clone(), 0..3_u8).prop_map(|(agent, about)| Try::Register { agent, about }),
        1 => (agent.clone(), 0..3_u8, any::<bool>()).prop_map(|(agent, about, on)| Try::Switch { agent, about, on }),
        1 => (agent.clone(), 0..40_u8).prop_map(|(agent, request)| Try::Delegate { agent, request }),
        3 => (agent.clone(), 0..40_u8, any::<bool>())
            .prop_map(|(agent, request, right)| Try::Consume { agent, request, right }),
        6 => (agent.clone(), id, any::<u8>())
            .prop_map(|(agent, id, operation)| Try::Operate { agent, id, operation }),
        6 => (0..40_u8).prop_map(|request| Try::Approve { request }),
        3 => (id, 0..3_u8, any::<bool>()).prop_map(|(id, agent, back)| Try::Entrust { id, agent, back }),
        1 => (id, proptest::option::weighted(0.2, 0..3_u8)).prop_map(|(id, agent)| Try::Stop { id, agent }),
        2 => (1..30_u8).prop_map(|hours| Try::Wait { hours }),
    ]
}

fn name(n: u8) -> String {
    format!("agent-{n}")
}

fn nth<T: Clone>(all: &[T], n: u8) -> Option<T> {
    (!all.is_empty()).then(|| all[usize::from(n) % all.len()].clone())
}

/// One of those that there are.
fn auto(lab: &Lab, n: u8) -> String {
    nth(&lab.all::<GovernanceRecord>(), n).map_or_else(|| "none".into(), |record| record.automation_id)
}

fn request(lab: &Lab, n: u8, wanted: impl Fn(&Approval) -> bool) -> Option<Approval> {
    let all: Vec<Approval> = lab.all::<Approval>().into_iter().filter(wanted).collect();
    nth(&all, n)
}

/// This week's spending has reached the cap, and no override lifts it.
fn is_at_the_cap(lab: &Lab, id: &str) -> bool {
    let Some(row) = lab.get::<Agent>(id) else { return false };
    let begun = WindowKind::Weekly.bounds(lab.now_ms).0;
    let week = row.spend.window(WindowKind::Weekly).filter(|window| window.window_start_ms == begun);
    let lifts = |one: &Approval| {
        one.quota == Some(Quota::WeeklySpend) && one.target_resource.id == id && one.is_usable(lab.now_ms)
    };
    week.is_some_and(|window| window.cost_usd.dollars() >= 5.0) && !lab.all::<Approval>().iter().any(lifts)
}

fn retire(lab: &mut Lab, by: &ActorRef, id: &str) -> Result<Value, Failure> {
    let (base, automation_id) = (lab.base.clone(), id.to_owned());
    lab.act(by, lifecycle::Retire { base, automation_id, reason: None, approval_id: None })
}

/// Of the first live grant, if there is one.
fn revoke(lab: &mut Lab, by: &ActorRef, automation_id: String) -> Option<Result<Value, Failure>> {
    let record = lab.get::<GovernanceRecord>(&automation_id)?;
    let grant_id = record.modify_grants.iter().find(|one| one.is_live())?.grant_id.clone();
    let base = lab.base.clone();
    Some(lab.act(by, grant::Revoke { base, automation_id, grant_id, reason: None, approval_id: None }))
}

fn attempt(lab: &mut Lab, what: &Try, step: usize) {
    // Two calls are never at the very same moment.
    lab.now_ms += 1;
    match what {
        Try::Create { agent: by, creates, modifies, ancestors, parent } => {
            let new = NewAutomation {
                automation_id: format!("auto-{step}"),
                declared: Capabilities { creates_agents: *creates, modifies_grants: *modifies },
                ancestors: (0..*ancestors).map(|n| format!("above-{n}")).collect(),
                parent_automation_id: parent.map(|id| auto(lab, id)),
                ..NewAutomation::default()
            };
            let at_the_cap = is_at_the_cap(lab, &name(*by));
            if lab.create_as(&agent(&name(*by)), new).is_ok() {
                assert!(!at_the_cap, "created at the cap");
            }
        }
        Try::Patch { agent: by, id, creates, modifies } => {
            let (base, declared) =
                (lab.base.clone(), Capabilities { creates_agents: *creates, modifies_grants: *modifies });
            let automation_id = auto(lab, *id);
            let patch = PatchAutomation { automation_id, declared: Some(declared), ..PatchAutomation::default() };
            let _ = lab.act(&agent(&name(*by)), Call(move |desk: &mut Desk<'_>| patched(desk, &base, &patch)));
        }
        Try::Ask { agent: by, about, kind } => {
            let target = Resource::agent(&name(*about));
            let (kind, context) = match kind {
                0 => (RequestType::CapabilityRequest, capability("creates_agents")),
                1 => (RequestType::ElevatedCapability, capability("modifies_grants")),
                2 => (RequestType::QuotaOverride, json!({ "quota": "daily_creation" })),
                3 => (RequestType::QuotaOverride, json!({ "max_additional_usd": 3.0 })),
                4 => (RequestType::DepthOverride, json!({ "max_depth": 5 })),
                5 => (RequestType::ExternalPost, json!({ "action": "post", "parameters": { "to": "x" } })),
                _ => (RequestType::LifecycleReview, json!({})),
            };
            let _ = lab.file(&agent(&name(*by)), kind, target, context);
        }
        Try::Decide { agent: by, request } => {
            if let Some(found) = self::request(lab, *request, Approval::is_pending) {
                assert!(lab.decide(&agent(&name(*by)), &found.approval_id, true).is_err(), "an agent has decided");
            }
        }
        Try::Cancel { agent: by, request } => {
            if let Some(found) = self::request(lab, *request, Approval::is_pending) {
                let _ = lab.act(
                    &agent(&name(*by)),
                    Cancel { base: lab.base.clone(), approval_id: found.approval_id, reason: None },
                );
            }
        }
        Try::Grant { agent: by, id } => {
            let give = grant::Give {
                base: lab.base.clone(),
                automation_id: auto(lab, *id),
                agent_id: name(*by),
                reason: None,
                approval_id: None,
            };
            assert!(lab.act(&agent(&name(*by)), give).is_err(), "an agent has granted");
        }
        Try::Extend { agent: by, id } => {
            let extend = lifecycle::Extend {
                base: lab.base.clone(),
                automation_id: auto(lab, *id),
                expires_at_ms: None,
                reason: None,
                approval_id: None,
            };
            assert!(lab.act(&agent(&name(*by)), extend).is_err(), "an agent has extended");
        }
        Try::Resume { agent: by, id } => {
            let (base, id) = (lab.base.clone(), auto(lab, *id));
            let _ = lab.act(&agent(&name(*by)), Call(move |desk: &mut Desk<'_>| lifecycle::resume(desk, &base, &id)));
        }
        Try::Delete { agent: by, id } => {
            let (base, id) = (lab.base.clone(), auto(lab, *id));
            let call = Call(move |desk: &mut Desk<'_>| deletion::delete(desk, &base, &id, json!({})));
            let _ = lab.act(&agent(&name(*by)), call);
        }
        Try::Run { agent: by, id, dollars } => {
            let (actor, automation, run) = (agent(&name(*by)), auto(lab, *id), format!("run-{step}"));
            let check = automation.clone();
            let call = Call(move |desk: &mut Desk<'_>| mutate::check(desk, &check, Operation::RunNow).map(|_| ()));
            if lab.act(&actor, call).is_ok() && spending::start(lab, &run, &automation, None).is_ok() {
                spending::spend(lab, &run, f64::from(*dollars));
                spending::end(lab, &run, RunEnd::Completed);
            }
        }
        Try::Retire { agent: by, id } => {
            let id = auto(lab, *id);
            assert!(retire(lab, &agent(&name(*by)), &id).is_err(), "an agent has retired");
        }
        Try::Restore { agent: by, id } => {
            let (base, automation_id) = (lab.base.clone(), auto(lab, *id));
            let restore = deletion::Restore { base, automation_id, approval_id: None };
            assert!(lab.act(&agent(&name(*by)), restore).is_err(), "an agent has restored");
        }
        Try::Revoke { agent: by, id } => {
            let id = auto(lab, *id);
            assert!(revoke(lab, &agent(&name(*by)), id).is_none_or(|done| done.is_err()), "an agent has revoked");
        }
        Try::Limits { agent: by } => {
            let changes = json!({ "per_agent_daily_creation_limit": 100 }).as_object().unwrap().clone();
            let change = ChangeLimits { base: lab.base.clone(), changes, approval_id: None };
            assert!(lab.act(&agent(&name(*by)), change).is_err(), "an agent has changed limits");
        }
        Try::Register { agent: by, about } => {
            let sponsor = Some("ann".to_owned());
            let entry = agents::Register { agent_id: name(*about), display_name: None, owner: None, sponsor };
            assert!(lab.act(&agent(&name(*by)), entry).is_err(), "an agent has entered one");
        }
        Try::Switch { agent: by, about, on } => {
            let (base, agent_id, actor) = (lab.base.clone(), name(*about), agent(&name(*by)));
            let done = match on {
                true => lab.act(&actor, agents::Pause { base, agent_id, reason: None }),
                false => lab.act(&actor, agents::Resume { agent_id }),
            };
            assert!(done.is_err(), "an agent has used the switch");
        }
        Try::Delegate { agent: by, request } => {
            if let Some(found) = self::request(lab, *request, Approval::is_pending) {
                let delegate = Delegate { approval_id: found.approval_id, to: name(*by), reason: None };
                assert!(lab.act(&agent(&name(*by)), delegate).is_err(), "an agent has handed on a decision");
            }
        }
        Try::Consume { agent: by, request, right } => {
            if let Some(found) = self::request(lab, *request, |one| one.action.is_some()) {
                let action = found.action.clone().filter(|_| *right).unwrap_or_else(|| "delete".into());
                let parameters = found.parameters.clone().unwrap_or_else(|| json!({}));
                let by = name(*by);
                let consume =
                    Consume { approval_id: found.approval_id.clone(), action, parameters, run_id: None, use_id: None };
                if lab.act(&agent(&by), consume).is_ok() {
                    assert!(*right && found.action.is_some(), "another action than was approved");
                    assert_eq!(found.requested_by.actor_id, Some(by), "somebody else's approval");
                    assert!(found.is_usable(lab.now_ms), "{found:?}");
                }
            }
        }
        Try::Operate { agent: by, id, operation } => {
            let operation = Operation::ALL[usize::from(*operation) % Operation::ALL.len()];
            let (actor, id) = (agent(&name(*by)), auto(lab, *id));
            let check = id.clone();
            let call = Call(move |desk: &mut Desk<'_>| mutate::check(desk, &check, operation).map(|_| ()));
            if lab.act(&actor, call).is_ok() {
                let record = lab.record(&id);
                let own = record.provenance.creator_agent() == actor.actor_id.as_deref();
                let entrusted =
                    record.modify_grants.iter().any(|one| one.is_live() && one.granted_to.actor_id == actor.actor_id);
                let people =
                    [Operation::Grant, Operation::Revoke, Operation::Extend, Operation::Retire, Operation::Restore];
                assert!(!people.contains(&operation), "{operation} by an agent");
                assert!(own || (entrusted && operation != Operation::Delete), "{operation} by a stranger");
                assert!(record.retired_at_ms.is_none() && !record.paused_for_lifecycle, "{operation} on a closed one");
            }
        }
        Try::Entrust { id, agent: to, back } => {
            if *back {
                let id = auto(lab, *id);
                let _ = revoke(lab, &human("ann"), id);
            } else {
                let (base, agent_id) = (lab.base.clone(), name(*to));
                let automation_id = auto(lab, *id);
                let _ = lab
                    .act(&human("ann"), grant::Give { base, automation_id, agent_id, reason: None, approval_id: None });
            }
        }
        Try::Stop { id, agent: who } => match who {
            Some(who) => {
                let (base, agent_id) = (lab.base.clone(), name(*who));
                let _ = lab.act(&human("ann"), agents::Pause { base, agent_id, reason: None });
            }
            None => {
                let id = auto(lab, *id);
                let _ = retire(lab, &human("ann"), &id);
            }
        },
        Try::Approve { request } => {
            if let Some(found) = self::request(lab, *request, Approval::is_pending) {
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
        assert_eq!(approval.recent_uses.len(), (approval.uses as usize).min(USES_KEPT), "every use counts");
        assert!(approval.recent_uses.iter().all(|used| used.at_ms < approval.use_by_ms), "{approval:?}");
    }
    // What is approved for an agent is used by that agent.
    for approval in approved(&[RequestType::CapabilityRequest, RequestType::QuotaOverride, RequestType::DepthOverride])
    {
        let own = |used: &Use| used.by.actor_id.as_deref() == Some(approval.target_resource.id.as_str());
        assert!(approval.recent_uses.iter().all(own), "{approval:?}");
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
        let given = |one: &Grant| one.granted_by.actor_id.as_deref() == Some("ann");
        assert!(record.modify_grants.iter().all(given), "only the person grants");
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
        let lifted = overrides
            .iter()
            .filter(|one| one.target_resource.id == by && one.quota == Some(Quota::DailyCreation))
            .map(|one| one.uses as usize)
            .sum::<usize>();
        for at in &own {
            let day = own.iter().filter(|other| **other <= *at && **other + 86_400_000 > *at).count();
            assert!(day <= 3 + lifted, "{by} created {day} in a day");
        }
        if let Some(row) = lab.get::<Agent>(&by) {
            // The report that reaches the cap may go beyond it, by the dearest run; so may each override, once more.
            let lifts =
                overrides.iter().filter(|one| one.target_resource.id == by && one.quota == Some(Quota::WeeklySpend));
            let most = 5.0 + 3.0 + lifts.map(|one| one.additional_spent_usd.dollars() + 3.0).sum::<f64>();
            let week = row.spend.window(WindowKind::Weekly).map_or(0.0, |window| window.cost_usd.dollars());
            assert!(week <= most, "{by} spent {week} in a week, and {most} was allowed");
            if let Some(pause) = &row.pause {
                assert_eq!(pause.paused_by.actor_id.as_deref(), Some("ann"), "only the person uses the switch");
                assert!(own.iter().all(|at| *at < pause.paused_at_ms), "{by} created while it was paused");
            }
            // Two creations, and then somebody looks.
            assert!(row.creation.created_since_review <= 2, "{by} created {}", row.creation.created_since_review);
        }
    }
    let alive = records.iter().filter(|one| !one.is_deleted() && one.provenance.creator_agent().is_some()).count();
    let counted = lab.get::<TenantUsage>(TenantUsage::ID).map_or(0, |usage| usage.agent_automations);
    assert_eq!(counted, alive as u64);
    let lifted = overrides.iter().filter(|one| one.quota == Some(Quota::ActiveCap)).map(|one| one.uses as usize);
    assert!(alive <= 5 + lifted.sum::<usize>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn agents_do_not_gain_authority(tries in proptest::collection::vec(tries(), 40..120)) {
        let mut lab = Lab::new();
        lab.limit(json!({
            "per_agent_daily_creation_limit": 3, "active_agent_automation_cap": 5, "weekly_spend_cap_usd": 5.0,
            "per_agent_creation_review_threshold": 2, "run_review_threshold": 6, "approval_ttl_ms": 20 * 3_600_000,
        }));
        for (step, what) in tries.iter().enumerate() {
            attempt(&mut lab, what, step);
            holds(&lab);
        }
    }
}
