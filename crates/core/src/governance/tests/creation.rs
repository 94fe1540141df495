//! Creation: each rule with its code, in its order, and what a pass leaves behind.

use serde_json::json;

use super::lab::{Call, Create, Lab, agent, capability, human, no_context, patched, snapshot, system};
use crate::{
    actor::ActorKind,
    decide::Desk,
    error::Code,
    governance::{
        agents,
        approval::{RequestType, Resource},
        create::NewAutomation,
        deletion,
        patch::PatchAutomation,
        policy::{Effect, PolicyDecision},
        record::{Capabilities, ReviewKind},
        run::{self, RunStart},
        usage::TenantUsage,
    },
};

const CREATES: Capabilities = Capabilities { creates_agents: true, modifies_grants: false };
const BOTH: Capabilities = Capabilities { creates_agents: true, modifies_grants: true };

#[test]
fn who_creates_is_recorded() {
    let mut lab = Lab::new();
    let by_agent = lab.create(&agent("bot"), "a").unwrap();
    assert_eq!((by_agent.creator_id.as_str(), by_agent.provenance.depth), ("bot", 1));
    assert_eq!(by_agent.expires_at_ms, Some(lab.now_ms + 90 * 86_400_000));
    let by_person = lab.create(&human("ann"), "b").unwrap();
    assert_eq!((by_person.provenance.depth, by_person.expires_at_ms), (0, None));
    let by_token = NewAutomation { automation_id: "c".into(), creator_id: Some("sdk".into()), ..Default::default() };
    let by_token = lab.create_as(&system(), by_token).unwrap();
    assert_eq!((by_token.creator_id.as_str(), by_token.provenance.creator.kind), ("sdk", ActorKind::System));
    assert_eq!(lab.create(&human("ann"), "a"), Err(Code::AutomationAlreadyExists));
    assert_eq!(lab.get::<TenantUsage>(TenantUsage::ID).unwrap().agent_automations, 1);
    let decisions = lab.all::<PolicyDecision>();
    assert_eq!(decisions.iter().filter(|one| one.decision == Effect::Allow).count(), 3);
    let denied = decisions.iter().find(|one| one.decision == Effect::Deny).unwrap();
    assert_eq!((denied.rule_id.as_str(), denied.inputs_digest.len()), ("creation.new_id", 64));
    assert!(lab.has_event("denied") && lab.has_event("created"));
}

#[test]
fn the_rules_in_their_order() {
    let mut lab = Lab::new();
    let bot = agent("bot");
    lab.limit(json!({
        "creation_enabled": false, "per_agent_daily_creation_limit": 0, "active_agent_automation_cap": 0,
        "lineage_depth_limit": 0, "weekly_spend_cap_usd": 0.0,
    }));
    lab.act(&human("ann"), agents::Pause { base: lab.base.clone(), agent_id: "bot".into(), reason: None }).unwrap();
    // Each rule hides the ones below it; taking one away shows the next.
    let create = |lab: &mut Lab| lab.create_with(&bot, "x", CREATES).unwrap_err();
    assert_eq!(lab.create(&human("ann"), "x").unwrap_err(), Code::CreationDisabled);
    assert_eq!(create(&mut lab), Code::CreationDisabled);
    lab.limit(json!({ "creation_enabled": null }));
    let nameless = crate::actor::ActorRef { actor_id: None, ..agent("") };
    assert_eq!(lab.create(&nameless, "x").unwrap_err(), Code::AgentIdRequired);
    assert_eq!(create(&mut lab), Code::AgentCreationPaused);
    lab.act(&human("ann"), agents::Resume { agent_id: "bot".into() }).unwrap();
    lab.limit(json!({ "require_sponsor": true }));
    assert_eq!(create(&mut lab), Code::AgentSponsorRequired);
    lab.limit(json!({ "require_sponsor": null }));
    assert_eq!(create(&mut lab), Code::AgentSpendCapExceeded);
    lab.limit(json!({ "weekly_spend_cap_usd": null }));
    assert_eq!(create(&mut lab), Code::CapabilityEscalationForbidden);
    assert_eq!(lab.create(&bot, "x").unwrap_err(), Code::LineageDepthExceeded);
    lab.limit(json!({ "lineage_depth_limit": null }));
    assert_eq!(lab.create(&bot, "x").unwrap_err(), Code::AgentDailyQuotaExceeded);
    lab.limit(json!({ "per_agent_daily_creation_limit": null }));
    assert_eq!(lab.create(&bot, "x").unwrap_err(), Code::AgentCapExceeded);
    lab.limit(json!({ "active_agent_automation_cap": null }));
    lab.create(&bot, "x").unwrap();
}

