//! What other systems declared. Tandem does not run it, so it can only say what the declaration leaves open.

use tandem_core::text::non_blank;

use super::{
    findings::{Findings, foreign, listed, path},
    table::{
        DECLARED_SERVER_WITHOUT_ALLOWLIST, DECLARED_STALE, DECLARED_TOOL_WITHOUT_APPROVAL, DECLARED_WITHOUT_OWNER,
    },
};
use crate::{
    declared::{Declared, DeclaredKind},
    estate::{Estate, Owned},
    finding::{AffectedObject, New, Severity},
    inventory::present,
    tools,
};

pub(super) fn judge(estate: &Estate, out: &mut Findings) {
    for owned in estate.declared.iter().filter(|owned| owned.value.spec.enabled) {
        unapproved(estate, owned, out);
    }
    for owned in estate.declared.iter().filter(|owned| owned.value.spec.enabled) {
        open_servers(estate, owned, out);
    }
    for owned in estate.declared.iter().filter(|owned| owned.value.is_stale(estate.now_ms)) {
        stale(estate, owned, out);
    }
    for owned in estate.declared.iter().filter(|owned| !present(owned.value.spec.owner.as_deref())) {
        without_owner(estate, owned, out);
    }
}

fn kind(kind: DeclaredKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        DeclaredKind::Workflow => ("declared_workflow", "workflows", "workflow"),
        DeclaredKind::Hook => ("declared_hook", "hooks", "hook"),
        DeclaredKind::Agent => ("declared_agent", "declared_agents", "agent"),
        DeclaredKind::ToolPolicy => ("declared_tool_policy", "tool_policies", "tool policy"),
        DeclaredKind::Runtime => ("declared_runtime", "runtimes", "runtime"),
    }
}

fn object(declared: &Declared) -> AffectedObject {
    AffectedObject::new(kind(declared.kind).0, declared.object_id.clone())
        .with("name", declared.spec.name.clone())
        .with("origin", declared.origin.word())
}

fn place(declared: &Declared, field: &str) -> String {
    format!("inventory.{}[{}].{field}", kind(declared.kind).1, declared.object_id)
}

/// A policy in the other system's own words. One that says `never` or `none` is none.
pub(crate) fn has_policy(word: Option<&str>) -> bool {
    non_blank(word).is_some_and(|word| !["never", "none", "off", "auto"].iter().any(|w| word.eq_ignore_ascii_case(w)))
}

/// Everything that it may call, by name, and the field that says so.
fn callable(declared: &Declared) -> (Vec<String>, &'static str) {
    let spec = &declared.spec;
    match declared.kind {
        DeclaredKind::Workflow => {
            let steps = spec.steps.iter().map(|step| step.action.clone());
            let hooks = spec.hooks.iter().filter(|hook| hook.enabled).flat_map(|hook| &hook.actions);
            let named = steps.chain(hooks.map(|action| action.action.clone()));
            (named.chain(spec.tool_allowlist.iter().flatten().cloned()).collect(), "steps")
        }
        DeclaredKind::Hook => {
            let actions = spec.hooks.iter().filter(|hook| hook.enabled).flat_map(|hook| &hook.actions);
            (actions.map(|action| action.action.clone()).collect(), "actions")
        }
        // No list at all means that nothing limits it.
        DeclaredKind::Agent => (spec.tool_allowlist.clone().unwrap_or_else(|| vec!["*".into()]), "tool_allowlist"),
        DeclaredKind::ToolPolicy => (spec.tool_allowlist.clone().unwrap_or_default(), "tool_allowlist"),
        DeclaredKind::Runtime => (Vec::new(), "servers"),
    }
}

