//! Linear's GraphQL API: the documents and variables that we send, and what is read from their answers.
//!
//! Issues and comments are created under ids of our own making, so asking twice creates one, and a read by that id
//! proves whether the first one did. Documents are fixed; everything of a report travels in variables.

use serde_json::{Value, json};

use super::{Class, Comment, Issue, IssueRef, IssueState, LABEL, Method, Request, time};

/// Every document that is sent, by name.
pub const DOCUMENTS: [(&str, &str); 8] = [
    ("FindIssues", FIND_ISSUES),
    ("Issue", GET_ISSUE),
    ("Comment", GET_COMMENT),
    ("Target", TARGET),
    ("CreateIssue", CREATE_ISSUE),
    ("CreateComment", CREATE_COMMENT),
    ("ReopenIssue", REOPEN_ISSUE),
    ("ChangedIssues", CHANGED_ISSUES),
];

const FIND_ISSUES: &str = "query FindIssues($filter: IssueFilter!) { issues(filter: $filter, first: 50, \
    orderBy: updatedAt, includeArchived: true) { nodes { id identifier title description url createdAt updatedAt \
    state { id name type } } pageInfo { hasNextPage } } }";
const GET_ISSUE: &str = "query Issue($filter: IssueFilter!) { issues(filter: $filter, first: 1, \
    includeArchived: true) { nodes { id identifier title description url createdAt updatedAt \
    state { id name type } } } }";
const GET_COMMENT: &str = "query Comment($filter: CommentFilter!) { comments(filter: $filter, first: 1, \
    includeArchived: true) { nodes { id url body } } }";
const TARGET: &str = "query Target($team: TeamFilter!, $project: ProjectFilter!, $label: IssueLabelFilter!) { \
    teams(filter: $team, first: 2) { nodes { id key name states(first: 50) { nodes { id name type position } } } } \
    projects(filter: $project, first: 2) { nodes { id name slugId } } \
    issueLabels(filter: $label, first: 20) { nodes { id name team { id } } } }";
const CREATE_ISSUE: &str = "mutation CreateIssue($input: IssueCreateInput!) { issueCreate(input: $input) { success \
    issue { id identifier title description url createdAt updatedAt state { id name type } } } }";
const CREATE_COMMENT: &str = "mutation CreateComment($input: CommentCreateInput!) { commentCreate(input: $input) { \
    success comment { id url body } } }";
const REOPEN_ISSUE: &str = "mutation ReopenIssue($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, \
    input: $input) { success issue { id identifier title description url createdAt updatedAt \
    state { id name type } } } }";
const CHANGED_ISSUES: &str = "query ChangedIssues($filter: IssueFilter!, $after: String) { issues(filter: $filter, \
    first: 50, after: $after, orderBy: updatedAt, includeArchived: true) { nodes { id identifier title description url \
    createdAt updatedAt state { id name type } } pageInfo { hasNextPage endCursor } } }";

fn ask(class: Class, document: &str, variables: Value) -> Request {
    let body = json!({ "query": document, "variables": variables });
    Request { method: Method::Post, class, path: String::new(), body: Some(body), etag: None }
}

/// Issues of the team and project whose description holds the marker.
pub fn find(team: &str, project: &str, marker: &str) -> Request {
    let filter = json!({
        "description": { "contains": marker },
        "team": team_filter(team),
        "project": project_filter(project),
    });
    ask(Class::Search, FIND_ISSUES, json!({ "filter": filter }))
}

/// An issue by its id, asked for as a list: an empty one is a fact, where a refusal to find it would be words.
pub fn get(id: &str) -> Request {
    ask(Class::Read, GET_ISSUE, json!({ "filter": { "id": { "eq": id } } }))
}

pub fn get_comment(id: &str) -> Request {
    ask(Class::Read, GET_COMMENT, json!({ "filter": { "id": { "eq": id } } }))
}

/// The object of this id in the answer to a list of such objects: `None` where the answer is no list.
pub fn one<'a>(answer: &'a Value, list: &str, id: &str) -> Option<Option<&'a Value>> {
    let rows = answer.get("data")?.get(list)?.get("nodes")?.as_array()?;
    Some(rows.iter().find(|row| row["id"] == id))
}

/// The ids behind the configured names: team, project, label, and the states of the team.
pub fn target(team: &str, project: &str) -> Request {
    let label = json!({ "name": { "eqIgnoreCase": LABEL } });
    ask(Class::Read, TARGET, json!({ "team": team_filter(team), "project": project_filter(project), "label": label }))
}

/// What [`target`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub team_id: String,
    pub project_id: String,
    pub label_id: Option<String>,
    /// Where an issue goes that is opened again.
    pub open_state_id: Option<String>,
}

