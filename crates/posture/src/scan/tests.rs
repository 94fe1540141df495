use serde_json::json;

use super::*;

const CANARY: &str = "cNrY7tQ2zKp9WvXs4LmB6hJd";

/// A tree with one file of each kind, in which every value that may be a secret is the canary.
fn tree() -> Vec<(&'static str, String)> {
    let files = [
        (
            ".mcp.json",
            r#"{"mcpServers":{
                "github":{"command":"/usr/local/bin/npx","args":["-y","server-github","--token=CANARY"],"env":{"GITHUB_TOKEN":"CANARY"}},
                "docs":{"type":"http","url":"https://user:CANARY@mcp.example.com/CANARY?key=CANARY","headers":{"Authorization":"Bearer CANARY"}},
                "off":{"command":"x","disabled":true}}}"#,
        ),
        (
            ".claude/settings.json",
            r#"{"permissions":{"allow":["Bash(curl -H 'Authorization: Bearer CANARY' https://x.example)","Read"],"deny":["WebFetch"],"ask":["Write"],"defaultMode":"acceptEdits"},
                "env":{"ANTHROPIC_API_KEY":"CANARY"},
                "hooks":{"PreToolUse":[{"matcher":"Bash","hooks":[{"type":"command","command":"API_KEY=CANARY ./check.sh CANARY"}]}]}}"#,
        ),
        (
            ".claude/settings.local.json",
            r#"{"hooks":{"PreToolUse":[{"hooks":[{"type":"command","command":"log"}]}]},"enableAllProjectMcpServers":true}"#,
        ),
        (
            ".claude/agents/reviewer.md",
            "---\nname: reviewer\ndescription: Use when: a diff is ready. Key sk-ant-api03-CANARYCANARY\ntools: Read, Grep\nmodel: opus\n---\nYou hold password=CANARY\n",
        ),
        (".claude/agents/free.md", "You may do everything.\n"),
        ("CLAUDE.md", "password: CANARY\n"),
        ("packages/web/.mcp.json", r#"{"mcpServers":{"web":{"url":"http://localhost:3000/sse","type":"sse"}}}"#),
        (
            "desktop/claude_desktop_config.json",
            r#"{"mcpServers":{"fs":{"command":"C:\\tools\\fs.exe","args":["CANARY"],"env":{"ROOT":"CANARY"}}}}"#,
        ),
        (".cursor/mcp.json", r#"{"mcpServers":{"linear":{"url":"https://mcp.linear.example/sse"}}}"#),
        (
            ".vscode/mcp.json",
            "{ // servers of this folder\n \"inputs\": [{\"id\":\"k\",\"password\":true}],\n \"servers\": {\"pg\": {\"type\": \"stdio\", \"command\": \"uvx\", \"env\": {\"PGPASSWORD\": \"CANARY\"}, \"envFile\": \".env\",},},}",
        ),
        (
            ".vscode/settings.json",
            r#"{"editor.tabSize":2,"mcp":{"servers":{"old":{"url":"https://old.example/CANARY"}}}}"#,
        ),
        (
            ".gemini/settings.json",
            r#"{"coreTools":["ReadFile"],"excludeTools":["Shell"],"mcpServers":{"g":{"httpUrl":"https://g.example/x","includeTools":["one"],"headers":{"X-Key":"CANARY"}}}}"#,
        ),
        (
            ".codex/config.toml",
            "approval_policy = \"on-request\"\nsandbox_mode = \"workspace-write\"\n[mcp_servers.gh]\ncommand = \"npx\"\nargs = [\"CANARY\"]\n[mcp_servers.gh.env]\nTOKEN = \"CANARY\"\n[mcp_servers.r]\nurl = \"https://r.example\"\nbearer_token_env_var = \"R_TOKEN\"\n",
        ),
        (
            "langgraph.json",
            r#"{"graphs":{"support":"./src/agent.py:graph","sales":{"path":"src/sales.py:g","description":"sells"}},"env":{"OPENAI_API_KEY":"CANARY"},"dependencies":["."]}"#,
        ),
        (
            "crew/src/config/agents.yaml",
            "planner:\n  role: Senior Planner\n  goal: plan, with token=CANARY\n  tools: [search]\nwriter:\n  role: Writer\n",
        ),
        (
            "crew/src/config/tasks.yaml",
            "plan:\n  description: api_key=CANARY\n  agent: planner\nwrite:\n  agent: writer\n  context: [plan]\n",
        ),
        ("crew/pyproject.toml", "[project]\nname = \"c\"\ndescription = \"a crew\"\n[tool.crewai]\ntype = \"crew\"\n"),
        ("pyproject.toml", "[project]\nname = \"other\"\n"),
        ("flat/crew.json", r#"{"agents":[{"name":"solo","goal":"x","tools":["a"]}],"tasks":{"t":{"agent":"solo"}}}"#),
    ];
    files.into_iter().map(|(path, text)| (path, text.replace("CANARY", CANARY))).collect()
}

fn scanned(files: &[(&str, String)]) -> Outcome {
    let mut scan = Scan::new("shop");
    for (path, text) in files {
        let format = Format::of(path).unwrap_or_else(|| panic!("{path} is not known"));
        scan.add(format, path, text);
    }
    scan.finish()
}

fn find<'o>(outcome: &'o Outcome, kind: DeclaredKind, id: &str) -> &'o Said {
    let ids = || outcome.declared.iter().map(|said| said.object_id.as_str()).collect::<Vec<_>>();
    let found = outcome.declared.iter().find(|said| said.kind == kind && said.object_id == id);
    found.unwrap_or_else(|| panic!("no {kind} {id} in {:?}", ids()))
}

