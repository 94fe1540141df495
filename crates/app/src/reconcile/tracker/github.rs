//! GitHub over its REST API.

use tandem_core::{
    publish::refusal::Refusal,
    tracker::{Comment, Issue, IssueRef, answer::Trouble, doubt::Look, github, tools::looked_in_part},
    triage::marker,
};

use super::{Stop, adapter::Changes, reach::Reach};

/// Pages that a look goes through before it says that it is incomplete.
const PAGES: u64 = 5;

/// Pages that are read at once where one moment fills them.
const TURNS: u64 = 100;

pub(crate) struct Github<'a> {
    pub reach: Reach<'a>,
    pub repo: &'a str,
}

fn malformed(write: bool) -> Stop {
    Stop::Trouble(Trouble {
        retryable: true,
        may_have_acted: write,
        refusal: (!write).then_some(Refusal::Untold),
        ..Trouble::new("answer_malformed", "the tracker's answer lacks what it should hold")
    })
}

/// An answer that says that there is no such thing.
fn absent(stop: &Stop) -> bool {
    matches!(stop, Stop::Trouble(trouble) if matches!(trouble.status, Some(404 | 410)))
}

impl Github<'_> {
    pub async fn find(&self, marker: &str) -> Result<Vec<Issue>, Stop> {
        let answer = self.reach.ask(github::search(self.repo, marker)).await?;
        let (found, _) = github::issues(&answer).ok_or_else(|| malformed(false))?;
        if looked_in_part(&answer) && !found.iter().any(|issue| issue.carries(marker)) {
            return Err(Stop::Trouble(Trouble {
                retryable: true,
                ..Trouble::new(
                    "search_incomplete",
                    "the tracker did not search to the end for an issue of this failure",
                )
            }));
        }
        Ok(found)
    }

    pub async fn get(&self, issue: &IssueRef) -> Result<Option<Issue>, Stop> {
        match self.reach.ask(github::get(self.repo, &issue.id)).await {
            Ok(answer) => github::issue(&answer).map(Some).ok_or_else(|| malformed(false)),
            Err(stop) if absent(&stop) => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    pub async fn create(&self, title: &str, body: &str) -> Result<Issue, Stop> {
        let answer = self.reach.write(github::create(self.repo, title, body)).await?;
        github::issue(&answer).ok_or_else(|| malformed(true))
    }

    pub async fn comment(&self, issue: &IssueRef, body: &str) -> Result<Comment, Stop> {
        let answer = self.reach.write(github::comment(self.repo, &issue.id, body)).await?;
        github::comment_of(&answer).ok_or_else(|| malformed(true))
    }

    pub async fn reopen(&self, issue: &IssueRef) -> Result<(), Stop> {
        self.reach.write(github::reopen(self.repo, &issue.id)).await.map(drop)
    }

    /// Through the list of what was created, which does not lag; the search only where there is too much of that.
    pub async fn look_for_issue(&self, key: &str, since_ms: u64) -> Result<Look<Issue>, Stop> {
        let marker = marker::effect(key);
        for page in 1..=PAGES {
            let answer = self.reach.ask(github::created_since(self.repo, since_ms, page)).await?;
            let (issues, rows) = github::issues(&answer).ok_or_else(|| malformed(false))?;
            let older = issues.last().and_then(|issue| issue.created_at_ms).is_some_and(|at| at < since_ms);
            if let Some(found) = issues.into_iter().find(|issue| issue.carries(&marker)) {
                return Ok(Look::Found(found));
            }
            if rows < github::PAGE || older {
                return Ok(Look::Absent);
            }
        }
        let answer = self.reach.ask(github::search(self.repo, &marker)).await?;
        let (found, _) = github::issues(&answer).ok_or_else(|| malformed(false))?;
        let found = found.into_iter().find(|issue| issue.carries(&marker));
        Ok(found.map_or(Look::Incomplete, Look::Found))
    }

    pub async fn look_for_comment(&self, key: &str, issue: &IssueRef, since_ms: u64) -> Result<Look<Comment>, Stop> {
        let marker = marker::effect(key);
        for page in 1..=PAGES {
            let answer = match self.reach.ask(github::comments_since(self.repo, &issue.id, since_ms, page)).await {
                // Where there is no issue there is no comment of ours.
                Err(stop) if absent(&stop) => return Ok(Look::Absent),
                other => other?,
            };
            let rows = answer.as_array().ok_or_else(|| malformed(false))?;
            let found = rows.iter().filter_map(github::comment_of).find(|comment| comment.body.contains(&marker));
            if let Some(comment) = found {
                return Ok(Look::Found(comment));
            }
            if rows.len() < github::PAGE {
                return Ok(Look::Absent);
            }
        }
        Ok(Look::Incomplete)
    }

    /// The first page is asked for with the validator of the last answer: an unchanged repository costs nothing. Each
    /// page begins at the last change of the one before it and not at a number, because what changes meanwhile leaves
    /// its place and moves everything behind it.
    pub async fn changes(&self, since_ms: u64, etag: Option<&str>) -> Result<Changes, Stop> {
        let mut changes = Changes { since_ms, more: true, ..Changes::default() };
        let mut page = 1;
        for turn in 0..TURNS {
            // A moment that fills several pages is read to its end: the next question would begin with it again.
            if turn >= PAGES && page == 1 {
                break;
            }
            let etag = etag.filter(|_| turn == 0);
            let request = github::changed_since(self.repo, changes.since_ms, page, etag);
            let (answer, told) = self.reach.ask_for(request).await?;
            if told.status == 304 {
                changes.etag = etag.map(str::to_owned);
                changes.more = false;
                return Ok(changes);
            }
            let (issues, rows) = github::issues(&answer).ok_or_else(|| malformed(false))?;
            // A full page that stays as it is says nothing of what comes after it.
            if turn == 0 && rows < github::PAGE {
                changes.etag = told.header("etag").map(str::to_owned);
            }
            changes.issues.extend(issues);
            let latest = github::latest(&answer).unwrap_or(0).max(changes.since_ms);
            // Only a page that is full of one moment has to be turned.
            page = if latest > changes.since_ms { 1 } else { page + 1 };
            changes.since_ms = latest;
            if rows < github::PAGE {
                changes.more = false;
                break;
            }
        }
        if changes.since_ms != since_ms {
            // The validator belongs to another question now.
            changes.etag = None;
        }
        Ok(changes)
    }
}
