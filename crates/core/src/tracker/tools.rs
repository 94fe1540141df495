//! GitHub and Linear through the tools of an MCP server: which tool does what, with which arguments, and what is read
//! from an answer of any shape.

use serde_json::{Map, Value, json};

use super::{Class, Comment, Issue, IssueRef, IssueState, LABEL, github, linear, paging::Pager, time};
use crate::{destination::DestinationKind, mcp::ToolRow, wire::wire_enum};

wire_enum! {
    /// Something that a tracker's tools can do.
    pub enum Capability {
        GithubListIssues = "github.list_issues",
        GithubGetIssue = "github.get_issue",
        GithubCreateIssue = "github.create_issue",
        GithubCommentOnIssue = "github.comment_on_issue",
        GithubSearchIssues = "github.search_issues",
        GithubListComments = "github.list_comments",
        GithubUpdateIssue = "github.update_issue",
        LinearListIssues = "linear.list_issues",
        LinearGetIssue = "linear.get_issue",
        LinearCreateIssue = "linear.create_issue",
        LinearComment = "linear.create_comment",
        LinearListComments = "linear.list_comments",
        LinearUpdateIssue = "linear.update_issue",
    }
}

/// What publishing to GitHub cannot do without.
pub const GITHUB_REQUIRED: [Capability; 4] = [
    Capability::GithubListIssues,
    Capability::GithubGetIssue,
    Capability::GithubCreateIssue,
    Capability::GithubCommentOnIssue,
];
pub const LINEAR_REQUIRED: [Capability; 2] = [Capability::LinearListIssues, Capability::LinearCreateIssue];

pub const GITHUB_PREFIX: &str = "github_";
const LINEAR_PREFIX: &str = "linear_";

/// A tool's name as it is looked for: the last part of a namespaced one, without case, and with `_` for `-`. Beside that a
/// tool may carry its tracker's prefix (`github_list_issues`), as gateways give it.
pub(super) fn canonical(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    name.rsplit('.').next().unwrap_or(&name).to_owned()
}

/// By which time a list is cut and ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Created,
    Updated,
}

impl Capability {
    pub fn class(self) -> Class {
        match self {
            Self::GithubSearchIssues => Class::Search,
            Self::GithubListIssues
            | Self::GithubGetIssue
            | Self::GithubListComments
            | Self::LinearListIssues
            | Self::LinearGetIssue
            | Self::LinearListComments => Class::Read,
            Self::GithubCreateIssue
            | Self::GithubCommentOnIssue
            | Self::GithubUpdateIssue
            | Self::LinearCreateIssue
            | Self::LinearComment
            | Self::LinearUpdateIssue => Class::Write,
        }
    }