#[test]
fn a_tree_of_every_kind() {
    let outcome = scanned(&tree());
    assert_eq!(outcome.trouble, []);
    let said = serde_json::to_string(&outcome.declared.iter().map(|said| &said.spec).collect::<Vec<_>>()).unwrap();
    assert!(!said.contains(CANARY), "{said}");

    let claude = find(&outcome, DeclaredKind::Runtime, "claude.shop");
    let servers: Vec<_> =
        claude.spec.servers.iter().map(|s| (s.name.as_str(), s.target.as_deref(), &s.secret_keys)).collect();
    assert_eq!(
        json!(servers),
        json!([["docs", "mcp.example.com", ["Authorization"]], ["github", "npx", ["GITHUB_TOKEN"]]])
    );
    assert!(claude.spec.description.as_deref().unwrap().contains("CLAUDE.md"));
    assert_eq!(claude.origin, Origin::Scan);
    assert_eq!(claude.spec.framework.as_deref(), Some("claude"));

    let policy = find(&outcome, DeclaredKind::ToolPolicy, "claude.shop:permissions");
    // What is done without asking limits nothing.
    assert_eq!((&policy.spec.tool_allowlist, &policy.spec.tool_denylist), (&None, &vec!["WebFetch".to_owned()]));
    assert_eq!(policy.spec.approval_policy.as_deref(), Some("acceptEdits"));
    assert_eq!(policy.spec.related, ["runtime:claude.shop"]);

    let hook = find(&outcome, DeclaredKind::Hook, "claude.shop:hook-PreToolUse");
    let actions: Vec<_> = hook.spec.hooks[0].actions.iter().map(|a| (a.action.as_str(), a.has_parameters)).collect();
    assert_eq!((hook.spec.hooks.len(), actions), (1, vec![("check.sh", true), ("log", false)]));

    let reviewer = find(&outcome, DeclaredKind::Agent, "claude.shop:reviewer");
    assert_eq!(reviewer.spec.tool_allowlist, Some(vec!["Read".to_owned(), "Grep".to_owned()]));
    assert_eq!(find(&outcome, DeclaredKind::Agent, "claude.shop:free").spec.tool_allowlist, None);
    let web = find(&outcome, DeclaredKind::Runtime, "claude.shop.packages.web");
    assert_eq!(web.spec.servers[0].transport, "sse");

    assert_eq!(
        find(&outcome, DeclaredKind::Runtime, "claude-desktop.shop.desktop").spec.servers[0].target.as_deref(),
        Some("fs.exe")
    );
    assert_eq!(find(&outcome, DeclaredKind::Runtime, "cursor.shop").spec.servers[0].transport, "http");
    let vscode = find(&outcome, DeclaredKind::Runtime, "vscode.shop");
    let names: Vec<_> = vscode.spec.servers.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(
        (names, &vscode.spec.servers[0].secret_keys),
        (vec!["pg", "old"], &vec![".env".to_owned(), "PGPASSWORD".to_owned()])
    );
    let gemini = find(&outcome, DeclaredKind::Runtime, "gemini.shop");
    assert_eq!(gemini.spec.servers[0].allowed_tools, Some(vec!["one".to_owned()]));
    assert_eq!(
        find(&outcome, DeclaredKind::ToolPolicy, "gemini.shop:tools").spec.tool_allowlist,
        Some(vec!["ReadFile".to_owned()])
    );
    let codex = find(&outcome, DeclaredKind::Runtime, "codex.shop");
    assert_eq!(codex.spec.approval_policy.as_deref(), Some("on-request"));
    assert_eq!(codex.spec.servers[1].secret_keys, ["R_TOKEN"]);

    let graph = find(&outcome, DeclaredKind::Runtime, "langgraph.shop");
    assert_eq!(graph.spec.related, ["agent:langgraph.shop:sales", "agent:langgraph.shop:support"]);
    assert!(graph.spec.description.as_deref().unwrap().contains("OPENAI_API_KEY"));
    assert_eq!(
        find(&outcome, DeclaredKind::Agent, "langgraph.shop:support").spec.locator.as_deref(),
        Some("src/agent.py:graph")
    );

    let tasks = find(&outcome, DeclaredKind::Workflow, "crewai.shop.crew.src:tasks");
    let steps: Vec<_> = tasks.spec.steps.iter().map(|s| (s.step_id.as_str(), s.action.as_str())).collect();
    assert_eq!(steps, [("plan", "agent planner"), ("write", "agent writer")]);
    assert_eq!(tasks.spec.related, ["agent:crewai.shop.crew.src:planner", "agent:crewai.shop.crew.src:writer"]);
    assert_eq!(
        find(&outcome, DeclaredKind::Agent, "crewai.shop.crew.src:planner").spec.tool_allowlist,
        Some(vec!["search".to_owned()])
    );
    find(&outcome, DeclaredKind::Runtime, "crewai.shop.crew");
    find(&outcome, DeclaredKind::Agent, "crewai.shop.flat:solo");
    assert!(!outcome.declared.iter().any(|said| said.object_id == "crewai.shop"));
}

