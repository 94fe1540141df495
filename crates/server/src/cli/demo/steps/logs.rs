//! A log file that grows while it is read: records, plain lines and stacks that come in pieces, and a rotation in the
//! middle. Every failure is counted once.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{rows, text};
use crate::cli::{
    Fault,
    demo::{
        Demo,
        output::clip,
        samples::{LOG_FAILURES, log_round, secrets},
    },
};

/// A project of its own: one that has log sources takes scoped reports for those alone.
pub const PROJECT: &str = "checkout";
pub const SOURCE: &str = "app-log";
/// In the workspace.
pub const FILE: &str = "logs/checkout.log";
const ROUNDS: u32 = 6;
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn tail(demo: &mut Demo) -> Result<(), Fault> {
    demo.out.screen(
        "A log file that grows",
        "Read while it is written, through a rotation; what is found moves with the position in one commit.",
    );
    let file = demo.home.workspace().join(FILE);
    demo.out.fact("file", &file.display().to_string());
    healthy(demo).await?;
    let began = Instant::now();
    for round in 0..ROUNDS {
        let written = log_round(round);
        // Pieces that end anywhere, as a program writes them.
        for piece in written.as_bytes().chunks(173) {
            let mut open = OpenOptions::new().create(true).append(true).open(&file)?;
            open.write_all(piece)?;
            tokio::task::yield_now().await;
        }
        if round == ROUNDS / 2 {
            // What of it is not read yet is read under its new name.
            fs::rename(&file, file.with_extension("log.1"))?;
        }
    }
    let expected = u64::from(ROUNDS) * LOG_FAILURES;
    let incidents = counted(demo, expected).await?;
    demo.out.fact("took", &format!("{} ms until the last failure was counted", began.elapsed().as_millis()));
    let mut table = vec![["count", "title", "at bytes"].map(str::to_owned).to_vec()];
    for incident in &incidents {
        let payload = &incident["event_payload"];
        let place = format!("{}-{}", payload["offset_start"], payload["offset_end"]);
        table.push(vec![count(incident).to_string(), clip(text(incident, "/title"), 90), place]);
    }
    demo.out.table(&table);
    let total: u64 = incidents.iter().map(count).sum();
    demo.out.expect(total == expected, &format!("{expected} failures were written, {total} were counted"));
    let even = incidents.iter().all(|incident| count(incident) == u64::from(ROUNDS));
    demo.out.expect(
        even && incidents.len() as u64 == LOG_FAILURES,
        "one incident for each kind: a record, a line, a stack that spans lines",
    );
    let secret = secrets::value("stripe_key");
    let leaked = incidents.iter().any(|incident| incident.to_string().contains(&secret));
    demo.out.expect(!leaked, "the key that one of the lines held is in none of them");
    let row = healthy(demo).await?;
    demo.out.fact("read", &format!("{} bytes, {} files", row["total_bytes_read"], rows(&row, "/files").len()));
    demo.out.expect(
        row["lag_bytes"] == 0 && row["gap_count"] == 0,
        "the source is healthy, nothing is left to read, and the rotation lost nothing",
    );
    Ok(())
}

fn count(incident: &Value) -> u64 {
    incident["occurrence_count"].as_u64().unwrap_or_default()
}

/// The source's row, once it was looked at and all is well.
async fn healthy(demo: &Demo) -> Result<Value, Fault> {
    let began = Instant::now();
    loop {
        let status = demo.client.get("/incident-monitor/status").await?;
        let found = rows(&status, "/status/log_watcher/sources").iter().find(|row| row["source_id"] == SOURCE);
        match found {
            Some(row) if row["healthy"] == true && row["last_poll_at_ms"].is_u64() && row["lag_bytes"] == 0 => {
                return Ok(row.clone());
            }
            _ if began.elapsed() > PATIENCE => {
                return Err(Fault(format!("the log source is not well: {}", status["status"]["log_watcher"])));
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// The project's incidents, once at least this many failures are counted on them.
async fn counted(demo: &Demo, expected: u64) -> Result<Vec<Value>, Fault> {
    let began = Instant::now();
    loop {
        let answer = demo.client.get(&format!("/incident-monitor/incidents?project_id={PROJECT}")).await?;
        let incidents = rows(&answer, "/incidents");
        if incidents.iter().map(count).sum::<u64>() >= expected || began.elapsed() > PATIENCE {
            return Ok(incidents.to_vec());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
