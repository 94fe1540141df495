//! SIGKILL inside each transition of governance: after the restart it has happened wholly or not at all, what was answered
//! has happened, and what was closed is closed.
//!
//! Each round makes every transition ready, sends them one after another, each round beginning with another one, and kills
//! the server a moment after the first was sent. The moments come from a seed: `IT_GOVERNED_SEED` repeats them.

use std::{collections::BTreeSet, io, time::Duration};

use serde_json::{Value, json};
use tandem_testkit::{Client, Reply, Seed, Server, audit, now_ms, until};

use crate::{
    governance::{agent, decide, filed, human},
    support::{SOON, all, launch, text},
};

/// Who acts in one round, and on what.
struct Cast {
    ann: Client,
    ben: Client,
    bot: Client,
    /// The agent's name and, with the name of the transition before it, the automation's.
    round: usize,
}

impl Cast {
    fn of(server: &Server, round: usize) -> Self {
        Self {
            ann: human(server, "ann"),
            ben: human(server, "ben"),
            bot: agent(server, &format!("bot-{round}")),
            round,
        }
    }

    fn agent(&self) -> String {
        format!("bot-{}", self.round)
    }

    fn id(&self, name: &str) -> String {
        format!("{name}-{}", self.round)
    }

    fn state(&self, name: &str) -> Value {
        let reply = self.ann.get(&format!("/automations/v2/{}/governance", self.id(name)));
        if reply.status == 200 { reply.ok()["governance"].clone() } else { Value::Null }
    }

    fn automation(&self, name: &str) -> Value {
        let reply = self.ann.get(&format!("/automations/v2/{}", self.id(name)));
        if reply.status == 200 { reply.ok()["automation"].clone() } else { Value::Null }
    }

    fn runs(&self, name: &str) -> Vec<String> {
        let path = format!("/automations/v2/{}/runs", self.id(name));
        all(&self.ann, &path, "runs").iter().map(|run| text(&run["status"])).collect()
    }

    fn spend(&self, agent: &str) -> Value {
        let reply = self.ann.get(&format!("/governance/agents/{agent}/spend"));
        if reply.status == 200 { reply.ok()["spend"].clone() } else { Value::Null }
    }

    fn approval(&self, id: &str) -> Value {
        self.ann.get(&format!("/governance/approvals/{id}")).ok()["approval"].clone()
    }

    fn audited(&self, event: &str, key: &str, id: &str) -> bool {
        let path = format!("/audit/protected?event_type=automation.governance.{event}&limit=1000");
        let rows = self.ann.get(&path).ok();
        rows["events"].as_array().unwrap().iter().any(|row| row["payload"][key] == json!(id))
    }

    fn told(&self, event: &str, name: &str) -> bool {
        self.audited(event, "automationID", &self.id(name))
    }

    fn runs_are_refused(&self, name: &str) -> bool {
        let path = format!("/automations/v2/{}/run_now", self.id(name));
        self.ann.post(&path, json!({ "dry_run": true })).status != 200
    }

    fn make(&self, by: &Client, name: &str) {
        let spec = json!({
            "automation_id": self.id(name), "name": name, "execution": { "max_total_cost_usd": 1.0 },
            "agents": [{ "agent_id": "worker", "mcp_policy": { "allowed_servers": ["gh", "db"] } }],
        });
        by.post("/automations/v2", spec).ok();
    }

    fn start(&self, name: &str) -> String {
        let path = format!("/automations/v2/{}/run_now", self.id(name));
        text(&self.ann.post(&path, json!({})).ok()["run"]["run_id"])
    }

    fn grant(&self, name: &str) -> String {
        let path = format!("/automations/v2/{}/grants", self.id(name));
        text(&self.ann.post(&path, json!({ "granted_to_agent_id": "helper" })).ok()["grant"]["grant_id"])
    }

    /// An automation whose dependency was revoked, with the review that is open for it.
    fn revoked(&self, name: &str) -> String {
        self.make(&self.ann, name);
        let grant = self.grant(name);
        self.ann.delete(&format!("/automations/v2/{}/grants/{grant}", self.id(name))).ok();
        text(&self.state(name)["review_request_id"])
    }

