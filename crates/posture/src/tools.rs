//! Which tools should not run without an approval, by their names alone.

/// Words that are one tool under another name.
const ALIASES: [(&str, &str); 5] =
    [("shell", "bash"), ("run_command", "bash"), ("powershell", "bash"), ("cmd", "bash"), ("web_search", "websearch")];

const WRAPPERS: [&str; 7] =
    ["default_api:", "default_api.", "functions.", "functions:", "tools.", "tools:", "builtin:"];

const EXACT_YES: [&str; 16] = [
    "rm",
    "delete",
    "unlink",
    "rmdir",
    "write",
    "edit",
    "patch",
    "bash",
    "shell",
    "exec",
    "git_push",
    "git_force_push",
    "send_email",
    "send_mail",
    "publish",
    "post",
];

const EXACT_NO: [&str; 17] = [
    "read",
    "glob",
    "grep",
    "list_directory",
    "list_files",
    "websearch",
    "web_search",
    "fetch_url",
    "memory_search",
    "memory_get",
    "list_sessions",
    "describe_workflow",
    "describe_run",
    "kb_search",
    "kb_get_document",
    "workflow_plan_preview",
    "workflow_plan_validate",
];

const PREFIX_NO: [&str; 25] = [
    "mcp.github.list_",
    "mcp.github.get_",
    "mcp.github.search_",
    "mcp.notion.search",
    "mcp.notion.get",
    "mcp.confluence.search",
    "mcp.confluence.get",
    "mcp.googlecalendar.list",
    "mcp.googlecalendar.get",
    "mcp.linear.list",
    "mcp.linear.get",
    "mcp.linear.search",
    "mcp.linear.viewer",
    "mcp.app_linear_linear.list",
    "mcp.app_linear_linear.get",
    "mcp.app_linear_linear.search",
    "mcp.app_linear_linear.viewer",
    "mcp.jira.search",
    "mcp.jira.get",
    "mcp.kb.",
    "mcp.knowledge.",
    "mcp.brave.",
    "mcp.exa.",
    "mcp.searxng.",
    "mcp.serper.",
];

const PREFIX_YES: [&str; 36] = [
    "mcp.hubspot.",
    "mcp.salesforce.",
    "mcp.pipedrive.",
    "mcp.stripe.",
    "mcp.paypal.",
    "mcp.gmail.send",
    "mcp.outlook.send",
    "mcp.sendgrid.",
    "mcp.mailgun.",
    "mcp.linkedin.",
    "mcp.twitter.",
    "mcp.x.",
    "mcp.threads.",
    "mcp.bluesky.",
    "mcp.googlecalendar.",
    "mcp.calendly.",
    "mcp.linear.",
    "mcp.app_linear_linear.",
    "mcp.jira.",
    "mcp.shortcut.",
    "mcp.github.create_pull_request",
    "mcp.github.merge_pull_request",
    "mcp.github.create_issue",
    "mcp.github.close_issue",
    "mcp.github.update_issue",
    "mcp.notion.create",
    "mcp.notion.update",
    "mcp.confluence.create",
    "mcp.confluence.update",
    "mcp.notion.delete",
    "mcp.slack.post",
    "mcp.slack.send",
    "mcp.telegram.send",
    "mcp.discord.send",
    "coder.merge",
    "coder.publish",
];

const SUFFIX_YES: [&str; 14] = [
    ".send",
    ".send_message",
    ".send_email",
    ".publish",
    ".post",
    ".create",
    ".update",
    ".delete",
    ".remove",
    ".merge",
    ".pay",
    ".charge",
    ".refund",
    ".transfer",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// Known to change something that matters.
    Approval,
    /// Known to read only.
    Free,
    /// Nothing is known of it.
    Unknown,
}

/// The name as it is compared.
pub fn normalised(name: &str) -> String {
    let mut name = name.trim().to_lowercase().replace('-', "_");
    while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = rest.to_owned();
    }
    match ALIASES.iter().find(|(alias, _)| *alias == name) {
        Some((_, tool)) => (*tool).to_owned(),
        None => name,
    }
}

pub fn risk(name: &str) -> Risk {
    let name = normalised(name);
    if EXACT_YES.contains(&name.as_str()) {
        Risk::Approval
    } else if EXACT_NO.contains(&name.as_str()) || PREFIX_NO.iter().any(|prefix| name.starts_with(prefix)) {
        Risk::Free
    } else if PREFIX_YES.iter().any(|prefix| name.starts_with(prefix))
        || SUFFIX_YES.iter().any(|suffix| name.ends_with(suffix))
    {
        Risk::Approval
    } else {
        Risk::Unknown
    }
}

/// The entry admits any tool.
pub fn is_wildcard(entry: &str) -> bool {
    matches!(entry.trim(), "*" | "**" | "mcp.*")
}

/// Those of a list that should not run without an approval. One wildcard makes it all of them.
pub fn needing_approval(list: &[String]) -> Vec<&str> {
    let any = list.iter().any(|entry| is_wildcard(entry));
    list.iter().filter(|entry| any || risk(entry) == Risk::Approval).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, wanted) in [
            ("Bash", Risk::Approval),
            ("functions.run-command", Risk::Approval),
            ("default_api:tools.write", Risk::Approval),
            ("web_search", Risk::Free),
            ("read", Risk::Free),
            ("mcp.github.list_issues", Risk::Free),
            ("mcp.github.create_issue", Risk::Approval),
            ("mcp.linear.viewer", Risk::Free),
            ("mcp.linear.save", Risk::Approval),
            ("mcp.googlecalendar.create_event", Risk::Approval),
            ("mcp.kb.delete", Risk::Free),
            ("mcp.custom.refund", Risk::Approval),
            ("mcp.custom.refund_status", Risk::Unknown),
            ("read_everything", Risk::Unknown),
            ("", Risk::Unknown),
        ] {
            assert_eq!(risk(name), wanted, "{name}");
        }
    }

    #[test]
    fn a_wildcard_makes_every_entry_one_that_needs_approval() {
        let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(needing_approval(&list(&["read", "mcp.*"])), ["read", "mcp.*"]);
        assert_eq!(needing_approval(&list(&["read", "write"])), ["write"]);
        assert!(needing_approval(&list(&["read", "mcp.github.*"])).is_empty());
    }
}
