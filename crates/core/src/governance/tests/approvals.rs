//! Requests: who may decide, when, how many it takes, and what an approval is bound to.

use serde_json::json;

use super::lab::{Lab, agent, capability, human, no_context, system};
use crate::{
    actor::{ActorKind, ActorRef},
    error::Code,
    governance::{
        approval::{Approval, RequestType, Resource, Status},
        approve,
        create::NewAutomation,
        grant, lifecycle,
        limits_change::{self, ChangeLimits},
        record::Capabilities,
        request::{Cancel, Delegate, NewRequest},
        sweep::Overdue,
    },
};

fn ask(lab: &mut Lab, by: &ActorRef) -> Approval {
    lab.file(by, RequestType::CapabilityRequest, Resource::agent("bot"), capability("creates_agents")).unwrap()
}

#[test]
fn who_may_decide() {
    let nobody = ActorRef { kind: ActorKind::Human, actor_id: None, source: Some("control_panel".into()) };
    let cases = [
        (agent("bot"), agent("other"), Err(Code::ApprovalRequiresHuman)),
        (agent("bot"), system(), Err(Code::ApprovalRequiresHuman)),
        (human("ann"), human(" ANN "), Err(Code::ApprovalSelfReview)),
        // The id of an agent does not become another person's by being used by a person.
        (agent("bot"), human("Bot"), Err(Code::ApprovalSelfReview)),
        (nobody.clone(), nobody.clone(), Err(Code::ApprovalSelfReview)),
        (system(), nobody.clone(), Ok(Status::Approved)),
        (agent("bot"), nobody, Ok(Status::Approved)),
        (system(), human("ann"), Ok(Status::Approved)),
    ];
    for (asks, decides, expected) in cases {
        let mut lab = Lab::new();
        let id = ask(&mut lab, &asks).approval_id;
        assert_eq!(lab.decide(&decides, &id, true).map(|approval| approval.status), expected, "{asks:?} {decides:?}");
    }
    assert_eq!(Lab::new().decide(&human("ann"), "apr_none", true).map(|_| ()), Err(Code::ApprovalNotFound));
}

#[test]
fn a_decision_is_repeated_and_never_reversed() {
    let mut lab = Lab::new();
    let id = ask(&mut lab, &agent("bot")).approval_id;
    lab.decide(&human("ann"), &id, true).unwrap();
    lab.decide(&human("ben"), &id, true).unwrap();
    assert_eq!(lab.decide(&human("ben"), &id, false).map(|_| ()), Err(Code::ApprovalAlreadyDecided));
    assert_eq!(lab.get::<Approval>(&id).unwrap().reviewed_by.unwrap().actor_id.unwrap(), "ann");
    assert_eq!(lab.audit.iter().filter(|row| row.event_type.ends_with("approval.approved")).count(), 1);
}

#[test]
fn deadlines_for_deciding_and_for_using() {
    let mut lab = Lab::new();
    let target = Resource::agent("bot");
    let new = NewRequest {
        context: capability("creates_agents"),
        decide_by_ms: Some(lab.now_ms + 1000),
        use_by_ms: Some(lab.now_ms + u64::from(u32::MAX)),
        ..NewRequest::default()
    };
    let filed = lab.file_with(&agent("bot"), RequestType::CapabilityRequest, target, new).unwrap();
    assert_eq!(filed.use_by_ms, lab.now_ms + RequestType::CapabilityRequest.longest_life_ms(), "bounded by its type");
    lab.now_ms += 1000;
    assert_eq!(lab.decide(&human("ann"), &filed.approval_id, true).map(|_| ()), Err(Code::ApprovalExpired));
    let stored = lab.get::<Approval>(&filed.approval_id).unwrap();
    assert_eq!(stored.status, Status::Expired, "the refusal has written what it found");
    assert!(lab.has_event("approval.expired"));
    assert_eq!(lab.decide(&human("ann"), &filed.approval_id, true).map(|_| ()), Err(Code::ApprovalExpired));
}

#[test]
fn what_only_servers_say_and_what_means_nothing_is_refused() {
    let mut lab = Lab::new();
    let on_agent = || Resource::agent("bot");
    let cases = [
        (RequestType::QuotaOverride, on_agent(), json!({ "quota": "all" })),
        (RequestType::CapabilityRequest, on_agent(), json!({ "capability_key": "x", "_mutation_consumption": {} })),
        (RequestType::CapabilityRequest, on_agent(), json!({ "capability_key": "x", "action_gate": {} })),
        (RequestType::CapabilityRequest, on_agent(), json!([1])),
        (RequestType::CapabilityRequest, Resource { kind: " ".into(), id: "a".into() }, capability("x")),
    ];
    for (request_type, target, context) in cases {
        let refused = lab.file(&agent("bot"), request_type, target, context.clone());
        assert_eq!(refused.map(|_| ()), Err(Code::ApprovalCreateFailed), "{request_type} {context}");
    }
}