#[test]
fn a_refusal_for_too_many_says_when_to_come_back() {
    let wait = |lab: &mut Lab| {
        let (base, new) = (lab.base.clone(), NewAutomation { automation_id: "x".into(), ..NewAutomation::default() });
        let failure = lab.act(&agent("bot"), Create(base, new)).unwrap_err();
        (failure.code, failure.retry_after_s)
    };
    let mut lab = Lab::new();
    lab.now_ms += 500;
    // The first day is a Friday.
    for (window, expected) in [("daily", 86_400), ("weekly", 3 * 86_400), ("monthly", 28 * 86_400), ("lifetime", 60)] {
        lab.limit(json!({ format!("{window}_spend_cap_usd"): 0.0 }));
        assert_eq!(wait(&mut lab), (Code::AgentSpendCapExceeded, Some(expected)), "{window}");
        lab.limit(json!({ format!("{window}_spend_cap_usd"): null }));
    }
    lab.limit(json!({ "active_agent_automation_cap": 0 }));
    assert_eq!(wait(&mut lab), (Code::AgentCapExceeded, Some(60)));
    lab.limit(json!({ "active_agent_automation_cap": null, "per_agent_creation_review_threshold": 1 }));
    lab.create(&agent("bot"), "a").unwrap();
    assert_eq!(wait(&mut lab), (Code::AgentReviewRequired, Some(60)));
}

#[test]
fn the_root_of_a_line_is_the_person_if_one_is_known() {
    let mut lab = Lab::new();
    let new = |id: &str, person: Option<&str>, parent: Option<&str>| NewAutomation {
        automation_id: id.into(),
        person: person.map(str::to_owned),
        parent_automation_id: parent.map(str::to_owned),
        ..NewAutomation::default()
    };
    let root = |lab: &mut Lab, new| {
        let root = lab.create_as(&agent("bot"), new).unwrap().provenance.root_actor;
        (root.kind, root.actor_id)
    };
    assert_eq!(root(&mut lab, new("a", None, None)), (ActorKind::System, None));
    assert_eq!(root(&mut lab, new("b", Some("ann"), None)), (ActorKind::Human, Some("ann".into())));
    let parent = new("c", Some("ben"), Some("b"));
    assert_eq!(root(&mut lab, parent), (ActorKind::Human, Some("ann".into())), "the line's own root stays");
}

#[test]
fn who_stands_above_a_creator_pays_from_the_start() {
    let mut lab = Lab::new();
    let new = NewAutomation { automation_id: "a".into(), ancestors: vec!["top".into()], ..NewAutomation::default() };
    lab.create_as(&agent("kid"), new).unwrap();
    let entry = |id: &str| agents::Register { agent_id: id.into(), display_name: None, owner: None, sponsor: None };
    lab.act(&human("ann"), entry("idle")).unwrap();
    let pays = |id: &str| lab.agent_row(id).is_payer();
    assert!(pays("kid") && pays("top") && !pays("idle"));
}

