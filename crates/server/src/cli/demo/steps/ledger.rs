//! The audit log: exported, verified offline with the same code as `tandem audit verify`, and forged by one byte.

use std::{fs, io::Cursor};

use http::Method;
use serde_json::Value;
use tandem_core::audit::{note::VerifierKey, verify::Report};

use super::text;
use crate::cli::{
    Fault,
    audit::{check, verdict},
    demo::{Demo, client::As},
};

/// Who denied the draft, and what a forger makes of it.
const ACTOR: &str = "demo-operator";
const FORGED: &str = "demo-0perator";

pub async fn export(demo: &mut Demo) -> Result<(), Fault> {
    demo.out.screen(
        "The audit log",
        "Every change has its row. The export is checked offline, with the key of the first screen.",
    );
    let answer = demo.client.send(Method::GET, "/audit/ledger/export", As::Operator, None).await?;
    let bytes = answer.bytes.clone();
    if answer.status != 200 {
        answer.ok("exporting the audit log")?;
    }
    fs::write(demo.home.bundle(), &bytes)?;
    let lines = String::from_utf8(bytes.to_vec())?;
    let telling = |row: &Value| {
        let kind = text(row, "/event_type");
        ["config.updated", "intake_key.created", "draft.denied", "draft.approved"].iter().any(|end| kind.ends_with(end))
    };
    let mut table = vec![["row", "what", "who"].map(str::to_owned).to_vec()];
    for row in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(telling) {
        let who = format!("{} {}", text(&row, "/actor/kind"), text(&row, "/actor/actor_id"));
        table.push(vec![row["seq"].to_string(), text(&row, "/event_type").to_owned(), who]);
    }
    demo.out.table(&table);
    let report = judge(demo, &lines)?;
    verdict::lines(&report).iter().for_each(|line| demo.out.quote(line));
    demo.out.expect(verdict::holds(&report) && report.complete, "the whole log is as it was signed");
    demo.out.expect(report.key_trusted, "and it was signed with the key that was known before");
    Ok(())
}

pub fn forgery(demo: &mut Demo) -> Result<(), Fault> {
    demo.out.screen("A forged copy", "One byte of one row: who denied the draft.");
    let lines = fs::read_to_string(demo.home.bundle())?;
    let (mut forged, mut wanted) = (String::with_capacity(lines.len()), None);
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line)?;
        if text(&row, "/event_type").ends_with("draft.denied") && wanted.is_none() && line.contains(ACTOR) {
            wanted = row["seq"].as_u64();
            forged.push_str(&line.replacen(ACTOR, FORGED, 1));
        } else {
            forged.push_str(line);
        }
        forged.push('\n');
    }
    let report = judge(demo, &forged)?;
    demo.out.fact("changed", &format!("{ACTOR} to {FORGED} in row {}", wanted.unwrap_or_default()));
    verdict::lines(&report).iter().for_each(|line| demo.out.quote(line));
    demo.out.expect(!verdict::holds(&report), "the forgery was noticed");
    demo.out.expect(wanted.is_some() && report.first_bad_seq == wanted, "and the row was named");
    Ok(())
}

fn judge(demo: &Demo, lines: &str) -> Result<Report, Fault> {
    let key = VerifierKey::parse(&demo.audit_key)?;
    Ok(check(&mut Cursor::new(lines), Some(&key), &[])?.report)
}