#[test]
fn a_request_of_any_type_needs_no_more_than_a_target_and_a_reason() {
    for target in [Resource::agent("bot"), Resource::automation("a"), Resource { kind: "x".into(), id: "y".into() }] {
        for by in [agent("bot"), human("ann"), system()] {
            let mut lab = Lab::new();
            for request_type in RequestType::ALL.iter().copied() {
                let new = NewRequest::default();
                let filed = lab.file_with(&by, request_type, target.clone(), new).unwrap();
                assert_eq!(filed.status, Status::Pending, "{request_type} {target:?}");
                let decided = lab.decide(&human("ben"), &filed.approval_id, true).map(|one| one.status);
                assert_eq!(decided, Ok(Status::Approved), "{request_type} {target:?}");
            }
            // None of them answers anything.
            let declared = Capabilities { creates_agents: true, modifies_grants: false };
            assert_eq!(lab.create_with(&agent("bot"), "n", declared), Err(Code::CapabilityEscalationForbidden));
            let ancestors = vec!["one".into(), "two".into(), "three".into()];
            let deep = NewAutomation { automation_id: "n".into(), ancestors, ..NewAutomation::default() };
            assert_eq!(lab.create_as(&agent("bot"), deep), Err(Code::LineageDepthExceeded));
        }
    }
}

#[test]
fn only_a_review_that_names_its_cause_needs_it_to_be_due() {
    let mut lab = Lab::new();
    lab.create(&human("ann"), "a").unwrap();
    let cases = [
        (Resource::automation("a"), "run_drift", Err(Code::ApprovalTriggerStale)),
        (Resource::automation("a"), "health_drift", Err(Code::ApprovalTriggerStale)),
        (Resource::automation("a"), "dependency_revoked", Err(Code::ApprovalTriggerStale)),
        (Resource::automation("none"), "tenant_ownership_mismatch", Err(Code::ApprovalTriggerStale)),
        (Resource::agent("bot"), "creation_quota", Err(Code::ApprovalTriggerStale)),
        (Resource::automation("a"), "expired", Ok(())),
        (Resource::automation("a"), "a hunch", Ok(())),
        (Resource::automation("none"), "a hunch", Ok(())),
    ];
    for (target, trigger, expected) in cases {
        let context = json!({ "trigger": trigger });
        let filed = lab.file(&human("ann"), RequestType::LifecycleReview, target.clone(), context);
        assert_eq!(filed.map(|_| ()), expected, "{target:?} {trigger}");
    }
}

#[test]
fn secrets_in_a_request_are_not_kept() {
    let mut lab = Lab::new();
    let secret = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    let new = NewRequest {
        context: json!({ "capability_key": "x", "password": secret, "note": format!("use {secret}") }),
        ..NewRequest::default()
    };
    let filed = lab.file_with(&agent("bot"), RequestType::CapabilityRequest, Resource::agent("bot"), new).unwrap();
    let text = serde_json::to_string(&filed).unwrap();
    assert!(!text.contains(secret), "{text}");
}

