//! Governance at size: the decision on a creation, and the pages that people wait for.

use std::{path::Path, rc::Rc, sync::Arc, time::Duration, time::Instant};

use serde_json::{Value, json};
use tandem_core::{
    actor::{ActorKind, ActorRef, OpContext},
    decide::{Ask, Decided, Decision, Desk, Loaded, ROUNDS, Step, step},
    governance::{
        Base,
        approval::Approval,
        create::{self, Created, NewAutomation},
    },
    ports::{Query, Store},
    record::{Commit, Put, Write},
};
use tandem_store::SqliteStore;

use crate::{
    Fault, Plan, http,
    load::{self, Again},
    prefill,
    process::{Process, scratch},
    table::{Table, median, number},
};

const AGENTS: u64 = 100;
const AUTOMATIONS: u64 = 10_000;
const REQUESTS: u64 = 100_000;
/// Decisions that are timed, and reads of a page.
const DECISIONS: u64 = 2_000;
const PAGES: usize = 1_000;
const DAY_MS: u64 = 86_400_000;
const START_MS: u64 = 20_000 * DAY_MS;
/// Between two creations by anybody: nine a day for each agent.
const EVERY_MS: u64 = DAY_MS / (9 * AGENTS);

/// A creation as the automations' own decision makes it.
#[derive(Debug)]
struct Create(Arc<Base>, NewAutomation);

impl Decision for Create {
    type Outcome = Created;
    fn asks(&self) -> Vec<Ask> {
        Vec::new()
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Created> {
        create::admit(desk, &self.0, &self.1)
    }
}

fn context(agent: u64, now_ms: u64) -> OpContext {
    let actor = ActorRef { kind: ActorKind::Agent, actor_id: Some(format!("agent-{agent:03}")), source: None };
    OpContext { actor, ..prefill::context(now_ms) }
}

fn creation(base: &Arc<Base>, n: u64) -> Create {
    let new =
        NewAutomation { automation_id: format!("automation-{n:06}"), spec_digest: "0".into(), ..Default::default() };
    Create(Arc::clone(base), new)
}

/// Limits under which a hundred agents have that many automations, as they come: a creation of each every
/// [`EVERY_MS`], which is below the limit of a day.
fn base() -> Result<Arc<Base>, Fault> {
    let (base, ignored) = Base::from_env(|name| match name {
        "TANDEM_AGENT_AUTOMATION_ACTIVE_CAP" => Some("1000000".into()),
        "TANDEM_AGENT_AUTOMATION_CREATION_REVIEW_THRESHOLD" => Some("0".into()),
        _ => None,
    });
    if ignored.is_empty() { Ok(Arc::new(base)) } else { Err(format!("{ignored:?}").into()) }
}

async fn read(store: &SqliteStore, ctx: &OpContext, ask: &Ask) -> Result<Vec<tandem_core::ports::Row>, Fault> {
    let tenant = ctx.tenant.key();
    Ok(match ask {
        Ask::Row { collection, id } => store.get(collection, &tenant, id).await?.into_iter().collect(),
        Ask::Page(page) => {
            let query = Query {
                collection: page.collection,
                tenant,
                equals: page.equals.clone(),
                order: page.order,
                since: page.since,
                after: None,
                limit: page.limit,
            };
            store.page(query).await?.into_iter().map(|found| found.row).collect()
        }
    })
}

/// The time of the decision alone, rows at hand, in microseconds, sorted.
async fn decisions(state: &Path) -> Result<Vec<f64>, Fault> {
    let (store, base) = (prefill::open(state)?, base()?);
    for n in 0..AUTOMATIONS {
        let ctx = context(n % AGENTS, START_MS + n * EVERY_MS);
        let write = Write::Decide { decide: Arc::new(creation(&base, n)), seed: u128::from(n + 1) << 64 };
        let done = store.commit(Commit::new(&ctx).write(write)).await?;
        if let Some(tandem_core::decide::Verdict::Refused(failure)) = done.verdicts.first() {
            return Err(format!("automation {n} was refused: {failure:?}").into());
        }
    }
    let mut micros = Vec::new();
    for n in AUTOMATIONS..AUTOMATIONS + DECISIONS {
        let ctx = context(n % AGENTS, START_MS + n * EVERY_MS);
        let decision = creation(&base, n);
        let mut loaded = Loaded::default();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            match step(&decision, &ctx, &loaded, u128::from(n + 1) << 64) {
                Step::Ask(asks) => {
                    for ask in asks {
                        let found = read(&store, &ctx, &ask).await?;
                        loaded.fill(ask, found);
                    }
                }
                Step::Corrupt(why) => return Err(why.into()),
                Step::Settled(settled) => {
                    micros.push(begun.elapsed().as_secs_f64() * 1e6);
                    drop(settled);
                    break;
                }
            }
        }
    }
    prefill::close(store).await?;
    micros.sort_by(f64::total_cmp);
    Ok(micros)
}