/// `Err` names what does not exist or is not unique.
pub fn target_of(answer: &Value) -> Result<Target, &'static str> {
    let data = &answer["data"];
    let one = |rows: &Value, what| match rows["nodes"].as_array().map(Vec::as_slice) {
        Some([row]) => Ok(row.clone()),
        Some([]) | None => Err(what),
        Some(_) => Err("linear_target_ambiguous"),
    };
    let team = one(&data["teams"], "linear_team_unknown")?;
    let project = one(&data["projects"], "linear_project_unknown")?;
    let id = |row: &Value| row["id"].as_str().map(str::to_owned);
    let team_id = id(&team).ok_or("answer_malformed")?;
    let labels = data["issueLabels"]["nodes"].as_array().cloned().unwrap_or_default();
    // A label of the workspace serves every team; one of another team serves only that.
    let ours = |row: &&Value| row["team"].is_null() || row["team"]["id"] == json!(team_id);
    let states = team["states"]["nodes"].as_array().cloned().unwrap_or_default();
    let state = ["unstarted", "backlog", "triage", "started"].iter().find_map(|kind| {
        states.iter().filter(|row| row["type"] == *kind).min_by(|a, b| position(a).total_cmp(&position(b))).and_then(id)
    });
    Ok(Target {
        project_id: id(&project).ok_or("answer_malformed")?,
        label_id: labels.iter().find(ours).and_then(id),
        open_state_id: state,
        team_id,
    })
}

fn position(row: &Value) -> f64 {
    row["position"].as_f64().unwrap_or(f64::MAX)
}

pub fn create(id: &str, target: &Target, title: &str, description: &str, priority: u8) -> Request {
    let mut input = json!({
        "id": id,
        "teamId": target.team_id,
        "projectId": target.project_id,
        "title": title,
        "description": description,
        "priority": priority,
    });
    if let Some(label) = &target.label_id {
        input["labelIds"] = json!([label]);
    }
    ask(Class::Write, CREATE_ISSUE, json!({ "input": input }))
}

pub fn comment(id: &str, issue_id: &str, body: &str) -> Request {
    ask(Class::Write, CREATE_COMMENT, json!({ "input": { "id": id, "issueId": issue_id, "body": body } }))
}

pub fn reopen(issue_id: &str, state_id: &str) -> Request {
    ask(Class::Write, REOPEN_ISSUE, json!({ "id": issue_id, "input": { "stateId": state_id } }))
}

/// Issues of ours that changed since.
pub fn changed_since(team: &str, project: &str, since_ms: u64, after: Option<&str>) -> Request {
    let filter = json!({
        "updatedAt": { "gte": time::format(since_ms) },
        "description": { "contains": "tandem:fingerprint:v1:" },
        "team": team_filter(team),
        "project": project_filter(project),
    });
    ask(Class::Read, CHANGED_ISSUES, json!({ "filter": filter, "after": after }))
}

/// A team may be named by its key, its name or its id.
fn team_filter(team: &str) -> Value {
    let mut or = vec![json!({ "key": { "eqIgnoreCase": team } }), json!({ "name": { "eqIgnoreCase": team } })];
    if is_uuid(team) {
        or.push(json!({ "id": { "eq": team } }));
    }
    json!({ "or": or })
}

fn project_filter(project: &str) -> Value {
    let mut or = vec![json!({ "slugId": { "eq": project } }), json!({ "name": { "eqIgnoreCase": project } })];
    if is_uuid(project) {
        or.push(json!({ "id": { "eq": project } }));
    }
    json!({ "or": or })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Linear's priorities: 1 is urgent, 4 is low.
pub fn priority(risk_level: Option<&str>) -> u8 {
    match risk_level.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "critical" | "urgent" | "severe" => 1,
        "high" => 2,
        "low" => 4,
        _ => 3,
    }
}

const TERMINAL_TYPES: [&str; 3] = ["completed", "canceled", "cancelled"];
const TERMINAL_NAMES: [&str; 11] = [
    "done",
    "completed",
    "complete",
    "closed",
    "canceled",
    "cancelled",
    "resolved",
    "won't do",
    "wont do",
    "won't fix",
    "wontfix",
];

/// Whether an issue in this state is done with: its type says so, and where it has none, its name.
pub fn state(value: &Value) -> IssueState {
    let text = |value: &Value| value.as_str().map(|text| text.trim().to_ascii_lowercase());
    let (kind, name) = (text(&value["type"]), text(&value["name"]).or_else(|| text(value)));
    let terminal = match kind {
        Some(kind) if !kind.is_empty() => TERMINAL_TYPES.contains(&kind.as_str()),
        Some(_) | None => name.is_some_and(|name| TERMINAL_NAMES.contains(&name.as_str())),
    };
    if terminal { IssueState::Closed } else { IssueState::Open }
}

/// An issue as the API tells it, with the fields that our documents ask for.
pub fn issue(value: &Value) -> Option<Issue> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let id = text("id").filter(|id| !id.is_empty())?;
    Some(Issue {
        reference: IssueRef {
            id: id.to_owned(),
            number: None,
            identifier: text("identifier").map(str::to_owned),
            url: text("url").filter(|url| url.starts_with("https://") || url.starts_with("http://")).map(str::to_owned),
        },
        state: state(value.get("state").unwrap_or(&Value::Null)),
        title: text("title").unwrap_or_default().to_owned(),
        body: text("description").unwrap_or_default().to_owned(),
        created_at_ms: text("createdAt").and_then(time::parse),
        updated_at_ms: text("updatedAt").and_then(time::parse),
        closed_at_ms: None,
    })
}