    /// The names that tools of this kind have, the best one first; see [`canonical`] for what a name may carry besides.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::GithubListIssues => &["list_issues", "list_repository_issues"],
            Self::GithubGetIssue => &["get_issue", "issue_read"],
            Self::GithubCreateIssue => &["create_issue", "issue_write", "create_an_issue"],
            Self::GithubCommentOnIssue => &["add_issue_comment", "create_issue_comment", "create_an_issue_comment"],
            Self::GithubSearchIssues => &["search_issues"],
            Self::GithubListComments => &["get_issue_comments", "list_issue_comments", "issue_read"],
            Self::GithubUpdateIssue => &["update_issue", "issue_write"],
            Self::LinearListIssues => &["list_issues", "list_my_issues"],
            Self::LinearGetIssue => &["get_issue"],
            Self::LinearCreateIssue => &["create_issue", "save_issue"],
            Self::LinearComment => &["create_comment", "save_comment"],
            Self::LinearListComments => &["list_comments"],
            Self::LinearUpdateIssue => &["update_issue", "save_issue"],
        }
    }

    /// The tool that has it, and the place of its name in [`Capability::names`].
    pub fn find<'a>(self, tools: impl Iterator<Item = &'a ToolRow> + Clone) -> Option<(usize, &'a ToolRow)> {
        let (mut names, tracker) = (self.names().iter().enumerate(), self.tracker());
        let named = |tool: &ToolRow, name: &str| {
            [&tool.tool_name, &tool.namespaced_name].iter().any(|own| {
                let own = canonical(own);
                own.strip_prefix(tracker).unwrap_or(&own) == name
            })
        };
        names.find_map(|(at, name)| tools.clone().find(|tool| named(tool, name)).map(|tool| (at, tool)))
    }

    /// The tool that has it.
    pub fn resolve(self, tools: &[ToolRow]) -> Option<&ToolRow> {
        self.find(tools.iter()).map(|(_, tool)| tool)
    }

    /// The prefix that gateways give its tools.
    fn tracker(self) -> &'static str {
        match self {
            Self::GithubListIssues
            | Self::GithubGetIssue
            | Self::GithubCreateIssue
            | Self::GithubCommentOnIssue
            | Self::GithubSearchIssues
            | Self::GithubListComments
            | Self::GithubUpdateIssue => GITHUB_PREFIX,
            Self::LinearListIssues
            | Self::LinearGetIssue
            | Self::LinearCreateIssue
            | Self::LinearComment
            | Self::LinearListComments
            | Self::LinearUpdateIssue => LINEAR_PREFIX,
        }
    }

    /// Whether what the tool shows to its end is everything, and not somebody's own part of it.
    pub fn shows_all(self, tool: &ToolRow) -> bool {
        !tool.tool_name.to_ascii_lowercase().contains("_my_")
    }

    /// How a list of this tool is gone through.
    pub fn pager(self, tool: &ToolRow) -> Pager {
        match self {
            Self::LinearListIssues | Self::LinearListComments => Pager::of(tool, lin::LIMIT, ("limit", false)),
            Self::GithubListIssues
            | Self::GithubGetIssue
            | Self::GithubCreateIssue
            | Self::GithubCommentOnIssue
            | Self::GithubSearchIssues
            | Self::GithubListComments
            | Self::GithubUpdateIssue
            | Self::LinearGetIssue
            | Self::LinearCreateIssue
            | Self::LinearComment
            | Self::LinearUpdateIssue => Pager::of(tool, github::PAGE, ("perPage", true)),
        }
    }

    pub fn required(kind: DestinationKind) -> &'static [Self] {
        match kind {
            DestinationKind::GithubIssue => &GITHUB_REQUIRED,
            DestinationKind::LinearIssue => &LINEAR_REQUIRED,
            DestinationKind::Webhook
            | DestinationKind::Telemetry
            | DestinationKind::InternalMemory
            | DestinationKind::McpTool => &[],
        }
    }
}

/// Arguments of one call. Some servers have one tool with a `method` for several things; `method` is given only where the
/// tool's schema knows it, because others refuse what they do not know.
fn arguments(tool: &ToolRow, method: &str, fields: Value) -> Map<String, Value> {
    let mut map = match fields {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    if knows(tool, "method") {
        map.insert("method".to_owned(), method.into());
    }
    map
}

/// Takes out what a tool can do without where its schema says that it takes nothing else than it lists.
fn without_strange(tool: &ToolRow, mut map: Map<String, Value>, optional: &[&str]) -> Map<String, Value> {
    if tool.input_schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        map.retain(|key, _| knows(tool, key) || !optional.contains(&key.as_str()));
    }
    map
}

/// Whether a tool's schema has this property.
pub(super) fn knows(tool: &ToolRow, property: &str) -> bool {
    tool.input_schema.get("properties").and_then(Value::as_object).is_some_and(|known| known.contains_key(property))
}

fn owner_and_name(repo: &str) -> (&str, &str) {
    repo.split_once('/').unwrap_or((repo, ""))
}

pub mod gh {
    //! Arguments of GitHub's tools.
    use super::*;

    pub fn search(tool: &ToolRow, repo: &str, marker: &str) -> Map<String, Value> {
        // The query is the one of the REST API; the tool adds nothing to it.
        let request = github::search(repo, marker);
        let query = url::Url::parse(&format!("https://api.github.com/{}", request.path))
            .ok()
            .and_then(|url| url.query_pairs().find(|(key, _)| key == "q").map(|(_, value)| value.into_owned()))
            .unwrap_or_default();
        let key = if knows(tool, "q") { "q" } else { "query" };
        let mut fields = json!({ key: query, "perPage": 20 });
        if !knows(tool, "perPage")
            && let Some(map) = fields.as_object_mut()
        {
            map.remove("perPage");
        }
        arguments(tool, "search", fields)
    }