#[test]
fn depth_comes_from_records_and_claims_can_only_deepen_it() {
    let mut lab = Lab::new();
    let with = |id: &str, ancestors: &[&str], parent: Option<&str>| NewAutomation {
        automation_id: id.into(),
        ancestors: ancestors.iter().map(|id| (*id).to_owned()).collect(),
        parent_automation_id: parent.map(str::to_owned),
        ..NewAutomation::default()
    };
    let depth = |lab: &mut Lab, by: &str, new| lab.create_as(&agent(by), new).map(|made| made.provenance.depth);
    assert_eq!(depth(&mut lab, "deep", with("a", &["one", "two", "three"], None)), Err(Code::LineageDepthExceeded));
    assert_eq!(depth(&mut lab, "bot", with("b", &["one", "two"], None)), Ok(3));
    // Leaving the header out does not make the line shorter.
    assert_eq!(depth(&mut lab, "bot", with("c", &[], None)), Ok(3));
    assert_eq!(depth(&mut lab, "top", with("p", &[], None)), Ok(1));
    assert_eq!(depth(&mut lab, "kid", with("q", &[], Some("p"))), Ok(2));
    assert_eq!(depth(&mut lab, "kin", with("r", &[], Some("q"))), Ok(3));
    assert_eq!(depth(&mut lab, "kit", with("s", &[], Some("r"))), Err(Code::LineageDepthExceeded));
    assert_eq!(depth(&mut lab, "kit", with("s", &[], Some("none"))), Err(Code::AutomationCreateFailed));
    assert_eq!(lab.record("r").provenance.lineage(), ["kin", "top", "kid"]);
    // One deeper creation, by an approved request.
    let target = Resource::agent("kit");
    let asked = lab.file(&agent("kit"), RequestType::DepthOverride, target, json!({ "max_depth": 4 })).unwrap();
    lab.decide(&human("ann"), &asked.approval_id, true).unwrap();
    assert_eq!(depth(&mut lab, "kit", with("s", &[], Some("r"))), Ok(4));
    assert_eq!(depth(&mut lab, "kit", with("t", &[], Some("r"))), Err(Code::LineageDepthExceeded));
}