fn unapproved(estate: &Estate, owned: &Owned<Declared>, out: &mut Findings) {
    let declared = &owned.value;
    if !out.wants(DECLARED_TOOL_WITHOUT_APPROVAL) || has_policy(declared.spec.approval_policy.as_deref()) {
        return;
    }
    let (all, field) = callable(declared);
    let named = tools::needing_approval(&all);
    if named.is_empty() {
        return;
    }
    // That nothing limits it is a gap in what was said; a tool that is named is a fact.
    let unsaid = declared.kind == DeclaredKind::Agent && declared.spec.tool_allowlist.is_none();
    let severity = if unsaid { Severity::Medium } else { Severity::High };
    out.add(DECLARED_TOOL_WITHOUT_APPROVAL, severity, || New {
        rule_id: DECLARED_TOOL_WITHOUT_APPROVAL,
        category: "missing_approval",
        severity,
        title: format!("Declared {} may act without approval", kind(declared.kind).2),
        detail: if unsaid {
            format!(
                "Agent `{}` is declared without a list of tools and without an approval policy.",
                declared.object_id
            )
        } else {
            format!("`{}` may use {} and is declared without an approval policy.", declared.object_id, listed(&named))
        },
        recommendation: "Set an approval policy in the system that runs it and declare it, or limit its tools.".into(),
        affected: vec![object(declared)],
        evidence: vec![path(place(declared, field)), path(place(declared, "approval_policy"))],
        extra: foreign(estate, &owned.tenant),
    });
}

fn open_servers(estate: &Estate, owned: &Owned<Declared>, out: &mut Findings) {
    let declared = &owned.value;
    for server in declared.spec.servers.iter().filter(|server| server.allowed_tools.is_none()) {
        out.add(DECLARED_SERVER_WITHOUT_ALLOWLIST, Severity::Medium, || New {
            rule_id: DECLARED_SERVER_WITHOUT_ALLOWLIST,
            category: "mcp_allowlist_gap",
            severity: Severity::Medium,
            title: "Declared MCP server admits every tool".into(),
            detail: format!("`{}` may call every tool of MCP server `{}`.", declared.object_id, server.name),
            recommendation: "List the tools that it needs in its own configuration, and declare them.".into(),
            affected: vec![object(declared).with("mcp_server", server.name.clone())],
            evidence: vec![path(place(declared, &format!("servers[{}].allowed_tools", server.name)))],
            extra: Some(match foreign(estate, &owned.tenant) {
                Some(tenant) => format!("{tenant}:{}", server.name),
                None => server.name.clone(),
            }),
        });
    }
}

fn stale(estate: &Estate, owned: &Owned<Declared>, out: &mut Findings) {
    let declared = &owned.value;
    out.add(DECLARED_STALE, Severity::Medium, || New {
        rule_id: DECLARED_STALE,
        category: "inventory_gap",
        severity: Severity::Medium,
        title: format!("Declared {} is stale", kind(declared.kind).2),
        detail: format!(
            "`{}` was last declared {} days ago. It may be gone, or it may have changed.",
            declared.object_id,
            estate.now_ms.saturating_sub(declared.last_seen_at_ms) / 86_400_000
        ),
        recommendation: "Declare it again from the system that runs it, or delete the declaration.".into(),
        affected: vec![object(declared)],
        evidence: vec![path(place(declared, "last_seen_at_ms"))],
        extra: foreign(estate, &owned.tenant),
    });
}

fn without_owner(estate: &Estate, owned: &Owned<Declared>, out: &mut Findings) {
    let declared = &owned.value;
    out.add(DECLARED_WITHOUT_OWNER, Severity::Medium, || New {
        rule_id: DECLARED_WITHOUT_OWNER,
        category: "ownership_gap",
        severity: Severity::Medium,
        title: format!("Nobody answers for a declared {}", kind(declared.kind).2),
        detail: format!("`{}` is declared without an owner.", declared.object_id),
        recommendation: "Declare it with the person or team that answers for it.".into(),
        affected: vec![object(declared)],
        evidence: vec![path(place(declared, "owner"))],
        extra: foreign(estate, &owned.tenant),
    });
}