    /// Issues, the newest first, and only those that changed since where the tool takes a time.
    pub fn list(tool: &ToolRow, repo: &str, since_ms: u64, order: Order, pager: &Pager) -> Map<String, Value> {
        let (owner, name) = owner_and_name(repo);
        let mut fields = json!({ "owner": owner, "repo": name });
        if knows(tool, "since") {
            fields["since"] = json!(time::format(since_ms));
        }
        if knows(tool, "orderBy") && knows(tool, "direction") {
            fields["orderBy"] = json!(match order {
                Order::Created => "CREATED_AT",
                Order::Updated => "UPDATED_AT",
            });
            fields["direction"] = json!("DESC");
        }
        let mut map = arguments(tool, "list", fields);
        pager.ask(&mut map);
        map
    }

    pub fn get(tool: &ToolRow, repo: &str, number: u64) -> Map<String, Value> {
        let (owner, name) = owner_and_name(repo);
        arguments(tool, "get", json!({ "owner": owner, "repo": name, "issue_number": number }))
    }

    pub fn comments(tool: &ToolRow, repo: &str, number: u64, pager: &Pager) -> Map<String, Value> {
        let (owner, name) = owner_and_name(repo);
        let mut map = arguments(tool, "get_comments", json!({ "owner": owner, "repo": name, "issue_number": number }));
        pager.ask(&mut map);
        map
    }

    pub fn create(tool: &ToolRow, repo: &str, title: &str, body: &str) -> Map<String, Value> {
        let (owner, name) = owner_and_name(repo);
        let fields = json!({ "owner": owner, "repo": name, "title": title, "body": body, "labels": [LABEL] });
        without_strange(tool, arguments(tool, "create", fields), &["labels"])
    }

    pub fn comment(tool: &ToolRow, repo: &str, number: u64, body: &str) -> Map<String, Value> {
        let (owner, name) = owner_and_name(repo);
        arguments(tool, "create", json!({ "owner": owner, "repo": name, "issue_number": number, "body": body }))
    }

    pub fn reopen(tool: &ToolRow, repo: &str, number: u64) -> Map<String, Value> {
        let (owner, name) = owner_and_name(repo);
        let fields = json!({ "owner": owner, "repo": name, "issue_number": number, "state": "open" });
        arguments(tool, "update", fields)
    }
}

pub mod lin {
    //! Arguments of Linear's tools.
    use super::*;

    /// How many a page holds.
    pub const LIMIT: usize = 50;

    /// Where issues stand, in the words that the tool has for it.
    fn place(tool: &ToolRow, team: &str, project: &str) -> Map<String, Value> {
        let key =
            |plain: &'static str, id: &'static str| if knows(tool, id) && !knows(tool, plain) { id } else { plain };
        let mut map = Map::new();
        map.insert(key("team", "teamId").to_owned(), team.into());
        map.insert(key("project", "projectId").to_owned(), project.into());
        map
    }

    /// Issues whose text holds these words.
    pub fn list(tool: &ToolRow, team: &str, project: &str, query: &str, pager: &Pager) -> Map<String, Value> {
        let mut map = arguments(tool, "list", Value::Object(place(tool, team, project)));
        map.insert("query".to_owned(), query.into());
        pager.ask(&mut map);
        without_strange(tool, map, &["team", "project", "query"])
    }

    /// What keeps a list to issues of ours, where the tool can be told.
    pub fn only_ours(tool: &ToolRow) -> Option<(String, Value)> {
        knows(tool, "query").then(|| ("query".to_owned(), "tandem:fingerprint:v1:".into()))
    }

    /// Issues that were created or changed since, where the tool takes such a time; all of them elsewhere.
    pub fn since(
        tool: &ToolRow,
        team: &str,
        project: &str,
        ms: u64,
        order: Order,
        pager: &Pager,
    ) -> Map<String, Value> {
        let mut map = arguments(tool, "list", Value::Object(place(tool, team, project)));
        let key = match order {
            Order::Created => "createdAt",
            Order::Updated => "updatedAt",
        };
        if knows(tool, key) {
            map.insert(key.to_owned(), time::format(ms).into());
        }
        if knows(tool, "orderBy") {
            map.insert("orderBy".to_owned(), key.into());
        }
        pager.ask(&mut map);
        without_strange(tool, map, &["team", "project"])
    }