#[test]
fn a_day_is_a_day_and_deleting_gives_nothing_back() {
    let mut lab = Lab::new();
    lab.limit(json!({ "per_agent_daily_creation_limit": 2, "per_agent_creation_review_threshold": 0 }));
    let bot = agent("bot");
    lab.create(&bot, "a").unwrap();
    lab.now_ms += 1000;
    lab.create(&bot, "b").unwrap();
    let base = lab.base.clone();
    lab.act(&bot, Call(move |desk: &mut crate::decide::Desk<'_>| deletion::delete(desk, &base, "a", json!({}))))
        .unwrap();
    assert_eq!(lab.create(&bot, "c"), Err(Code::AgentDailyQuotaExceeded));
    assert_eq!(lab.create(&agent("other"), "d").map(|_| ()), Ok(()));
    lab.now_ms += 86_400_000 - 1001;
    assert_eq!(lab.create(&bot, "c"), Err(Code::AgentDailyQuotaExceeded));
    lab.now_ms += 1;
    lab.create(&bot, "c").unwrap();
    assert_eq!(lab.create(&bot, "e"), Err(Code::AgentDailyQuotaExceeded));
    let asked = lab
        .file(&bot, RequestType::QuotaOverride, Resource::agent("bot"), json!({ "quota": "daily_creation" }))
        .unwrap();
    lab.decide(&human("ann"), &asked.approval_id, true).unwrap();
    lab.create(&bot, "e").unwrap();
    assert_eq!(lab.create(&bot, "f"), Err(Code::AgentDailyQuotaExceeded), "an override is used once");
}

#[test]
fn the_cap_counts_what_exists_in_the_tenant() {
    let mut lab = Lab::new();
    lab.limit(json!({ "active_agent_automation_cap": 2 }));
    lab.create(&agent("a"), "1").unwrap();
    lab.create(&agent("b"), "2").unwrap();
    lab.create(&human("ann"), "h").unwrap();
    assert_eq!(lab.create(&agent("c"), "3"), Err(Code::AgentCapExceeded));
    let base = lab.base.clone();
    lab.act(
        &human("ann"),
        Call(move |desk: &mut crate::decide::Desk<'_>| deletion::delete(desk, &base, "1", snapshot("1"))),
    )
    .unwrap();
    lab.create(&agent("c"), "3").unwrap();
    let restore = deletion::Restore { base: lab.base.clone(), automation_id: "1".into(), approval_id: None };
    lab.act(&human("ann"), restore).unwrap();
    assert_eq!(lab.create(&agent("c"), "4"), Err(Code::AgentCapExceeded), "a restored one counts again");
}

#[test]
fn capabilities_need_their_approval_until_it_ends() {
    let mut lab = Lab::new();
    let bot = agent("bot");
    assert_eq!(lab.create_with(&bot, "a", CREATES), Err(Code::CapabilityEscalationForbidden));
    let ask = |lab: &mut Lab, kind, name| {
        let asked = lab.file(&agent("bot"), kind, Resource::agent("bot"), capability(name)).unwrap();
        lab.decide(&human("ann"), &asked.approval_id, true).unwrap()
    };
    ask(&mut lab, RequestType::CapabilityRequest, "creates_agents");
    lab.create_with(&bot, "a", CREATES).unwrap();
    assert_eq!(lab.create_with(&bot, "b", BOTH), Err(Code::CapabilityEscalationForbidden));
    ask(&mut lab, RequestType::ElevatedCapability, "modifies_grants");
    lab.create_with(&bot, "b", BOTH).unwrap();
    assert_eq!(lab.create_with(&agent("other"), "c", CREATES), Err(Code::CapabilityEscalationForbidden));
    lab.now_ms += 72 * 3_600_000;
    assert_eq!(lab.create_with(&bot, "c", CREATES), Err(Code::CapabilityEscalationForbidden));
    // A person needs none; the system one that is about the automation.
    lab.create_with(&human("ann"), "h", BOTH).unwrap();
    assert_eq!(lab.create_with(&system(), "s", CREATES), Err(Code::CapabilityEscalationForbidden));
    let asked = lab
        .file(&system(), RequestType::CapabilityRequest, Resource::automation("s"), capability("creates_agents"))
        .unwrap();
    lab.decide(&human("ann"), &asked.approval_id, true).unwrap();
    lab.create_with(&system(), "s", CREATES).unwrap();
}

#[test]
fn a_patch_escalates_only_with_an_approval_and_de_escalates_freely() {
    let mut lab = Lab::new();
    let bot = agent("bot");
    lab.create(&bot, "a").unwrap();
    let patch = |lab: &mut Lab, declared| {
        let base = lab.base.clone();
        let patch =
            PatchAutomation { automation_id: "a".into(), declared: Some(declared), ..PatchAutomation::default() };
        let call = Call(move |desk: &mut crate::decide::Desk<'_>| patched(desk, &base, &patch));
        lab.act(&agent("bot"), call).map_err(|failure| failure.code)
    };
    assert_eq!(patch(&mut lab, CREATES), Err(Code::CapabilityEscalationForbidden));
    let context = json!({ "capability_key": "creates_agents", "automation_id": "a" });
    let asked = lab.file(&bot, RequestType::CapabilityRequest, Resource::agent("bot"), context).unwrap();
    lab.decide(&human("ann"), &asked.approval_id, true).unwrap();
    patch(&mut lab, CREATES).unwrap();
    assert_eq!(lab.record("a").declared_capabilities, CREATES);
    patch(&mut lab, Capabilities::default()).unwrap();
    assert_eq!(lab.create_with(&bot, "b", CREATES), Err(Code::CapabilityEscalationForbidden), "bound to the first");
}

#[test]
fn after_as_many_creations_a_person_looks() {
    let mut lab = Lab::new();
    lab.limit(json!({ "per_agent_creation_review_threshold": 2 }));
    let bot = agent("bot");
    lab.create(&bot, "a").unwrap();
    lab.create(&bot, "b").unwrap();
    assert_eq!(lab.create(&bot, "c"), Err(Code::AgentReviewRequired));
    let review = lab.agent_row("bot").creation;
    assert_eq!((review.kind(), review.created_since_review), (Some(ReviewKind::CreationQuota), 2));
    let id = review.review_request_id.unwrap();
    assert_eq!(lab.decide(&bot, &id, true), Err(Code::ApprovalRequiresHuman));
    assert_eq!(lab.decide(&system(), &id, true), Err(Code::ApprovalRequiresHuman));
    lab.decide(&human("ann"), &id, true).unwrap();
    lab.create(&bot, "c").unwrap();
    // The same approval again answers the same and resets nothing.
    lab.decide(&human("ben"), &id, true).unwrap();
    assert_eq!(lab.agent_row("bot").creation.created_since_review, 1);
    assert!(lab.has_event("review.agent_acknowledged"));
    // A denial leaves it closed; a person may ask again.
    lab.create(&bot, "d").unwrap();
    let id = lab.agent_row("bot").creation.review_request_id.unwrap();
    lab.decide(&human("ann"), &id, false).unwrap();
    assert_eq!(lab.create(&bot, "e"), Err(Code::AgentReviewRequired));
    let again = lab.file(&human("ann"), RequestType::LifecycleReview, Resource::agent("bot"), no_context()).unwrap();
    assert_eq!(lab.decide(&human("ann"), &again.approval_id, true), Err(Code::ApprovalSelfReview));
    lab.decide(&human("ben"), &again.approval_id, true).unwrap();
    lab.create(&bot, "e").unwrap();
}

#[test]
fn a_claim_takes_nobody_out_of_the_recorded_line() {
    let mut lab = Lab::new();
    lab.limit(json!({ "lineage_depth_limit": 9, "per_agent_creation_review_threshold": 0 }));
    let with = |id: &str, ancestors: &[&str], parent: Option<&str>| NewAutomation {
        automation_id: id.into(),
        ancestors: ancestors.iter().map(|id| (*id).to_owned()).collect(),
        parent_automation_id: parent.map(str::to_owned),
        ..NewAutomation::default()
    };
    let payers = |lab: &mut Lab, by: &str, new: NewAutomation| {
        let made = lab.create_as(&agent(by), new).unwrap();
        (made.provenance.depth, made.provenance.lineage())
    };
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(payers(&mut lab, "top", with("p", &[], None)), (1, ids(&["top"])));
    assert_eq!(payers(&mut lab, "kid", with("q", &[], Some("p"))), (2, ids(&["kid", "top"])));
    // As many as are recorded: the record stands. More: they come behind.
    assert_eq!(payers(&mut lab, "kid", with("r", &["x"], None)), (2, ids(&["kid", "top"])));
    assert_eq!(payers(&mut lab, "kid", with("s", &["x", "y"], None)), (4, ids(&["kid", "top", "x", "y"])));
    // Said in full, it is as it is said.
    assert_eq!(
        payers(&mut lab, "kin", with("t", &["old", "top", "kid"], Some("q"))),
        (4, ids(&["kin", "old", "top", "kid"]))
    );
}

#[test]
fn who_works_in_an_automation_stands_below_who_made_it() {
    let mut lab = Lab::new();
    let new = NewAutomation {
        automation_id: "deep".into(),
        ancestors: vec!["one".into(), "two".into()],
        ..NewAutomation::default()
    };
    assert_eq!(lab.create_as(&agent("three"), new).unwrap().provenance.depth, 3);
    lab.create(&human("ann"), "flat").unwrap();
    let work = |lab: &mut Lab, run: &str, automation: &str| {
        let (base, agents) = (lab.base.clone(), vec!["worker".to_owned(), "three".to_owned()]);
        let start = RunStart { run_id: run.into(), automation_id: automation.into(), agents, ..RunStart::default() };
        lab.act(&human("ann"), Call(move |desk: &mut Desk<'_>| run::start(desk, &base, &start))).unwrap();
    };
    work(&mut lab, "r1", "flat");
    assert_eq!(lab.create(&agent("worker"), "fine").unwrap().provenance.depth, 1, "a person made it");
    work(&mut lab, "r2", "deep");
    assert_eq!(lab.create(&agent("worker"), "deeper"), Err(Code::LineageDepthExceeded));
    assert_eq!(lab.agent_row("worker").lineage, ["one", "two", "three"]);
    assert_eq!(lab.create(&agent("three"), "beside").unwrap().provenance.depth, 3, "nobody stands below themselves");
}