#[test]
fn as_many_reviewers_as_the_policy_says() {
    let mut lab = Lab::new();
    lab.limit(json!({ "review_policies": [{
        "request_type": "capability_request", "risk": "high", "approve": 2, "deny": 2,
        "reviewers": ["ann", "ben", "cat"], "remind_after_ms": 1000, "escalate_after_ms": 2000, "escalate_to": ["boss"],
    }] }));
    let file = |lab: &mut Lab| {
        let context = json!({ "capability_key": "creates_agents", "risk_tier": "high" });
        lab.file(&agent("bot"), RequestType::CapabilityRequest, Resource::agent("bot"), context).unwrap().approval_id
    };
    let id = file(&mut lab);
    assert_eq!(lab.decide(&human("dan"), &id, true).map(|_| ()), Err(Code::ApprovalReviewerForbidden));
    assert_eq!(lab.decide(&human("ann"), &id, true).unwrap().status, Status::Pending);
    assert_eq!(lab.decide(&human("ANN"), &id, true).unwrap().status, Status::Pending, "one person is one vote");
    assert_eq!(lab.decide(&human("cat"), &id, false).unwrap().status, Status::Pending);
    assert_eq!(lab.decide(&human("ben"), &id, true).unwrap().status, Status::Approved);
    // Handing on, and being asked when nobody answers.
    let id = file(&mut lab);
    let hand = |lab: &mut Lab, by: &str, to: &str, id: &str| {
        let delegate = Delegate { approval_id: id.into(), to: to.into(), reason: None };
        lab.act(&human(by), delegate).map(|_| ()).map_err(|failure| failure.code)
    };
    assert_eq!(hand(&mut lab, "dan", "eve", &id), Err(Code::ApprovalReviewerForbidden));
    assert_eq!(hand(&mut lab, "ann", "bot", &id), Err(Code::ApprovalSelfReview));
    hand(&mut lab, "ann", "eve", &id).unwrap();
    assert_eq!(lab.decide(&human("ann"), &id, true).map(|_| ()), Err(Code::ApprovalReviewerForbidden));
    lab.decide(&human("eve"), &id, true).unwrap();
    assert_eq!(lab.decide(&human("boss"), &id, true).map(|_| ()), Err(Code::ApprovalReviewerForbidden));
    lab.now_ms += 2000;
    let look = |lab: &mut Lab| {
        let (base, approval_id) = (lab.base.clone(), id.clone());
        lab.act(&system(), Overdue { base, approval_id }).unwrap();
    };
    look(&mut lab);
    assert!(lab.has_event("approval.reminded") && lab.has_event("approval.escalated"));
    assert_eq!(lab.decide(&human("boss"), &id, true).unwrap().status, Status::Approved);
}

#[test]
fn who_asked_may_take_it_back() {
    let mut lab = Lab::new();
    let id = ask(&mut lab, &agent("bot")).approval_id;
    let cancel = |lab: &mut Lab, by: &ActorRef| {
        let cancel = Cancel { base: lab.base.clone(), approval_id: id.clone(), reason: None };
        lab.act(by, cancel).map(|approval| approval.status).map_err(|failure| failure.code)
    };
    assert_eq!(cancel(&mut lab, &agent("other")), Err(Code::ApprovalCancelForbidden));
    assert_eq!(cancel(&mut lab, &human("bot")), Err(Code::ApprovalCancelForbidden));
    assert_eq!(cancel(&mut lab, &agent("bot")), Ok(Status::Cancelled));
    assert_eq!(cancel(&mut lab, &agent("bot")), Ok(Status::Cancelled));
    // The bare token takes back what the bare token asked for.
    let bare = ask(&mut lab, &system()).approval_id;
    let own = Cancel { base: lab.base.clone(), approval_id: bare, reason: None };
    assert_eq!(lab.act(&system(), own).unwrap().status, Status::Cancelled);
    assert_eq!(lab.decide(&human("ann"), &id, true).map(|_| ()), Err(Code::ApprovalAlreadyDecided));
}

#[test]
fn two_persons_for_one_action_and_only_that_one() {
    let mut lab = Lab::new();
    lab.limit(json!({ "dual_control": true }));
    lab.create(&human("ann"), "a").unwrap();
    let give = |lab: &mut Lab, by: &ActorRef, agent_id: &str, reason: Option<&str>, approval_id: Option<&str>| {
        let give = grant::Give {
            base: lab.base.clone(),
            automation_id: "a".into(),
            agent_id: agent_id.into(),
            reason: reason.map(str::to_owned),
            approval_id: approval_id.map(str::to_owned),
        };
        lab.act(by, give).map(|_| ()).map_err(|failure| failure.code)
    };
    let ann = human("ann");
    assert_eq!(give(&mut lab, &agent("bot"), "bot", None, None), Err(Code::GrantForbidden));
    assert_eq!(give(&mut lab, &system(), "bot", None, None), Err(Code::GrantForbidden));
    assert_eq!(give(&mut lab, &ann, "bot", None, None), Err(Code::GovernanceApprovalRequired));
    assert_eq!(give(&mut lab, &ann, "bot", None, Some("apr_no")), Err(Code::MutationApprovalNotFound));
    let context = json!({
        "action": "grant_modify_access", "parameters": { "grantedToAgentID": "bot", "reason": null },
    });
    let target = Resource { kind: "automation_v2".into(), id: "a".into() };
    let asked = lab.file(&ann, RequestType::CapabilityRequest, target, context).unwrap();
    let id = asked.approval_id.as_str();
    assert_eq!(give(&mut lab, &ann, "bot", None, Some(id)), Err(Code::GovernanceApprovalInvalid), "not approved yet");
    lab.decide(&human("ben"), id, true).unwrap();
    for (by, agent_id, reason) in [("ann", "other", None), ("ann", "bot", Some("x")), ("ben", "bot", None)] {
        let refused = give(&mut lab, &human(by), agent_id, reason, Some(id));
        assert_eq!(refused, Err(Code::GovernanceApprovalInvalid), "{by} {agent_id} {reason:?}");
    }
    give(&mut lab, &human("ANN"), "bot", None, Some(id)).unwrap();
    assert_eq!(give(&mut lab, &ann, "bot", None, Some(id)), Err(Code::GovernanceApprovalInvalid), "used up");
    assert_eq!(lab.record("a").modify_grants.len(), 1);
    assert!(lab.has_event("approval.mutation_consumed"));
    // An approval for granting retires nothing.
    let retire = lifecycle::Retire {
        base: lab.base.clone(),
        automation_id: "a".into(),
        reason: None,
        approval_id: Some(id.into()),
    };
    assert_eq!(lab.act(&ann, retire).map(|_| ()).map_err(|f| f.code), Err(Code::GovernanceApprovalInvalid));
}