#[test]
fn the_order_of_files_does_not_matter_to_who_is_found() {
    let mut files = tree();
    let ids = |outcome: &Outcome| outcome.declared.iter().map(|s| (s.kind, s.object_id.clone())).collect::<Vec<_>>();
    let first = ids(&scanned(&files));
    files.reverse();
    assert_eq!(ids(&scanned(&files)), first);
}

#[test]
fn a_broken_file_is_named_and_the_rest_goes_on() {
    let secret = format!("{{\"mcpServers\": {{\"x\": {{\"env\": {{\"K\": \"{CANARY}\" \"oops\"}}}}}}}}");
    let many = json!({ "mcpServers": (0..300).map(|n| (format!("s{n}"), json!({ "command": "x" }))).collect::<serde_json::Map<_, _>>() });
    let files = [
        (".mcp.json", secret),
        (".cursor/mcp.json", "[]".to_owned()),
        (".codex/config.toml", format!("a = {CANARY}")),
        ("a/config/agents.yaml", format!("a: \"{CANARY}")),
        (".gemini/settings.json", many.to_string()),
        (".claude/agents/x.md", "---\nname: [broken\n".to_owned()),
        ("langgraph.json", r#"{"graphs":{"fine":"a.py:g"}}"#.to_owned()),
    ];
    let outcome = scanned(&files);
    let named: Vec<_> = outcome.trouble.iter().map(|trouble| trouble.path.as_str()).collect();
    assert_eq!(
        named,
        [".codex/config.toml", ".cursor/mcp.json", ".gemini/settings.json", ".mcp.json", "a/config/agents.yaml"]
    );
    assert!(!format!("{:?}", outcome.trouble).contains(CANARY), "{:?}", outcome.trouble);
    find(&outcome, DeclaredKind::Agent, "langgraph.shop:fine");
    find(&outcome, DeclaredKind::Agent, "claude.shop:x");
    assert_eq!(outcome.files, 7);
}

#[test]
fn files_of_others_are_no_concern() {
    for path in
        ["settings.json", "src/agents.yaml", "README.md", ".claude/commands/x.md", "mcp.json", "agents/x.md", ""]
    {
        assert_eq!(Format::of(path), None, "{path}");
    }
}
