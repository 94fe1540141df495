//! GitHub and Linear through the tools of an MCP server. What a server cannot do is said, not guessed: without a tool
//! that lists, an outcome in doubt stays unknown.

use serde_json::{Map, Value};
use tandem_core::{
    destination::DestinationKind,
    mcp::{ToolCall, ToolFault, ToolRow},
    ports::Tools,
    publish::refusal::{self, Refusal},
    tenant::TenantKey,
    tracker::{
        Class, Comment, Issue, IssueRef, IssueState, TrackerCursor,
        answer::Trouble,
        budget::Limits,
        doubt::Look,
        linear,
        paging::{Next, Pager},
        tools::{self, Capability, Order, gh, lin},
    },
    triage::marker,
};

use super::{Stop, adapter::Changes, reach::Reach};

/// Pages that one way through a list has at most.
const PAGES: usize = 10;
/// Rows without their text are read one by one, up to so many.
const BARE: usize = 20;
/// No page of a list is smaller than this where there is more to show. Only for what was never sent before.
const FEW: usize = 10;
/// The code of a tool's own word that it failed.
pub(super) const TOOL_ERROR: &str = "mcp_tool_error";

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
        refusal: (!write).then_some(Refusal::Untold),
        ..Trouble::new("answer_malformed", "the tool's answer lacks what it should hold")
    })
}

fn missing(stop: &Stop) -> bool {
    matches!(stop, Stop::Trouble(trouble) if trouble.code == "capability_missing")
}