#[test]
fn one_person_does_not_dismiss_the_second() {
    let mut lab = Lab::new();
    lab.limit(json!({ "dual_control": true }));
    let (ann, ben) = (human("ann"), human("ben"));
    let change = |lab: &mut Lab, changes: serde_json::Value, approval_id: Option<&str>| {
        let changes = changes.as_object().cloned().unwrap_or_default();
        let change = ChangeLimits { base: lab.base.clone(), changes, approval_id: approval_id.map(str::to_owned) };
        lab.act(&human("ann"), change).map(|_| ()).map_err(|failure| failure.code)
    };
    change(&mut lab, json!({ "lineage_depth_limit": 2 }), None).unwrap();
    let alone = Err(Code::GovernanceApprovalRequired);
    assert_eq!(change(&mut lab, json!({ "review_policies": [{ "approve": 2 }] }), None), alone);
    for off in [json!({ "dual_control": false }), json!({ "dual_control": null })] {
        assert_eq!(change(&mut lab, off.clone(), None), alone);
        let context = json!({ "action": "change_governance_limits", "parameters": off });
        let asked = lab.file(&ann, RequestType::ElevatedCapability, limits_change::target(), context).unwrap();
        let id = asked.approval_id.as_str();
        assert_eq!(change(&mut lab, off.clone(), Some(id)), Err(Code::GovernanceApprovalInvalid), "not approved yet");
        lab.decide(&ben, id, true).unwrap();
        let other = json!({ "dual_control": false, "daily_creation_limit": 1 });
        assert!(change(&mut lab, other, Some(id)).is_err(), "another change");
        change(&mut lab, off.clone(), Some(id)).unwrap();
        lab.limit(json!({ "dual_control": true }));
        assert!(change(&mut lab, off, Some(id)).is_err(), "used up");
    }
}

#[test]
fn a_review_that_ran_out_is_asked_for_again_and_stays_closed() {
    let mut lab = Lab::new();
    lab.limit(json!({ "per_agent_creation_review_threshold": 1 }));
    lab.create(&agent("bot"), "a").unwrap();
    let first = lab.agent_row("bot").creation.review_request_id.unwrap();
    lab.now_ms += 72 * 3_600_000;
    let (base, approval_id) = (lab.base.clone(), first.clone());
    lab.act(&system(), Overdue { base, approval_id }).unwrap();
    let second = lab.agent_row("bot").creation.review_request_id.unwrap();
    assert_ne!(first, second);
    assert_eq!(lab.create(&agent("bot"), "b"), Err(Code::AgentReviewRequired));
    assert_eq!(lab.decide(&human("ann"), &first, true).map(|_| ()), Err(Code::ApprovalExpired));
    lab.decide(&human("ann"), &second, true).unwrap();
    lab.create(&agent("bot"), "b").unwrap();
}