    fn post(&self, path: &str, body: Value) -> io::Result<Reply> {
        self.ann.json("POST", path, &[], Some(body))
    }

    fn on(&self, name: &str, verb: &str, body: Value) -> io::Result<Reply> {
        self.post(&format!("/automations/v2/{}/{verb}", self.id(name)), body)
    }
}

/// One transition: what has to be there before (answering with an id that the rest needs), the call, and what is seen of
/// it in all its parts, each of which must be there or none. `closed` must hold before and after.
struct Change {
    name: &'static str,
    ready: fn(&Cast, &str) -> String,
    act: fn(&Cast, &str, &str) -> io::Result<Reply>,
    parts: fn(&Cast, &str, &str) -> Vec<bool>,
    closed: fn(&Cast, &str) -> bool,
}

fn report(cast: &Cast, run: &str, body: Value) -> io::Result<Reply> {
    cast.post(&format!("/automations/v2/runs/{run}/report"), body)
}

/// An agent of its own for each transition that is about money.
fn payer(cast: &Cast, name: &str) -> String {
    let payer = format!("{name}-payer-{}", cast.round);
    cast.make(&cast.ann.again().with("x-tandem-agent-id", &payer), name);
    payer
}

const CHANGES: &[Change] = &[
    Change {
        name: "create",
        ready: |_, _| String::new(),
        act: |cast, name, _| {
            let body = json!({ "automation_id": cast.id(name), "name": name });
            cast.bot.json("POST", "/automations/v2", &[], Some(body))
        },
        parts: |cast, name, _| {
            let reviews = cast.ann.get("/governance/reviews").ok();
            let agents = reviews["agent_creation_reviews"].as_array().unwrap();
            let own = agents.iter().find(|one| one["agent_id"] == json!(cast.agent()));
            vec![
                cast.automation(name).is_object(),
                cast.state(name)["expires_at_ms"].is_u64(),
                own.is_some_and(|one| one["created_since_review"] == json!(1)),
                cast.told("created", name),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "narrow",
        ready: |cast, name| {
            cast.make(&cast.ann, name);
            (0..3).for_each(|_| drop(cast.start(name)));
            String::new()
        },
        act: |cast, name, _| {
            let agents = json!([{ "agent_id": "worker", "mcp_policy": { "allowed_servers": ["gh"] } }]);
            let path = format!("/automations/v2/{}", cast.id(name));
            cast.ann.json("PATCH", &path, &[], Some(json!({ "agents": agents })))
        },
        parts: |cast, name, _| {
            let state = cast.state(name);
            vec![
                cast.automation(name)["agents"][0]["mcp_policy"]["allowed_servers"] == json!(["gh"]),
                state["creation_paused"] == json!(true),
                state["review_kind"] == json!("dependency_revoked"),
                cast.runs(name) == ["paused"; 3],
                cast.runs_are_refused(name),
                cast.told("dependency_revoked", name),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "grant",
        ready: |cast, name| {
            cast.make(&cast.ann, name);
            String::new()
        },
        act: |cast, name, _| cast.on(name, "grants", json!({ "granted_to_agent_id": "helper" })),
        parts: |cast, name, _| vec![cast.state(name)["grant_count"] == json!(1), cast.told("grant.created", name)],
        closed: |_, _| true,
    },
    Change {
        name: "revoke",
        ready: |cast, name| {
            cast.make(&cast.ann, name);
            (0..3).for_each(|_| drop(cast.start(name)));
            cast.grant(name)
        },
        act: |cast, name, grant| {
            let path = format!("/automations/v2/{}/grants/{grant}", cast.id(name));
            cast.ann.json("DELETE", &path, &[], Some(json!({})))
        },
        parts: |cast, name, _| {
            let state = cast.state(name);
            vec![
                state["creation_paused"] == json!(true),
                state["review_required"] == json!(true),
                state["modify_grants"][0]["revoked_at_ms"].is_u64(),
                cast.runs(name) == ["paused"; 3],
                cast.runs_are_refused(name),
                cast.told("grant.revoked", name),
                cast.told("dependency_revoked", name),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "approve",
        ready: |cast, name| cast.revoked(name),
        act: |cast, _, review| {
            cast.ben.json("POST", &format!("/governance/approvals/{review}/approve"), &[], Some(json!({})))
        },
        parts: |cast, name, review| {
            let (state, approval) = (cast.state(name), cast.approval(review));
            vec![
                approval["status"] == json!("approved"),
                approval["uses"] == json!(1),
                state["review_required"] == json!(false),
                state["health_findings"] == json!([]),
                cast.told("review.automation_acknowledged", name),
            ]
        },
        // Approving is not resuming.
        closed: |cast, name| cast.runs_are_refused(name),
    },
    Change {
        name: "deny",
        ready: |cast, name| {
            let who = format!("{name}-asks-{}", cast.round);
            let bot = cast.ann.again().with("x-tandem-agent-id", &who);
            filed(&bot, "capability_request", ("agent", &who), json!({ "capability_key": "creates_agents" }))
        },
        act: |cast, _, id| cast.post(&format!("/governance/approvals/{id}/deny"), json!({ "pause_agent": true })),
        parts: |cast, name, id| {
            let agent = cast.ann.get(&format!("/governance/agents/{name}-asks-{}", cast.round));
            vec![
                cast.approval(id)["status"] == json!("denied"),
                agent.status == 200 && agent.ok()["agent"]["status"] == json!("paused"),
                cast.audited("approval.denied", "approvalID", id),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "resume",
        ready: |cast, name| {
            let review = cast.revoked(name);
            decide(&cast.ben, &review, "approve").ok();
            String::new()
        },
        act: |cast, name, _| cast.on(name, "resume", json!({})),
        parts: |cast, name, _| {
            let state = cast.state(name);
            vec![
                state["creation_paused"] == json!(false),
                state["paused_for_lifecycle"] == json!(false),
                cast.automation(name)["status"] == json!("active"),
                !cast.runs_are_refused(name),
                cast.told("resumed", name),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "retire",
        ready: |cast, name| {
            cast.make(&cast.ann, name);
            (0..3).for_each(|_| drop(cast.start(name)));
            String::new()
        },
        act: |cast, name, _| cast.on(name, "retire", json!({})),
        parts: |cast, name, _| {
            let state = cast.state(name);
            vec![
                state["retired_at_ms"].is_u64(),
                state["paused_for_lifecycle"] == json!(true),
                cast.automation(name)["status"] == json!("paused"),
                cast.runs(name) == ["paused"; 3],
                cast.runs_are_refused(name),
                cast.told("retired", name),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "extend",
        ready: |cast, name| {
            cast.make(&cast.ann, name);
            cast.on(name, "retire", json!({})).unwrap().ok();
            String::new()
        },
        act: |cast, name, _| cast.on(name, "extend", json!({})),
        parts: |cast, name, _| {
            let state = cast.state(name);
            vec![
                state["retired_at_ms"].is_null(),
                state["expires_at_ms"].is_u64(),
                state["paused_for_lifecycle"] == json!(false),
                cast.automation(name)["status"] == json!("draft"),
                !cast.runs_are_refused(name),
                cast.told("retirement.extended", name),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "delete",
        ready: |cast, name| {
            cast.make(&cast.ann, name);
            (0..3).for_each(|_| drop(cast.start(name)));
            String::new()
        },
        act: |cast, name, _| {
            cast.ann.json("DELETE", &format!("/automations/v2/{}", cast.id(name)), &[], Some(json!({})))
        },
        parts: |cast, name, _| {
            vec![
                cast.automation(name).is_null(),
                cast.state(name).is_null(),
                cast.runs(name) == ["cancelled"; 3],
                cast.told("deleted", name),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "restore",
        ready: |cast, name| {
            cast.make(&cast.ann, name);
            cast.ann.delete(&format!("/automations/v2/{}", cast.id(name))).ok();
            String::new()
        },
        act: |cast, name, _| cast.on(name, "restore", json!({})),
        parts: |cast, name, _| {
            vec![
                cast.automation(name)["status"] == json!("paused"),
                cast.state(name)["deleted_at_ms"].is_null() && cast.state(name).is_object(),
                cast.told("restored", name),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "start",
        ready: payer,
        act: |cast, name, _| cast.on(name, "run_now", json!({})),
        parts: |cast, name, payer| {
            vec![
                cast.runs(name) == ["queued"],
                cast.spend(payer)["reserved_usd"] == json!(1.0),
                cast.told("run_requested", name),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "settle",
        ready: |cast, name| {
            payer(cast, name);
            cast.start(name)
        },
        act: |cast, _, run| {
            let usage = json!({ "total_tokens": 10, "cost_usd": 0.5 });
            let body = json!({ "report_id": "1", "status": "completed", "node_outputs": { "a": 1 }, "usage": usage });
            report(cast, run, body)
        },
        parts: |cast, name, _| {
            let spend = cast.spend(&format!("{name}-payer-{}", cast.round));
            vec![
                cast.runs(name) == ["completed"],
                spend["weekly"]["cost_usd"] == json!(0.5),
                spend["reserved_usd"] == json!(0.0),
                cast.state(name)["runs_since_review"] == json!(1),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "cap",
        ready: |cast, name| {
            payer(cast, name);
            cast.start(name)
        },
        act: |cast, _, run| {
            report(cast, run, json!({ "report_id": "1", "usage": { "total_tokens": 10, "cost_usd": 20.0 } }))
        },
        parts: |cast, name, _| {
            let payer = format!("{name}-payer-{}", cast.round);
            let spend = cast.spend(&payer);
            let asked = cast.ann.get(&format!("/governance/approvals?request_type=quota_override&target_id={payer}"));
            vec![
                cast.runs(name) == ["paused"],
                spend["paused_at_ms"].is_u64(),
                spend["weekly"]["hard_stop_at_ms"].is_u64(),
                asked.ok()["count"] == json!(1),
                cast.runs_are_refused(name),
                cast.told("spend.paused", name),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "switch",
        ready: |cast, name| {
            let payer = payer(cast, name);
            (0..3).for_each(|_| drop(cast.start(name)));
            payer
        },
        act: |cast, _, payer| cast.post(&format!("/governance/agents/{payer}/pause"), json!({})),
        parts: |cast, name, payer| {
            let agent = cast.ann.get(&format!("/governance/agents/{payer}")).ok()["agent"].clone();
            vec![
                agent["status"] == json!("paused"),
                agent["pause"]["runs_told"] == json!(3),
                cast.runs(name) == ["paused"; 3],
                cast.runs_are_refused(name),
                cast.audited("agent.paused", "agentID", payer),
            ]
        },
        closed: |_, _| true,
    },
    Change {
        name: "consume",
        ready: |cast, name| {
            cast.make(&cast.ann, name);
            let id = filed(&cast.ann, "external_post", ("automation", &cast.id(name)), json!({ "action": "post" }));
            decide(&cast.ben, &id, "approve").ok();
            id
        },
        act: |cast, _, id| cast.post(&format!("/governance/approvals/{id}/consume"), json!({ "action": "post" })),
        parts: |cast, name, id| {
            vec![
                cast.approval(id)["uses"] == json!(1),
                cast.state(name)["published_externally"] == json!(true),
                cast.told("egress_approval.consumed", name),
            ]
        },
        closed: |_, _| true,
    },
];

#[test]
fn a_killed_server_has_done_each_transition_wholly_or_not_at_all() {
    let mut seed = Seed::from_env("IT_GOVERNED_SEED");
    let mut server = launch("governed-kill")
        .env("TANDEM_AGENT_AUTOMATION_CREATION_REVIEW_THRESHOLD", "0")
        .env("TANDEM_AGENT_AUTOMATION_ACTIVE_CAP", "10000")
        .env("TANDEM_AGENT_AUTOMATION_WEEKLY_SPEND_CAP_USD", "10")
        .start();
    let (mut whole, mut nothing) = (0, 0);
    for round in 0..CHANGES.len() {
        let cast = Cast::of(&server, round);
        let ids: Vec<String> = CHANGES.iter().map(|change| (change.ready)(&cast, change.name)).collect();
        let pause = Duration::from_micros(seed.between(0, 40_000));
        // Each is the first once. What comes after it is on its way when the server dies, or never was.
        let answered: BTreeSet<usize> = std::thread::scope(|scope| {
            let task = scope.spawn(|| {
                let order = (0..CHANGES.len()).map(|n| (round + n) % CHANGES.len());
                let done = |at: &usize| {
                    let change = &CHANGES[*at];
                    (change.act)(&cast, change.name, &ids[*at]).is_ok_and(|reply| reply.ok().is_object())
                };
                order.take_while(done).collect()
            });
            std::thread::sleep(pause);
            server.kill();
            task.join().unwrap()
        });
        server.restart();
        let cast = Cast::of(&server, round);
        for (at, (change, id)) in CHANGES.iter().zip(&ids).enumerate() {
            let name = change.name;
            assert!((change.closed)(&cast, name), "{name} is open by mistake");
            let found = (change.parts)(&cast, name, id);
            let done = found[0];
            assert!(found.iter().all(|part| *part == done), "{name} is half done: {found:?}");
            assert!(done || !answered.contains(&at), "{name} was answered and is lost");
            if done { whole += 1 } else { nothing += 1 }
        }
    }
    println!("{whole} had happened, {nothing} had not");
    audit::assert_verified(&server.client());
}

/// Automations and requests that all end at the same moment, so that the sweep has much to do when it is killed.
const TOGETHER: usize = 30;

#[test]
fn a_sweep_that_is_killed_again_and_again_does_each_thing_once() {
    let mut seed = Seed::from_env("IT_GOVERNED_SEED");
    let mut server = launch("governed-kill-sweeps").start();
    let ann = human(&server, "ann");
    let ids: Vec<String> = (0..TOGETHER).map(|n| format!("ends-{n}")).collect();
    for id in &ids {
        ann.post("/automations/v2", json!({ "automation_id": id, "name": id })).ok();
        ann.post(&format!("/automations/v2/{id}/run_now"), json!({})).ok();
    }
    // Far enough for a busy machine to say it of all of them.
    let end = now_ms() + 10_000;
    for id in &ids {
        ann.post(&format!("/automations/v2/{id}/extend"), json!({ "expires_at_ms": end })).ok();
        let asked = json!({
            "request_type": "external_post", "target_resource": { "type": "automation", "id": id },
            "rationale": "soon", "expires_at_ms": end,
        });
        ann.post("/governance/approvals", asked).ok();
    }
    until("the end has come", SOON, || (now_ms() >= end).then_some(()));
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(seed.between(0, 250)));
        server.restart();
        // Whatever the sweep has come to, nothing begins to run any more.
        let ann = human(&server, "ann");
        for id in &ids {
            let refused = ann.post(&format!("/automations/v2/{id}/run_now"), json!({}));
            refused.refused(409, "AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED");
        }
    }
    let ann = human(&server, "ann");
    let shown = |path: &str, key: &str| ann.get(path).ok()[key].clone();
    until("everything has ended", Duration::from_secs(150), || {
        let left = shown("/governance/approvals?request_type=external_post&status=pending", "count");
        let open = ids
            .iter()
            .any(|id| shown(&format!("/automations/v2/{id}/governance"), "governance")["expired_at_ms"].is_null());
        (left == json!(0) && !open).then_some(())
    });
    let about = |rows: Vec<Value>, key: &str| {
        let mut named: Vec<String> = rows.iter().map(|row| text(&row["payload"][key])).collect();
        named.sort();
        named
    };
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(about(audit::rows(&ann, "automation.governance.expired"), "automationID"), expected, "each once");
    let requests = about(audit::rows(&ann, "automation.governance.approval.expired"), "approvalID");
    assert_eq!((requests.len(), requests.iter().collect::<BTreeSet<_>>().len()), (TOGETHER, TOGETHER));
    for id in &ids {
        let asked = ann.get(&format!("/governance/approvals?request_type=retirement_action&target_id={id}")).ok();
        let open = asked["approvals"].as_array().unwrap().iter().filter(|one| one["status"] == json!("pending"));
        assert_eq!(open.count(), 1, "{id}: {asked}");
        assert_eq!(shown(&format!("/automations/v2/{id}"), "automation")["status"], json!("paused"));
        let runs = all(&ann, &format!("/automations/v2/{id}/runs"), "runs");
        assert!(runs.iter().all(|run| run["status"] == json!("paused")), "{runs:?}");
    }
    audit::assert_verified(&ann);
}
