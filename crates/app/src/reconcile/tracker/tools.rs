//! GitHub and Linear through the tools of an MCP server. What a server cannot do is said, not guessed: without a tool
//! that lists, an outcome in doubt stays unknown.

use serde_json::{Map, Value};
use tandem_core::{
    destination::DestinationKind,
    mcp::{ToolCall, ToolFault, ToolRow},
    ports::Tools,
    tenant::TenantKey,
    tracker::{
        Class, Comment, Issue, IssueRef,
        answer::Trouble,
        budget::Limits,
        doubt::Look,
        github, linear,
        tools::{self, Capability, gh, lin},
    },
    triage::marker,
};

use super::{Stop, adapter::Changes, reach::Reach};

const PAGES: u64 = 5;
/// Rows without their text are read one by one, up to so many.
const BARE: usize = 20;

pub(crate) struct Toolbox<'a> {
    pub reach: Reach<'a>,
    pub tenant: &'a TenantKey,
    pub server: &'a str,
    pub repo: &'a str,
    pub team: &'a str,
    pub project: &'a str,
}

fn malformed(write: bool) -> Stop {
    Stop::Trouble(Trouble {
        retryable: true,
        may_have_acted: write,
        ..Trouble::new("answer_malformed", "the tool's answer lacks what it should hold")
    })
}

fn missing(stop: &Stop) -> bool {
    matches!(stop, Stop::Trouble(trouble) if trouble.code == "capability_missing")
}

fn absent(stop: &Stop) -> bool {
    let gone = |text: &str| text.contains("404") || text.contains("410") || linear::is_not_found(text);
    matches!(stop, Stop::Trouble(trouble) if trouble.code == "mcp_tool_error" && gone(&trouble.text))
}