/// A look that was not a whole one: for now, or because there is more than can be gone through.
fn in_part(why: Refusal) -> Stop {
    Stop::Trouble(Trouble {
        retryable: true,
        refusal: Some(why),
        ..Trouble::new("search_incomplete", "the tracker could not be searched to the end for an issue of this failure")
    })
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

    /// Calls a tool once. Words are no proof: a tool that says that it failed may have acted before, so after a write
    /// that is looked up like a lost answer. Only the protocol's own refusals of a request promise that nothing
    /// happened.
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
                // What may have happened is looked up, and a look is another attempt.
                fault => Trouble {
                    retryable: fault.retryable() || (write && error.may_have_acted),
                    may_have_acted: write && error.may_have_acted,
                    refused: write && error.may_have_acted && fault == ToolFault::Refused,
                    refusal: error.refusal(),
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
            let slowly = tools::speaks_of_limits(&text).then(|| limited(None));
            return Err(Stop::Trouble(Trouble {
                retryable: true,
                may_have_acted: write,
                refused: write,
                refusal: Some(refusal::of_words(&text)),
                retry_after_ms: slowly.and_then(|limit| limit.retry_after_ms),
                ..Trouble::new(TOOL_ERROR, text)
            }));
        }
        answer.value().ok_or_else(|| malformed(write))
    }

    fn rows(&self, value: &Value) -> Vec<Issue> {
        tools::issues(self.reach.kind, value)
    }

    /// One way through a list: hands each page's rows to `page`, which says how many of them are new, or that it has
    /// seen enough. Says whether the list was seen to its end.
    async fn pages<T>(
        &self,
        capability: Capability,
        tool: &ToolRow,
        pager: &mut Pager,
        arguments: impl Fn(&Pager) -> Map<String, Value>,
        mut page: impl FnMut(&Value) -> Seen<T>,
    ) -> Result<Way<T>, Stop> {
        let mut readable = true;
        for _ in 0..PAGES {
            let answer = self.ask(capability, tool, arguments(pager)).await?;
            // What is to prove something must be a list, and every row of it must be readable.
            let rows = tools::listed(&answer).ok_or_else(|| malformed(false))?;
            match page(&answer) {
                Seen::Enough(found) => return Ok(Way::Found(found)),
                Seen::Rows { read, fresh } => {
                    readable &= read >= rows;
                    match pager.read(&answer, rows, fresh) {
                        Next::More => {}
                        Next::End { whole } => {
                            return Ok(Way::End { whole: whole && readable && capability.shows_all(tool) });
                        }
                    }
                }
            }
        }
        Ok(Way::Left)
    }

    /// Goes through a list of issues until one is what is looked for. Collects what it sees.
    async fn issues(
        &self,
        pager: &mut Pager,
        arguments: impl Fn(&ToolRow, &Pager) -> Map<String, Value>,
        tool: &ToolRow,
        sought: impl Fn(&Issue) -> bool,
    ) -> Result<(Vec<Issue>, Way<Issue>), Stop> {
        let capability = if self.linear() { Capability::LinearListIssues } else { Capability::GithubListIssues };
        let mut all: Vec<Issue> = Vec::new();
        let way = self
            .pages(
                capability,
                tool,
                pager,
                |pager| arguments(tool, pager),
                |answer| {
                    let rows = self.rows(answer);
                    let found = rows.iter().find(|issue| sought(issue)).cloned();
                    let (read, before) = (rows.len(), all.len());
                    for row in rows {
                        if !all.iter().any(|known| known.reference.id == row.reference.id) {
                            all.push(row);
                        }
                    }
                    match found {
                        Some(found) => Seen::Enough(found),
                        None => Seen::Rows { read, fresh: all.len() - before },
                    }
                },
            )
            .await?;
        Ok((all, way))
    }

    async fn lister(&self) -> Result<(ToolRow, Pager), Stop> {
        let capability = if self.linear() { Capability::LinearListIssues } else { Capability::GithubListIssues };
        let tool = self.tool(capability).await?;
        let pager = capability.pager(&tool);
        Ok((tool, pager))
    }

    /// Issues that may carry this marker. Where there is no search, the list is gone through; one that is too long to
    /// be gone through shows nothing, and nothing is created on it.
    pub async fn find(&self, marker: &str) -> Result<Vec<Issue>, Stop> {
        if !self.linear() {
            match self.tool(Capability::GithubSearchIssues).await {
                Ok(tool) => return self.search(&tool, marker).await,
                Err(stop) if missing(&stop) => {}
                Err(stop) => return Err(stop),
            }
        }
        let (tool, mut pager) = self.lister().await?;
        let query = marker.trim_start_matches("<!--").trim_end_matches("-->").trim();
        let arguments = |tool: &ToolRow, pager: &Pager| match self.linear() {
            true => lin::list(tool, self.team, self.project, query, pager),
            false => gh::list(tool, self.repo, 0, Order::Created, pager),
        };
        // A closed one may have an open one behind it.
        let open = |issue: &Issue| issue.state == IssueState::Open && issue.carries(marker);
        match self.issues(&mut pager, arguments, &tool, open).await? {
            (_, Way::Found(found)) => Ok(vec![found]),
            (all, Way::End { whole: true }) => Ok(all),
            (all, Way::End { whole: false } | Way::Left) => {
                let found = all.iter().any(|issue| issue.carries(marker));
                if found || all.len() < FEW { Ok(all) } else { Err(in_part(Refusal::Untold)) }
            }
        }
    }

    async fn search(&self, tool: &ToolRow, marker: &str) -> Result<Vec<Issue>, Stop> {
        let arguments = gh::search(tool, self.repo, marker);
        let answer = self.ask(Capability::GithubSearchIssues, tool, arguments).await?;
        let found = self.rows(&answer);
        if tools::looked_in_part(&answer) && !found.iter().any(|issue| issue.carries(marker)) {
            return Err(in_part(Refusal::Passing));
        }
        Ok(found)
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
                // Linear's tools take an identifier for an id, and answer with either.
                self.rows(&value)
                    .into_iter()
                    .find(|found| issue.number.is_none() || found.reference.id == issue.id)
                    .map(Some)
                    .ok_or_else(|| malformed(false))
            }
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
        if let (false, Ok(tool)) = (self.linear(), self.tool(Capability::GithubSearchIssues).await)
            && let Ok(found) = self.search(&tool, &marker).await
            && let Some(found) = found.into_iter().find(ours)
        {
            return Ok(Look::Found(found));
        }
        let (tool, mut pager) = self.lister().await?;
        let arguments = |tool: &ToolRow, pager: &Pager| match self.linear() {
            true => lin::since(tool, self.team, self.project, since_ms, Order::Created, pager),
            false => gh::list(tool, self.repo, since_ms, Order::Created, pager),
        };
        let (all, way) = self.issues(&mut pager, arguments, &tool, ours).await?;
        if let Way::Found(found) = way {
            return Ok(Look::Found(found));
        }
        let bare: Vec<IssueRef> =
            all.into_iter().filter(|issue| issue.body.is_empty()).map(|issue| issue.reference).collect();
        if bare.len() > BARE {
            return Ok(Look::Incomplete);
        }
        let mut read = true;
        for reference in bare {
            match self.get(&reference).await {
                Ok(Some(issue)) if ours(&issue) => return Ok(Look::Found(issue)),
                Ok(_) => {}
                // A row that cannot be read may be ours.
                Err(Stop::Trouble(trouble)) if trouble.code == TOOL_ERROR => read = false,
                Err(stop) => return Err(stop),
            }
        }
        Ok(if read && matches!(way, Way::End { whole: true }) { Look::Absent } else { Look::Incomplete })
    }

    pub async fn look_for_comment(&self, key: &str, issue: &IssueRef) -> Result<Look<Comment>, Stop> {
        let marker = marker::effect(key);
        let capability = if self.linear() { Capability::LinearListComments } else { Capability::GithubListComments };
        let tool = self.tool(capability).await?;
        let mut pager = capability.pager(&tool);
        let arguments = |pager: &Pager| match self.linear() {
            true => lin::comments(&tool, &issue.id, pager),
            false => gh::comments(&tool, self.repo, issue.number.unwrap_or_default(), pager),
        };
        let mut known: Vec<String> = Vec::new();
        let way = self
            .pages(capability, &tool, &mut pager, arguments, |answer| {
                let rows = tools::comments(answer);
                let (read, before) = (rows.len(), known.len());
                for comment in rows {
                    if comment.body.contains(&marker) {
                        return Seen::Enough(comment);
                    }
                    if !known.contains(&comment.id) {
                        known.push(comment.id);
                    }
                }
                Seen::Rows { read, fresh: known.len() - before }
            })
            .await?;
        Ok(match way {
            Way::Found(comment) => Look::Found(comment),
            Way::End { whole: true } => Look::Absent,
            Way::End { whole: false } | Way::Left => Look::Incomplete,
        })
    }

    /// Issues that changed since, the latest change first; of Linear those of ours where the tool can be told so.
    pub async fn changes(&self, cursor: &TrackerCursor) -> Result<Changes, Stop> {
        let (tool, mut pager) = self.lister().await?;
        if let Some(place) = &cursor.place {
            pager.resume(place);
        }
        let arguments = |tool: &ToolRow, pager: &Pager| match self.linear() {
            true => {
                let mut map = lin::since(tool, self.team, self.project, cursor.since_ms, Order::Updated, pager);
                map.extend(lin::only_ours(tool));
                map
            }
            false => gh::list(tool, self.repo, cursor.since_ms, Order::Updated, pager),
        };
        // Where the latest change comes first, one from before the question ends it.
        let known = |issue: &Issue| {
            tools::orders(self.reach.kind, &tool)
                && issue.updated_at_ms.is_some_and(|at| at.saturating_add(1_000) < cursor.since_ms)
        };
        let (issues, way) = self.issues(&mut pager, arguments, &tool, known).await?;
        // A list that ended somewhere without its end being known has shown what it shows.
        let place = matches!(way, Way::Left).then(|| pager.place());
        Ok(Changes::newest_first(cursor, issues, place))
    }
}

/// What was seen on a page.
enum Seen<T> {
    /// Rows that could be read, and those of them that are new.
    Rows {
        read: usize,
        fresh: usize,
    },
    Enough(T),
}

/// How a way through a list ended.
enum Way<T> {
    Found(T),
    End {
        whole: bool,
    },
    /// After so many pages; there may be more.
    Left,
}
