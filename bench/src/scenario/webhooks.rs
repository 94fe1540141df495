//! Signed deliveries per second with their receipts, and what a hanging endpoint costs a healthy one.
//!
//! The drafts exist and their triage is done before the clock runs; what is measured is publish calls over 64
//! connections, each of which returns when the receipt of every delivery that it started is durable.

use std::{sync::atomic::Ordering, time::Duration, time::Instant};

use serde_json::{Value, json};

use crate::{
    Fault, Plan, http,
    http::Connection,
    load::{self, Each, Outcome, Requests as _},
    process::{Process, SECRET_VARIABLE, scratch},
    receiver::Receiver,
    reports::{Kind, Reports},
    table::{Table, median, number},
};

const RECEIVERS: usize = 8;
const CONNECTIONS: usize = 64;
const SINGLE: usize = 3_000;
const FANNED: usize = 1_000;
/// Deliveries that a hanging endpoint is given: more than a lane attempts at once.
const HANGING: usize = 48;
const CALM: usize = 8;
const CALM_DRAFTS: usize = 1_200;

pub async fn run(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    let mut receivers = Vec::new();
    for _ in 0..RECEIVERS {
        receivers.push(Receiver::start(true).await?);
    }
    let hanging = Receiver::start(false).await?;
    let server = Process::server(plan, &scratch(plan, "webhooks")).await?;
    let mut connection = Connection::open(server.address).await?;
    configure(&mut connection, &receivers, &hanging).await?;
    let mut lab = Lab { server, connection, salt: 1, receivers };

    let (mut single, mut fanned, mut p99) = <(Vec<_>, Vec<_>, Vec<_>)>::default();
    for _ in 0..plan.repeat {
        let (rate, outcome) = lab.deliveries(SINGLE, CONNECTIONS, &|n| vec![format!("hook-{}", n % RECEIVERS)]).await?;
        single.push(rate);
        p99.push(outcome.percentile(99.0));
        let all = |_| (0..RECEIVERS).map(|n| format!("hook-{n}")).collect();
        fanned.push(lab.deliveries(FANNED, CONNECTIONS, &all).await?.0);
    }
    table.add(
        "webhooks, one destination a publish",
        format!("{} signed deliveries/s", number(median(single))),
        format!("publish to receipt p99 {:.1} ms at {CONNECTIONS} connections", median(p99)),
        "≥ 3 000/s",
    );
    table.add(
        &format!("webhooks, {RECEIVERS} destinations a publish"),
        format!("{} signed deliveries/s", number(median(fanned))),
        String::new(),
        "≥ 3 000/s",
    );

    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..plan.repeat {
        let healthy = |_| vec!["hook-0".to_owned()];
        without.push(lab.deliveries(CALM_DRAFTS, CALM, &healthy).await?.1.percentile(99.0));
        lab.hang().await?;
        with.push(lab.deliveries(CALM_DRAFTS, CALM, &healthy).await?.1.percentile(99.0));
    }
    let (without, with) = (median(without), median(with));
    table.add(
        "webhooks beside a hanging endpoint",
        format!("p99 {with:.1} ms, {:.2} of that without", with / without),
        format!("without: {without:.1} ms, {CALM} connections"),
        "≤ 1.20",
    );
    let forged: u64 = lab.receivers.iter().map(|receiver| receiver.forged.load(Ordering::Relaxed)).sum();
    if forged > 0 {
        return Err(format!("{forged} deliveries had a wrong signature").into());
    }
    // Deliveries to the hanging endpoint are still under way; they are not waited for.
    drop(lab.server);
    Ok(())
}

async fn configure(connection: &mut Connection, receivers: &[Receiver], hanging: &Receiver) -> Result<(), Fault> {
    let destination = |id: String, receiver: &Receiver| {
        json!({
            "destination_id": id, "name": id, "kind": "webhook",
            "webhook_url": format!("http://{}/hook", receiver.address),
            "webhook_secret_ref": format!("env:{SECRET_VARIABLE}"),
            "config": { "allow_private_networks": true, "allow_insecure_http": true, "timeout_ms": 30_000 },
        })
    };
    let mut destinations: Vec<Value> =
        receivers.iter().enumerate().map(|(n, receiver)| destination(format!("hook-{n}"), receiver)).collect();
    destinations.push(destination("hanging".into(), hanging));
    let config = json!({ "incident_monitor": {
        "enabled": true, "require_approval_for_new_issues": false, "destinations": destinations,
        "default_destination_ids": ["hook-0"],
    }});
    connection.json(&http::send("PATCH", "/config/incident-monitor", &config.to_string())).await?;
    Ok(())
}

