//! The one set of things that a tracker can be asked and told, whichever way it is reached.

use tandem_core::{
    destination::{Destination, DestinationKind},
    redaction::{Counts, redactor},
    tenant::TenantKey,
    tracker::{Comment, Issue, IssueRef, Settings, TrackerCursor, answer::Trouble, doubt::Look, settings::Via},
};

use super::{
    Stop,
    github::Github,
    linear::Linear,
    reach::{Reach, Turn},
    tools::{TOOL_ERROR, Toolbox},
};
use crate::App;

pub(crate) enum Adapter<'a> {
    Github(Github<'a>),
    Linear(Linear<'a>),
    Tools(Toolbox<'a>),
}

/// What changed at a tracker since it was asked last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    pub issues: Vec<Issue>,
    /// Everything up to this time has been seen.
    pub since_ms: u64,
    pub etag: Option<String>,
    /// There is more to be asked for at once.
    pub more: bool,
    /// Where the question goes on, for trackers that show the newest first, and the newest change that it has shown.
    pub place: Option<String>,
    pub newest_ms: u64,
}

impl Changes {
    /// What is known after some pages of a list that begins with the newest. Only a list that was read to its end says
    /// how far we know; `place` is where it goes on otherwise.
    pub fn newest_first(cursor: &TrackerCursor, issues: Vec<Issue>, place: Option<String>) -> Self {
        let latest = issues.iter().filter_map(|issue| issue.updated_at_ms).max().unwrap_or(0);
        // What changes while the list is read moves to its front, so its first part sets the mark.
        let newest_ms = if cursor.place.is_some() { cursor.newest_ms } else { latest };
        let since_ms = if place.is_some() { cursor.since_ms } else { cursor.since_ms.max(newest_ms) };
        Self { issues, since_ms, etag: None, more: place.is_some(), place, newest_ms }
    }
}

impl App {
    /// The adapter of a destination, with its token read now.
    pub(crate) fn adapter<'a>(
        &'a self,
        tenant: &'a TenantKey,
        destination: &'a Destination,
        settings: &'a Settings,
        lane: &'a str,
        target: &'a str,
    ) -> Result<Adapter<'a>, Trouble> {
        let reach =
            |token| Reach { app: self, kind: destination.kind, settings, lane, budget: settings.budget_key(), token };
        match &settings.via {
            Via::Api(api) => {
                let token = self.ports.secrets.resolve(&api.token.to_string()).map_err(|_| Trouble {
                    retryable: true,
                    ..Trouble::new("secret_unavailable", "the tracker's token has no value now")
                })?;
                let reach = reach(Some(token));
                Ok(match destination.kind {
                    DestinationKind::LinearIssue => Adapter::Linear(Linear {
                        reach,
                        team: destination.linear_team.as_deref().unwrap_or_default(),
                        project: destination.linear_project.as_deref().unwrap_or_default(),
                    }),
                    DestinationKind::GithubIssue
                    | DestinationKind::Webhook
                    | DestinationKind::Telemetry
                    | DestinationKind::InternalMemory
                    | DestinationKind::McpTool => Adapter::Github(Github { reach, repo: target }),
                })
            }
            Via::Mcp(server) => Ok(Adapter::Tools(Toolbox {
                reach: reach(None),
                tenant,
                server,
                repo: target,
                team: destination.linear_team.as_deref().unwrap_or_default(),
                project: destination.linear_project.as_deref().unwrap_or_default(),
            })),
        }
    }
}

impl Adapter<'_> {
    fn reach(&self) -> &Reach<'_> {
        match self {
            Self::Github(github) => &github.reach,
            Self::Linear(linear) => &linear.reach,
            Self::Tools(tools) => &tools.reach,
        }
    }

    /// A tracker's words as they may be shown: it may quote what it was sent.
    pub fn clean(&self, text: &str) -> String {
        self.reach().clean(&redactor(None).text(text, &mut Counts::new()))
    }

    /// The right to write now.
    pub async fn turn(&self) -> Result<Turn, Stop> {
        self.reach().turn().await
    }

    /// Issues that may carry this marker. What is not found may still be there: an index may lag.
    pub async fn find(&self, marker: &str) -> Result<Vec<Issue>, Stop> {
        match self {
            Self::Github(github) => github.find(marker).await,
            Self::Linear(linear) => linear.find(marker).await,
            Self::Tools(tools) => tools.find(marker).await,
        }
    }

    /// The issue as it is now; `None` when it is not there any more.
    pub async fn get(&self, issue: &IssueRef) -> Result<Option<Issue>, Stop> {
        match self {
            Self::Github(github) => github.get(issue).await,
            Self::Linear(linear) => linear.get(&issue.id).await,
            Self::Tools(tools) => tools.get(issue).await,
        }
    }

    /// The issue as it is now, where it can be read. A tool's word that it failed is no word on whether the issue is
    /// there; whoever asks looks another way then.
    pub async fn read(&self, issue: &IssueRef) -> Result<Option<Issue>, Stop> {
        match self.get(issue).await {
            Err(Stop::Trouble(trouble)) if trouble.code == TOOL_ERROR => Ok(None),
            other => other,
        }
    }

    /// Creates an issue. Needs a turn and an announced intent.
    pub async fn create(&self, key: &str, title: &str, body: &str, risk: Option<&str>) -> Result<Issue, Stop> {
        match self {
            Self::Github(github) => github.create(title, body).await,
            Self::Linear(linear) => linear.create(key, title, body, risk).await,
            Self::Tools(tools) => tools.create(title, body, risk).await,
        }
    }

    /// Comments. Needs a turn and an announced intent.
    pub async fn comment(&self, key: &str, issue: &IssueRef, body: &str) -> Result<Comment, Stop> {
        match self {
            Self::Github(github) => github.comment(issue, body).await,
            Self::Linear(linear) => linear.comment(key, issue, body).await,
            Self::Tools(tools) => tools.comment(issue, body).await,
        }
    }

    /// Opens an issue again; doing so twice is doing it once.
    pub async fn reopen(&self, issue: &IssueRef) -> Result<(), Stop> {
        match self {
            Self::Github(github) => github.reopen(issue).await,
            Self::Linear(linear) => linear.reopen(issue).await,
            Self::Tools(tools) => tools.reopen(issue).await,
        }
    }

    /// Looks for the issue that a delivery of this key may have created since.
    pub async fn look_for_issue(&self, key: &str, since_ms: u64) -> Result<Look<Issue>, Stop> {
        match self {
            Self::Github(github) => github.look_for_issue(key, since_ms).await,
            Self::Linear(linear) => linear.look_for_issue(key).await,
            Self::Tools(tools) => tools.look_for_issue(key, since_ms).await,
        }
    }

    /// Looks for the comment that a delivery of this key may have made since.
    pub async fn look_for_comment(&self, key: &str, issue: &IssueRef, since_ms: u64) -> Result<Look<Comment>, Stop> {
        match self {
            Self::Github(github) => github.look_for_comment(key, issue, since_ms).await,
            Self::Linear(linear) => linear.look_for_comment(key).await,
            Self::Tools(tools) => tools.look_for_comment(key, issue).await,
        }
    }

    /// Issues that changed since, at most a few pages of them. A question that was not answered to its end goes on
    /// where it was left.
    pub async fn changes(&self, cursor: &TrackerCursor) -> Result<Changes, Stop> {
        match self {
            Self::Github(github) => github.changes(cursor.since_ms, cursor.etag.as_deref()).await,
            Self::Linear(linear) => linear.changes(cursor).await,
            Self::Tools(tools) => tools.changes(cursor).await,
        }
    }
}