fn request(n: u64) -> Result<Approval, Fault> {
    let status = if n.is_multiple_of(10) { "pending" } else { "approved" };
    let at = START_MS + n;
    let body = json!({
        "approval_id": format!("apr_{n:032x}"), "request_type": "capability_request",
        "requested_by": {"kind": "agent", "actor_id": format!("agent-{:03}", n % AGENTS)},
        "target_resource": {"type": "agent", "id": format!("agent-{:03}", n % AGENTS)},
        "rationale": "needs to create agents for the nightly reconciliation", "context": {"capability_key": "creates_agents"},
        "status": status, "expires_at_ms": at + 100 * DAY_MS, "decide_by_ms": at + 100 * DAY_MS, "use_by_ms": at + 100 * DAY_MS,
        "risk_tier": null, "action": null, "parameters": null, "action_digest": null, "capability_key": "creates_agents",
        "automation_id": null, "quota": null, "max_depth": null, "max_additional_usd": null, "additional_spent_usd": 0,
        "uses_allowed": null, "uses": 0, "recent_uses": [], "approvals_needed": 1, "denials_needed": 1, "reviewers": [],
        "votes": [], "delegations": [], "remind_at_ms": null, "reminded_at_ms": null, "escalate_at_ms": null,
        "escalated_at_ms": null, "escalate_to": [], "reviewed_by": null, "reviewed_at_ms": null, "review_notes": null,
        "superseded": false, "created_at_ms": at, "updated_at_ms": at,
    });
    Ok(serde_json::from_value(body)?)
}

async fn requests(state: &Path) -> Result<(), Fault> {
    let store = prefill::open(state)?;
    for batch in 0..REQUESTS / 500 {
        let mut commit = Commit::new(&prefill::context(START_MS));
        for n in batch * 500..(batch + 1) * 500 {
            commit.writes.push(Write::Put(Put::insert(&request(n)?)));
        }
        store.commit(commit).await?;
    }
    prefill::close(store).await
}

async fn pages(server: &Process, path: &str) -> Result<f64, Fault> {
    let client = Again { request: Rc::new(http::get(path)), times: PAGES };
    let outcome = load::drive(server.address, vec![client], Duration::from_secs(60)).await?;
    match outcome.first_error {
        Some(why) => Err(format!("{path}: {why}").into()),
        None => Ok(outcome.percentile(99.0)),
    }
}

pub async fn run(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    let micros = decisions(&scratch(plan, "admission")).await?;
    let at = |percent: usize| micros.get(micros.len() * percent / 100).copied().unwrap_or(f64::NAN);
    table.add(
        "admission decision, 100 agents, 10 000 automations",
        format!("p50 {:.0} µs, p99 {:.0} µs", at(50), at(99)),
        "in core, rows at hand".into(),
        "< 100 µs",
    );
    let state = scratch(plan, "governed");
    requests(&state).await?;
    let server = Process::server(plan, &state).await?;
    let mut connection = http::Connection::open(server.address).await?;
    let spec = "{\"name\":\"Bench\",\"agents\":[{\"agent_id\":\"worker\"}],\"flow\":{\"nodes\":[]}}";
    let answer = connection.json(&http::post("/automations/v2", spec)).await?;
    let id = answer.pointer("/automation/automation_id").and_then(Value::as_str);
    let id = id.ok_or_else(|| format!("no automation was made: {answer}"))?.to_owned();
    for (name, path) in [
        ("approvals list", "/governance/approvals?limit=50".to_owned()),
        ("approvals list, pending", "/governance/approvals?status=pending&limit=50".to_owned()),
        ("governance view", format!("/automations/v2/{id}/governance")),
    ] {
        let mut p99 = Vec::new();
        for _ in 0..plan.repeat {
            p99.push(pages(&server, &path).await?);
        }
        table.add(
            &format!("{name} at {} requests", number(REQUESTS as f64)),
            format!("p99 {:.2} ms", median(p99)),
            "one connection".into(),
            "p99 < 5 ms",
        );
    }
    server.stop()
}