    pub fn get(tool: &ToolRow, id: &str) -> Map<String, Value> {
        let key = if knows(tool, "issueId") { "issueId" } else { "id" };
        arguments(tool, "get", json!({ key: id }))
    }

    pub fn reopen(tool: &ToolRow, id: &str) -> Map<String, Value> {
        arguments(tool, "update", json!({ "id": id, "state": "unstarted" }))
    }

    pub fn create(
        tool: &ToolRow,
        team: &str,
        project: &str,
        title: &str,
        description: &str,
        priority: u8,
    ) -> Map<String, Value> {
        let fields = json!({ "title": title, "description": description, "priority": priority, "labels": [LABEL] });
        let mut map = arguments(tool, "create", fields);
        map.append(&mut place(tool, team, project));
        without_strange(tool, map, &["priority", "labels"])
    }

    pub fn comment(tool: &ToolRow, issue_id: &str, body: &str) -> Map<String, Value> {
        arguments(tool, "create", json!({ "issueId": issue_id, "body": body }))
    }

    pub fn comments(tool: &ToolRow, issue_id: &str, pager: &Pager) -> Map<String, Value> {
        let mut map = arguments(tool, "list", json!({ "issueId": issue_id }));
        pager.ask(&mut map);
        map
    }
}

/// How deep an answer is looked into; servers wrap their rows in a few layers.
const DEPTH: usize = 6;

/// The issues in an answer of any shape: objects with a number or an identifier and something that an issue has. Nothing
/// inside an issue is taken for another one.
pub fn issues(kind: DestinationKind, value: &Value) -> Vec<Issue> {
    let mut found: Vec<Issue> = Vec::new();
    walk(value, 0, &mut |value| {
        let read = match kind {
            DestinationKind::LinearIssue => linear_issue(value),
            DestinationKind::GithubIssue
            | DestinationKind::Webhook
            | DestinationKind::Telemetry
            | DestinationKind::InternalMemory
            | DestinationKind::McpTool => github_issue(value),
        };
        let Some(issue) = read else { return false };
        if !found.iter().any(|known| known.reference.id == issue.reference.id) {
            found.push(issue);
        }
        true
    });
    found
}

/// The issue that a create says it made. Some servers tell no more than its address.
pub fn created(kind: DestinationKind, value: &Value) -> Option<Issue> {
    if let Some(issue) = issues(kind, value).into_iter().next() {
        return Some(issue);
    }
    let mut found = None;
    walk(value, 0, &mut |value| {
        let url =
            ["html_url", "url"].iter().find_map(|key| value.get(*key)?.as_str()).filter(|url| url.starts_with("http"));
        let last = url.and_then(|url| url.split_once("/issues/")).and_then(|(_, number)| number.parse::<u64>().ok());
        if let (Some(url), Some(number), DestinationKind::GithubIssue) = (url, last, kind) {
            found = Some(Issue {
                reference: IssueRef {
                    id: number.to_string(),
                    number: Some(number),
                    identifier: None,
                    url: Some(url.to_owned()),
                },
                state: IssueState::Open,
                title: String::new(),
                body: String::new(),
                created_at_ms: None,
                updated_at_ms: None,
                closed_at_ms: None,
            });
        }
        found.is_some()
    });
    found
}

/// Whether a tool's words speak of a limit. Words are nobody's proof: this may slow us down, and nothing else.
pub fn speaks_of_limits(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("rate limit") || text.contains("ratelimit") || text.contains("too many requests")
}

/// Whether a search says of itself that it did not look everywhere.
pub fn looked_in_part(value: &Value) -> bool {
    value.get("incomplete_results") == Some(&Value::Bool(true))
}