#[test]
fn who_is_reviewed_does_not_put_the_review_away() {
    let mut lab = Lab::new();
    lab.limit(json!({ "per_agent_creation_review_threshold": 1 }));
    lab.create(&agent("bot"), "a").unwrap();
    let open = |lab: &Lab| lab.agent_row("bot").creation.review_request_id.unwrap();
    let first = open(&lab);
    let file = |lab: &mut Lab, by: &ActorRef| {
        lab.file(by, RequestType::LifecycleReview, Resource::agent("bot"), no_context()).map(|one| one.approval_id)
    };
    for by in [agent("bot"), agent("other"), system()] {
        assert_eq!(file(&mut lab, &by), Err(Code::ApprovalTriggerStale), "{by:?}");
        assert_eq!(open(&lab), first);
    }
    // A person may ask in their own words, and taking that back leaves a question that can be answered.
    let own = file(&mut lab, &human("ann")).unwrap();
    assert_eq!(open(&lab), own);
    let base = lab.base.clone();
    lab.act(&human("ann"), Cancel { base, approval_id: own.clone(), reason: None }).unwrap();
    let again = lab.get::<Approval>(&open(&lab)).unwrap();
    assert_ne!(again.approval_id, own);
    assert_eq!((again.status, again.requested_by.kind), (Status::Pending, ActorKind::System));
    // When it was denied, nothing waits, and the agent may ask.
    lab.decide(&human("ann"), &again.approval_id, false).unwrap();
    let asked = file(&mut lab, &agent("bot")).unwrap();
    lab.decide(&human("ann"), &asked, true).unwrap();
    lab.create(&agent("bot"), "b").unwrap();
}

#[test]
fn a_denial_may_pause_the_agent() {
    let decide = |lab: &mut Lab, approval_id: String, approve: bool| {
        let base = lab.base.clone();
        let decision = approve::Decide { base, approval_id, approve, notes: None, pause_agent: true };
        lab.act(&human("ann"), decision).map(|_| ()).map_err(|failure| failure.code)
    };
    let mut lab = Lab::new();
    lab.limit(json!({ "per_agent_creation_review_threshold": 1 }));
    lab.create(&agent("bot"), "a").unwrap();
    let review = lab.agent_row("bot").creation.review_request_id.unwrap();
    assert_eq!(decide(&mut lab, review.clone(), true), Err(Code::ValidationFailed));
    lab.limit(json!({ "per_agent_pause_enabled": false }));
    assert_eq!(decide(&mut lab, review.clone(), false), Err(Code::AgentPauseDisabled), "not in silence");
    assert!(lab.get::<Approval>(&review).unwrap().is_pending());
    lab.limit(json!({ "per_agent_pause_enabled": null }));
    decide(&mut lab, review.clone(), false).unwrap();
    assert_eq!(lab.get::<Approval>(&review).unwrap().status, Status::Denied);
    assert!(lab.agent_row("bot").is_paused());
    let other = lab.file(&agent("bot"), RequestType::ExternalPost, Resource::automation("a"), no_context()).unwrap();
    assert_eq!(decide(&mut lab, other.approval_id, false), Err(Code::ValidationFailed));
}

#[test]
fn handing_on_makes_no_more_votes() {
    let mut lab = Lab::new();
    let file = |lab: &mut Lab, reviewers: serde_json::Value| {
        lab.limit(json!({ "review_policies": [{ "approve": 2, "reviewers": reviewers }] }));
        ask(lab, &agent("bot")).approval_id
    };
    let hand = |lab: &mut Lab, by: &str, to: &str, id: &str| {
        let delegate = Delegate { approval_id: id.into(), to: to.into(), reason: None };
        lab.act(&human(by), delegate).map(|_| ()).map_err(|failure| failure.code)
    };
    let vote = |lab: &mut Lab, by: &str, id: &str| lab.decide(&human(by), id, true).map(|approval| approval.status);
    for reviewers in [json!(["ann", "ben"]), json!([])] {
        let id = file(&mut lab, reviewers.clone());
        assert_eq!(vote(&mut lab, "ann", &id), Ok(Status::Pending));
        hand(&mut lab, "ann", "eve", &id).unwrap();
        assert!(lab.get::<Approval>(&id).unwrap().votes.is_empty(), "{reviewers}");
        assert_eq!(vote(&mut lab, "eve", &id), Ok(Status::Pending), "one seat, one vote: {reviewers}");
        hand(&mut lab, "eve", "fay", &id).unwrap();
        assert_eq!(hand(&mut lab, "fay", "Ann", &id), Err(Code::ApprovalReviewerForbidden));
        for gone in ["ann", "eve"] {
            assert_eq!(vote(&mut lab, gone, &id), Err(Code::ApprovalReviewerForbidden), "{gone} {reviewers}");
            assert_eq!(hand(&mut lab, gone, "gus", &id), Err(Code::ApprovalReviewerForbidden), "{gone} {reviewers}");
        }
        assert_eq!(vote(&mut lab, "fay", &id), Ok(Status::Pending));
        // Where everybody may decide, that one has handed on keeps nobody else out.
        assert_eq!(vote(&mut lab, "ben", &id), Ok(Status::Approved), "{reviewers}");
    }
}