impl Toolbox<'_> {
    fn linear(&self) -> bool {
        self.reach.kind == DestinationKind::LinearIssue
    }

    async fn tool(&self, capability: Capability) -> Result<ToolRow, Stop> {
        let rows = self.reach.app.tools(self.tenant, self.server).await.map_err(|error| {
            Stop::Trouble(Trouble {
                retryable: error.fault.retryable(),
                ..Trouble::new(error.fault.word(), error.detail)
            })
        })?;
        capability
            .resolve(&rows)
            .cloned()
            .ok_or_else(|| Stop::trouble("capability_missing", &format!("the MCP server has no tool for {capability}")))
    }

    /// Calls a tool that looks.
    async fn ask(&self, capability: Capability, tool: &ToolRow, arguments: Map<String, Value>) -> Result<Value, Stop> {
        let _place = self.reach.looking().await;
        self.reach.take(capability.class())?;
        self.call(capability.class(), tool, arguments).await
    }

    /// Calls a tool once. A tool's own word that it failed is believed only where it quotes a refusal of the tracker:
    /// anything else may be a time-out behind it.
    async fn call(&self, class: Class, tool: &ToolRow, arguments: Map<String, Value>) -> Result<Value, Stop> {
        let write = class == Class::Write;
        let call = ToolCall {
            timeout_ms: self.reach.settings.timeout_ms,
            answer_bytes: 8 << 20,
            ..ToolCall::new(self.server, &tool.tool_name, arguments)
        };
        let limited = |retry_after_ms| {
            let limits = Limits { retry_after_ms, refused: true, secondary: true, ..Limits::default() };
            self.reach.learn(class, &limits);
            Trouble {
                retryable: true,
                retry_after_ms: retry_after_ms.or(Some(60_000)),
                ..Trouble::new("rate_limited", "the tracker's rate limit refused the call")
            }
        };
        let answer = self.reach.app.call(self.tenant, call).await.map_err(|error| {
            Stop::Trouble(match error.fault {
                ToolFault::RateLimited => limited(error.retry_after_ms),
                fault => Trouble {
                    retryable: fault.retryable(),
                    may_have_acted: write && error.may_have_acted,
                    retry_after_ms: error.retry_after_ms,
                    ..Trouble::new(fault.word(), error.detail)
                },
            })
        })?;
        if answer.auth_required {
            let text = "the tool wants an authorisation first";
            return Err(Stop::trouble(ToolFault::AuthRequired.word(), text));
        }
        if answer.is_error {
            let text = tandem_core::text::truncate(&answer.text.join(" "), 300);
            if tools::is_rate_limit(&text) {
                return Err(Stop::Trouble(limited(None)));
            }
            let refused = tools::is_refusal(&text);
            return Err(Stop::Trouble(Trouble {
                retryable: !refused,
                may_have_acted: write && !refused,
                ..Trouble::new("mcp_tool_error", text)
            }));
        }
        answer.value().ok_or_else(|| malformed(write))
    }

    /// A list that is to prove something must be one.
    fn list(value: Value) -> Result<Value, Stop> {
        if tools::holds_a_list(&value) { Ok(value) } else { Err(malformed(false)) }
    }

    fn rows(&self, value: &Value) -> Vec<Issue> {
        tools::issues(self.reach.kind, value)
    }

    pub async fn find(&self, marker: &str) -> Result<Vec<Issue>, Stop> {
        if self.linear() {
            let tool = self.tool(Capability::LinearListIssues).await?;
            let query = marker.trim_start_matches("<!--").trim_end_matches("-->").trim();
            let arguments = lin::list(&tool, self.team, self.project, query);
            return Ok(self.rows(&self.ask(Capability::LinearListIssues, &tool, arguments).await?));
        }
        match self.tool(Capability::GithubSearchIssues).await {
            Ok(tool) => {
                let arguments = gh::search(&tool, self.repo, marker);
                Ok(self.rows(&self.ask(Capability::GithubSearchIssues, &tool, arguments).await?))
            }
            // A server that cannot search shows its newest issues.
            Err(stop) if missing(&stop) => {
                let tool = self.tool(Capability::GithubListIssues).await?;
                let arguments = gh::list(&tool, self.repo, 0, 1);
                Ok(self.rows(&self.ask(Capability::GithubListIssues, &tool, arguments).await?))
            }
            Err(stop) => Err(stop),
        }
    }

    pub async fn get(&self, issue: &IssueRef) -> Result<Option<Issue>, Stop> {
        let (capability, tool) = if self.linear() {
            (Capability::LinearGetIssue, self.tool(Capability::LinearGetIssue).await?)
        } else {
            (Capability::GithubGetIssue, self.tool(Capability::GithubGetIssue).await?)
        };
        let arguments = if self.linear() {
            lin::get(&tool, &issue.id)
        } else {
            gh::get(&tool, self.repo, issue.number.unwrap_or_default())
        };
        match self.ask(capability, &tool, arguments).await {
            Ok(value) => {
                let same =
                    |found: &Issue| found.reference.id == issue.id || found.reference.identifier == issue.identifier;
                self.rows(&value)
                    .into_iter()
                    .find(|found| issue.number.is_none() || same(found))
                    .map(Some)
                    .ok_or_else(|| malformed(false))
            }
            Err(stop) if absent(&stop) => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    pub async fn create(&self, title: &str, body: &str, risk: Option<&str>) -> Result<Issue, Stop> {
        let capability = if self.linear() { Capability::LinearCreateIssue } else { Capability::GithubCreateIssue };
        let tool = self.tool(capability).await?;
        let arguments = if self.linear() {
            lin::create(&tool, self.team, self.project, title, body, linear::priority(risk))
        } else {
            gh::create(&tool, self.repo, title, body)
        };
        let value = self.call(Class::Write, &tool, arguments).await?;
        tools::created(self.reach.kind, &value).ok_or_else(|| malformed(true))
    }

    pub async fn comment(&self, issue: &IssueRef, body: &str) -> Result<Comment, Stop> {
        let capability = if self.linear() { Capability::LinearComment } else { Capability::GithubCommentOnIssue };
        let tool = self.tool(capability).await?;
        let arguments = if self.linear() {
            lin::comment(&tool, &issue.id, body)
        } else {
            gh::comment(&tool, self.repo, issue.number.unwrap_or_default(), body)
        };
        let value = self.call(Class::Write, &tool, arguments).await?;
        tools::comments(&value).into_iter().next().ok_or_else(|| malformed(true))
    }

    pub async fn reopen(&self, issue: &IssueRef) -> Result<(), Stop> {
        let capability = if self.linear() { Capability::LinearUpdateIssue } else { Capability::GithubUpdateIssue };
        let tool = self.tool(capability).await?;
        let arguments = if self.linear() {
            lin::reopen(&tool, &issue.id)
        } else {
            gh::reopen(&tool, self.repo, issue.number.unwrap_or_default())
        };
        self.call(Class::Write, &tool, arguments).await.map(drop)
    }

    /// Through a list of what was created since. A row without its text proves nothing, so it is read by itself.
    pub async fn look_for_issue(&self, key: &str, since_ms: u64) -> Result<Look<Issue>, Stop> {
        let marker = marker::effect(key);
        let ours = |issue: &Issue| issue.carries(&marker);
        if let Some(found) = self.find(&marker).await?.into_iter().find(ours) {
            return Ok(Look::Found(found));
        }
        let Some((rows, complete)) = self.created_since(since_ms).await? else { return Ok(Look::Incomplete) };
        let mut bare = Vec::new();
        for issue in rows {
            if ours(&issue) {
                return Ok(Look::Found(issue));
            }
            if issue.body.is_empty() {
                bare.push(issue.reference);
            }
        }
        if bare.len() > BARE {
            return Ok(Look::Incomplete);
        }
        for reference in bare {
            if let Some(issue) = self.get(&reference).await?.filter(ours) {
                return Ok(Look::Found(issue));
            }
        }
        Ok(if complete { Look::Absent } else { Look::Incomplete })
    }

    /// What was created since, and whether that is all of it; `None` where no tool can say.
    async fn created_since(&self, since_ms: u64) -> Result<Option<(Vec<Issue>, bool)>, Stop> {
        if self.linear() {
            let tool = self.tool(Capability::LinearListIssues).await?;
            let Some(arguments) = lin::created_since(&tool, self.team, self.project, since_ms) else { return Ok(None) };
            let rows = self.rows(&Self::list(self.ask(Capability::LinearListIssues, &tool, arguments).await?)?);
            let complete = rows.len() < lin::LIMIT;
            return Ok(Some((rows, complete)));
        }
        let tool = self.tool(Capability::GithubListIssues).await?;
        let mut all: Vec<Issue> = Vec::new();
        for page in 1..=PAGES {
            let arguments = gh::list(&tool, self.repo, since_ms, page);
            let rows = self.rows(&Self::list(self.ask(Capability::GithubListIssues, &tool, arguments).await?)?);
            let short = rows.len() < github::PAGE;
            let before = all.len();
            for row in rows {
                if !all.iter().any(|known| known.reference.id == row.reference.id) {
                    all.push(row);
                }
            }
            if short {
                return Ok(Some((all, true)));
            }
            if all.len() == before {
                break;
            }
        }
        Ok(Some((all, false)))
    }

    pub async fn look_for_comment(&self, key: &str, issue: &IssueRef) -> Result<Look<Comment>, Stop> {
        let marker = marker::effect(key);
        let capability = if self.linear() { Capability::LinearListComments } else { Capability::GithubListComments };
        let tool = match self.tool(capability).await {
            Err(stop) if missing(&stop) => return Ok(Look::Incomplete),
            other => other?,
        };
        for page in 1..=PAGES {
            let arguments = if self.linear() {
                lin::comments(&tool, &issue.id)
            } else {
                gh::comments(&tool, self.repo, issue.number.unwrap_or_default(), page)
            };
            let rows = tools::comments(&Self::list(self.ask(capability, &tool, arguments).await?)?);
            let short = rows.len() < github::PAGE;
            if let Some(found) = rows.into_iter().find(|comment| comment.body.contains(&marker)) {
                return Ok(Look::Found(found));
            }
            if short {
                return Ok(Look::Absent);
            }
        }
        Ok(Look::Incomplete)
    }

    /// Issues that changed since, where the server's tool takes a time.
    pub async fn changes(&self, since_ms: u64) -> Result<Changes, Stop> {
        let issues = if self.linear() {
            self.find("tandem:fingerprint:v1:").await?
        } else {
            let tool = self.tool(Capability::GithubListIssues).await?;
            let arguments = gh::list(&tool, self.repo, since_ms, 1);
            self.rows(&self.ask(Capability::GithubListIssues, &tool, arguments).await?)
        };
        let latest = issues.iter().filter_map(|issue| issue.updated_at_ms).max().unwrap_or(0);
        let all = issues.len() < lin::LIMIT;
        Ok(Changes { since_ms: if all { since_ms.max(latest) } else { since_ms }, issues, etag: None })
    }
}