/// The comments in an answer of any shape.
pub fn comments(value: &Value) -> Vec<Comment> {
    let mut found = Vec::new();
    walk(value, 0, &mut |value| {
        let id = match value.get("id") {
            Some(Value::Number(n)) => n.to_string(),
            Some(Value::String(id)) => id.clone(),
            Some(_) | None => return false,
        };
        let text = |keys: &[&str]| keys.iter().find_map(|key| value.get(*key)?.as_str()).map(str::to_owned);
        let (url, body) = (text(&["html_url", "url"]), text(&["body", "content"]));
        if url.is_none() && body.is_none() {
            return false;
        }
        found.push(Comment { id, url, body: body.unwrap_or_default() });
        true
    });
    found
}

/// How many rows the list in an answer has. An answer without one proves nothing, however few rows are found in it.
pub fn listed(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => items.iter().all(Value::is_object).then_some(items.len()),
        Value::Object(map) => {
            let wrapped = ["issues", "items", "nodes", "comments", "result", "data", "repository"];
            wrapped.iter().filter_map(|key| map.get(*key)).find_map(listed)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Whether a tool's list can be told to begin with the latest. Linear's orders always do.
pub fn orders(kind: DestinationKind, tool: &ToolRow) -> bool {
    knows(tool, "orderBy") && (kind == DestinationKind::LinearIssue || knows(tool, "direction"))
}

/// Calls `take` for every object until it says that it took one; what was taken is not looked into.
fn walk(value: &Value, depth: usize, take: &mut impl FnMut(&Value) -> bool) {
    if depth > DEPTH {
        return;
    }
    match value {
        Value::Object(map) => {
            if !take(value) {
                map.values().for_each(|value| walk(value, depth + 1, take));
            }
        }
        Value::Array(items) => items.iter().for_each(|value| walk(value, depth + 1, take)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn github_issue(value: &Value) -> Option<Issue> {
    let number = value.get("number").or_else(|| value.get("issue_number"))?.as_u64()?;
    let text = |keys: &[&str]| keys.iter().find_map(|key| value.get(*key)?.as_str()).filter(|text| !text.is_empty());
    let (title, body, state) = (text(&["title"]), text(&["body"]), text(&["state"]));
    if title.is_none() && body.is_none() && state.is_none() {
        return None;
    }
    Some(Issue {
        reference: IssueRef {
            id: number.to_string(),
            number: Some(number),
            identifier: None,
            url: text(&["html_url", "url"]).filter(|url| url.starts_with("http")).map(str::to_owned),
        },
        state: if state.is_some_and(|state| state.eq_ignore_ascii_case("closed")) {
            IssueState::Closed
        } else {
            IssueState::Open
        },
        title: title.unwrap_or_default().to_owned(),
        body: body.unwrap_or_default().to_owned(),
        created_at_ms: text(&["created_at", "createdAt"]).and_then(time::parse),
        updated_at_ms: text(&["updated_at", "updatedAt"]).and_then(time::parse),
        closed_at_ms: text(&["closed_at", "closedAt"]).and_then(time::parse),
    })
}

fn linear_issue(value: &Value) -> Option<Issue> {
    let text = |keys: &[&str]| keys.iter().find_map(|key| value.get(*key)?.as_str()).filter(|text| !text.is_empty());
    let identifier = text(&["identifier", "key"])
        .map(str::to_owned)
        .or_else(|| value.get("number").and_then(Value::as_u64).map(|number| number.to_string()));
    let id = text(&["id", "issue_id"]).map(str::to_owned).or_else(|| identifier.clone())?;
    // A state, a team or a label has an id and a name; only an issue has one of these as well.
    let title = text(&["title"]).or_else(|| text(&["name"]).filter(|_| value.get("state").is_some()))?;
    Some(Issue {
        reference: IssueRef {
            id,
            number: None,
            identifier,
            url: text(&["url", "html_url"]).filter(|url| url.starts_with("http")).map(str::to_owned),
        },
        state: match value.get("state").or_else(|| value.get("status")) {
            Some(state) => linear::state(state),
            None => IssueState::Open,
        },
        title: title.to_owned(),
        body: text(&["description", "body", "content"]).unwrap_or_default().to_owned(),
        created_at_ms: text(&["createdAt", "created_at"]).and_then(time::parse),
        updated_at_ms: text(&["updatedAt", "updated_at"]).and_then(time::parse),
        closed_at_ms: text(&["closed_at", "closedAt"]).and_then(time::parse),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, properties: &[&str]) -> ToolRow {
        let properties: Map<String, Value> = properties.iter().map(|p| ((*p).to_owned(), json!({}))).collect();
        ToolRow {
            server_name: "srv".into(),
            tool_name: name.into(),
            namespaced_name: format!("mcp.srv.{name}"),
            description: String::new(),
            input_schema: json!({ "type": "object", "properties": properties }),
            output_schema: None,
            schema_hash: "h".into(),
            accepted_hash: "h".into(),
            fetched_at_ms: 0,
            withdrawn: false,
            used: false,
        }
    }

    #[test]
    fn capabilities_by_name() {
        let tools = [tool("Issue_Write", &["method"]), tool("list_issues", &[]), tool("issue_read", &["method"])];
        let name = |capability: Capability| capability.resolve(&tools).map(|tool| tool.tool_name.as_str());
        assert_eq!(name(Capability::GithubCreateIssue), Some("Issue_Write"));
        assert_eq!(name(Capability::GithubListIssues), Some("list_issues"));
        assert_eq!(name(Capability::GithubGetIssue), Some("issue_read"));
        assert_eq!(name(Capability::GithubCommentOnIssue), None);
        // As gateways name them. Another tracker's prefix is another tool's name.
        let tools = [tool("github-list_issues", &[]), tool("Linear_Create_Issue", &[])];
        let name = |capability: Capability| capability.resolve(&tools).map(|tool| tool.tool_name.as_str());
        assert_eq!(name(Capability::GithubListIssues), Some("github-list_issues"));
        assert_eq!(name(Capability::LinearCreateIssue), Some("Linear_Create_Issue"));
        assert_eq!((name(Capability::GithubCreateIssue), name(Capability::LinearListIssues)), (None, None));
    }

    #[test]
    fn a_method_is_said_only_to_tools_that_know_it() {
        let with = gh::create(&tool("issue_write", &["method", "owner"]), "acme/app", "t", "b");
        assert_eq!(with.get("method"), Some(&json!("create")));
        let without = gh::create(&tool("create_issue", &["owner"]), "acme/app", "t", "b");
        assert_eq!(without.get("method"), None);
        assert_eq!((without.get("owner"), without.get("repo")), (Some(&json!("acme")), Some(&json!("app"))));
        let search = gh::search(&tool("search_issues", &["query"]), "acme/app", "<!-- tandem:effect:v1:a -->");
        assert_eq!(search.get("query"), Some(&json!("\"tandem:effect:v1:a\" in:body is:issue repo:acme/app")));
    }

    #[test]
    fn rows_in_any_wrapping() {
        use DestinationKind::{GithubIssue as G, LinearIssue as L};
        let row = json!({"number": 3, "title": "T", "state": "closed", "body": "B",
            "milestone": {"number": 9, "title": "M", "state": "open"}});
        for value in [json!([row]), json!({"items": [row]}), json!({"result": {"issues": [row, row]}}), row.clone()] {
            let found = issues(G, &value);
            assert_eq!(found.len(), 1, "{value}: a milestone is no issue");
            assert_eq!((found[0].reference.number, found[0].state), (Some(3), IssueState::Closed));
        }
        let row = json!({"id": "u", "identifier": "ENG-1", "title": "T", "state": {"name": "Done", "id": "s"},
            "team": {"id": "t", "name": "Eng"}, "description": "D"});
        let found = issues(L, &json!({"issues": [row]}));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].reference.id.as_str(), found[0].state), ("u", IssueState::Closed));
        assert!(issues(L, &json!({"teams": [{"id": "t", "name": "Eng"}]})).is_empty());
        assert_eq!(comments(&json!({"comments": [{"id": 5, "html_url": "https://x", "body": "b"}]}))[0].id, "5");
        let mut deep = json!({"number": 1, "title": "t"});
        for _ in 0..20 {
            deep = json!([deep]);
        }
        assert!(issues(G, &deep).is_empty());
        for (value, list) in [
            (json!([]), Some(0)),
            (json!({"issues": {"nodes": [{}, {}]}}), Some(2)),
            (json!({"message": "upstream timed out"}), None),
            (json!("no issues"), None),
            (json!(["no", "issues"]), None),
        ] {
            assert_eq!(listed(&value), list, "{value}");
        }
    }
}