/// The rows of a list, and where the next page begins.
pub fn issues(answer: &Value) -> Option<(Vec<Issue>, Option<String>)> {
    let list = answer.get("data")?.get("issues")?;
    let rows = list.get("nodes")?.as_array()?;
    let more = list["pageInfo"]["hasNextPage"].as_bool().unwrap_or(false);
    let next = list["pageInfo"]["endCursor"].as_str().filter(|_| more).map(str::to_owned);
    Some((rows.iter().filter_map(issue).collect(), next))
}

/// The object that a mutation made or changed, if it says that it succeeded.
pub fn made<'a>(answer: &'a Value, mutation: &str, what: &str) -> Option<&'a Value> {
    let payload = answer.get("data")?.get(mutation)?;
    (payload["success"] == json!(true)).then(|| payload.get(what)).flatten()
}

pub fn comment_of(value: &Value) -> Option<Comment> {
    Some(Comment {
        id: value.get("id")?.as_str()?.to_owned(),
        url: value.get("url").and_then(Value::as_str).map(str::to_owned),
        body: value.get("body").and_then(Value::as_str).unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUE: &str = "id identifier title description url createdAt updatedAt state { id name type }";

    #[test]
    fn priorities_and_states() {
        for (risk, expected) in [
            (Some("critical"), 1),
            (Some("Severe"), 1),
            (Some("high"), 2),
            (Some("medium"), 3),
            (Some("low"), 4),
            (Some("odd"), 3),
            (None, 3),
        ] {
            assert_eq!(priority(risk), expected, "{risk:?}");
        }
        for (value, closed) in [
            (json!({"type": "completed", "name": "In review"}), true),
            (json!({"type": "Canceled"}), true),
            (json!({"type": "started", "name": "Done"}), false),
            (json!({"name": "Won't fix"}), true),
            (json!({"name": "Todo"}), false),
            (json!("closed"), true),
            (json!("Backlog"), false),
            (json!(null), false),
        ] {
            assert_eq!(state(&value) == IssueState::Closed, closed, "{value}");
        }
    }

    #[test]
    fn a_target_must_be_there_and_be_one() {
        let answer = |teams: usize, projects: usize| {
            let team = json!({"id": "t", "states": {"nodes": [
                {"id": "s1", "type": "unstarted", "position": 2.0}, {"id": "s0", "type": "unstarted", "position": 1.0},
                {"id": "d", "type": "completed", "position": 0.0}]}});
            json!({"data": {"teams": {"nodes": vec![team; teams]}, "projects": {"nodes": vec![json!({"id": "p"}); projects]},
                "issueLabels": {"nodes": [{"id": "x", "team": {"id": "other"}}, {"id": "l", "team": null}]}}})
        };
        let found = target_of(&answer(1, 1)).expect("a target");
        assert_eq!(found.open_state_id.as_deref(), Some("s0"));
        assert_eq!(found.label_id.as_deref(), Some("l"));
        assert_eq!(target_of(&answer(0, 1)), Err("linear_team_unknown"));
        assert_eq!(target_of(&answer(1, 0)), Err("linear_project_unknown"));
        assert_eq!(target_of(&answer(2, 1)), Err("linear_target_ambiguous"));
        assert_eq!(target_of(&json!({})), Err("linear_team_unknown"));
    }

    #[test]
    fn every_document_asks_for_what_an_issue_is_read_from() {
        for (name, document) in DOCUMENTS {
            assert!(document.contains(name), "{name}");
            let issues =
                ["issues(", "issue(id", "issueCreate", "issueUpdate"].iter().any(|word| document.contains(word));
            let flat = document.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(!issues || flat.contains(ISSUE), "{name}");
        }
    }

    #[test]
    fn only_an_empty_list_says_that_there_is_none() {
        let rows = json!({ "data": { "issues": { "nodes": [{ "id": "a" }, { "id": "b" }] } } });
        assert_eq!(one(&rows, "issues", "b").map(|found| found.is_some()), Some(true));
        assert_eq!(one(&rows, "issues", "c"), Some(None));
        for odd in [json!({}), json!({ "data": null }), json!({ "data": { "issues": null } }), json!({ "errors": [] })]
        {
            assert_eq!(one(&odd, "issues", "a"), None, "{odd}");
        }
    }

    #[test]
    fn only_a_uuid_is_asked_for_as_an_id() {
        let filters = |team: &str| team_filter(team)["or"].as_array().map_or(0, Vec::len);
        assert_eq!(filters("ENG"), 2);
        assert_eq!(filters("9cfb482a-81e3-4154-b5b9-2c805e70a02d"), 3);
    }
}
