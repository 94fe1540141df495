//! Cards as a document for people. Names and texts of others come out as text.

use std::fmt::Write as _;

use tandem_core::{
    tenant::TenantContext,
    triage::markdown::{code, line},
};

use super::{card::Card, required::CardFinding};

/// Findings that are written out at most.
const LISTED: usize = 50;

/// All cards, then the fields that are missing.
pub fn document(cards: &[Card], findings: &[CardFinding], tenant: &TenantContext, now_ms: u64) -> String {
    let mut out = String::from("# Incident Monitor Deployment Cards\n\n");
    let _ = writeln!(out, "- Generated at: {now_ms}");
    let _ = writeln!(out, "- Tenant: {} / {}", line(&tenant.org_id), line(&tenant.workspace_id));
    let _ = writeln!(out, "- Cards: {}", cards.len());
    let _ = writeln!(out, "- Findings: {}", findings.len());
    for card in cards {
        section(&mut out, card);
    }
    out.push_str("\n## Required Metadata Findings\n\n");
    for finding in findings.iter().take(LISTED) {
        let _ = writeln!(out, "- [{}] {}", finding.severity, line(&finding.title));
    }
    if findings.is_empty() {
        out.push_str("- None: every card has its required fields.\n");
    } else if findings.len() > LISTED {
        let _ = writeln!(out, "\n{} more are in the JSON answer.", findings.len() - LISTED);
    }
    out
}

/// One card alone.
pub fn single(card: &Card) -> String {
    let mut out = String::from("# Deployment Card\n");
    section(&mut out, card);
    let lists = [
        ("Allowed actions", &card.allowed_actions),
        ("Prohibited actions", &card.prohibited_actions),
        ("Known limitations", &card.known_limitations),
        ("Residual risks", &card.residual_risks),
        ("Tools", &card.authority.tools),
        ("Destinations", &card.authority.destinations),
    ];
    for (title, entries) in lists {
        if !entries.is_empty() {
            let _ = writeln!(out, "\n### {title}\n");
            for entry in entries {
                let _ = writeln!(out, "- {}", line(entry));
            }
        }
    }
    if let Some(stored) = &card.stored {
        out.push_str("\n### Record\n\n");
        let _ = writeln!(out, "- Version: {} ({})", stored.version, stored.status);
        let _ = writeln!(out, "- Digest: {}", code(&stored.digest));
        if let Some(signed) = &stored.sign_off {
            let by = signed.signed_by.actor_id.as_deref().unwrap_or("a person at the panel");
            let _ = writeln!(out, "- Signed off: version {} by {}, {}", signed.version, line(by), signed.outcome);
            let _ = writeln!(out, "- Next review due at: {}", signed.next_review_due_at_ms);
        }
    }
    out
}

fn section(out: &mut String, card: &Card) {
    let _ = writeln!(out, "\n## {}\n", line(&card.target.name));
    let _ = writeln!(out, "- Card: {}", code(&card.card_id));
    let _ = writeln!(out, "- Kind: {}", card.card_kind);
    let _ = writeln!(out, "- Boundary: {}", card.system_boundary);
    let said = [
        ("Purpose", &card.intended_purpose),
        ("Owner", &card.business_owner),
        ("Team", &card.accountable_team),
        ("Escalation", &card.approval_and_escalation.escalation_protocol),
    ];
    for (title, text) in said {
        if let Some(text) = text {
            let _ = writeln!(out, "- {title}: {}", line(text));
        }
    }
}
