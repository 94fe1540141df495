//! What the server takes before anything has happened.

use std::time::Duration;

use crate::{
    Fault, Plan,
    process::{Process, scratch},
    table::{Table, median},
};

pub async fn run(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    let (mut ready, mut again, mut memory) = <(Vec<_>, Vec<_>, Vec<_>)>::default();
    for _ in 0..plan.repeat {
        let state = scratch(plan, "size");
        let server = Process::server(plan, &state).await?;
        ready.push(server.ready_after.as_secs_f64() * 1000.0);
        // Every worker has made its first round by then.
        tokio::time::sleep(Duration::from_secs(3)).await;
        memory.push(server.resident_mib()?);
        server.stop()?;
        let server = Process::server(plan, &state).await?;
        again.push(server.ready_after.as_secs_f64() * 1000.0);
        server.stop()?;
    }
    let binary = std::fs::metadata(&plan.server)?.len() as f64 / f64::from(1 << 20);
    table.add(
        "idle memory",
        format!("{:.1} MiB resident", median(memory)),
        format!("binary {binary:.1} MiB"),
        "< 40 MiB",
    );
    table.add(
        "ready, empty state",
        format!("{:.0} ms from its start", median(ready)),
        format!("second start {:.0} ms", median(again)),
        "< 300 ms",
    );
    Ok(())
}