struct Lab {
    server: Process,
    connection: Connection,
    salt: u64,
    receivers: Vec<Receiver>,
}

impl Lab {
    /// Publishes fresh drafts; returns receipts per second and the calls' latencies.
    async fn deliveries(
        &mut self,
        count: usize,
        connections: usize,
        to: &dyn Fn(usize) -> Vec<String>,
    ) -> Result<(f64, Outcome), Fault> {
        let drafts = self.drafts(count).await?;
        let requests: Vec<Vec<u8>> = drafts.iter().enumerate().map(|(n, id)| publish(id, &to(n))).collect();
        let wanted: u64 = (0..count).map(|n| to(n).len() as u64).sum();
        let before = self.taken();
        let cpu = self.server.cpu_seconds()?;
        let outcome =
            load::drive(self.server.address, Each::shared(requests, connections), Duration::from_secs(120)).await?;
        let (taken, cpu) = (self.taken() - before, self.server.cpu_seconds()? - cpu);
        if taken != wanted || outcome.errors > 0 {
            return Err(format!("{taken} of {wanted} deliveries arrived, {} errors", outcome.errors).into());
        }
        println!(
            "  {wanted} deliveries in {:.2} s, {:.0} µs of processor each",
            outcome.seconds,
            cpu * 1e6 / wanted as f64
        );
        Ok((wanted as f64 / outcome.seconds, outcome))
    }

    fn taken(&self) -> u64 {
        self.receivers.iter().map(|receiver| receiver.taken.load(Ordering::Relaxed)).sum()
    }

    /// Drafts whose triage is done.
    async fn drafts(&mut self, count: usize) -> Result<Vec<String>, Fault> {
        self.salt += 1;
        let mut reports = Reports::supplies(Kind::Distinct, 1, self.salt).remove(0);
        let mut requests = Vec::new();
        for _ in 0..count {
            requests.extend(reports.next().map(<[u8]>::to_vec));
        }
        // The server closes what was idle for half a minute, as the last measurement may have been for this connection.
        self.connection = Connection::open(self.server.address).await?;
        let mut ids = Vec::new();
        for request in requests {
            let answer = self.connection.json(&request).await?;
            ids.push(answer["draft"]["draft_id"].as_str().ok_or("a report without a draft")?.to_owned());
        }
        let triage = ids.iter().map(|id| http::post(&format!("/incident-monitor/drafts/{id}/triage-run"), "{}"));
        let begun = Instant::now();
        let started =
            load::drive(self.server.address, Each::shared(triage.collect(), 16), Duration::from_secs(600)).await?;
        if started.errors > 0 {
            return Err("triage could not be started".into());
        }
        let queued = http::get("/incident-monitor/drafts?status=triage_queued&limit=1");
        while self.connection.json(&queued).await?["count"] != 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("  {count} drafts triaged in {:.1} s", begun.elapsed().as_secs_f64());
        Ok(ids)
    }

    /// Fills the lane of the hanging endpoint. Its callers wait in the background.
    async fn hang(&mut self) -> Result<(), Fault> {
        for id in self.drafts(HANGING).await? {
            let address = self.server.address;
            tokio::spawn(async move {
                if let Ok(mut connection) = Connection::open(address).await {
                    // It answers after its ten seconds, or not before the end of the run.
                    let _ = connection.call(&publish(&id, &["hanging".to_owned()])).await;
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    }
}

fn publish(draft_id: &str, destinations: &[String]) -> Vec<u8> {
    let body = json!({ "destination_ids": destinations }).to_string();
    http::post(&format!("/incident-monitor/drafts/{draft_id}/publish"), &body)
}
