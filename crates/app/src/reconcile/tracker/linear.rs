//! Linear over its GraphQL API.

use tandem_core::{
    publish::refusal::Refusal,
    tracker::{Comment, Issue, IssueRef, TrackerCursor, answer::Trouble, client_id, doubt::Look, linear},
};

use super::{Stop, adapter::Changes, reach::Reach};

const PAGES: usize = 5;

pub(crate) struct Linear<'a> {
    pub reach: Reach<'a>,
    pub team: &'a str,
    pub project: &'a str,
}

fn malformed(write: bool) -> Stop {
    Stop::Trouble(Trouble {
        retryable: true,
        may_have_acted: write,
        refusal: (!write).then_some(Refusal::Untold),
        ..Trouble::new("answer_malformed", "the tracker's answer lacks what it should hold")
    })
}

fn refused(stop: &Stop) -> bool {
    matches!(stop, Stop::Trouble(trouble) if !trouble.may_have_acted && trouble.code == "tracker_refused")
}

impl Linear<'_> {
    pub async fn find(&self, marker: &str) -> Result<Vec<Issue>, Stop> {
        let answer = self.reach.ask(linear::find(self.team, self.project, marker)).await?;
        linear::issues(&answer).map(|(issues, _)| issues).ok_or_else(|| malformed(false))
    }

    pub async fn get(&self, id: &str) -> Result<Option<Issue>, Stop> {
        let answer = self.reach.ask(linear::get(id)).await?;
        match linear::one(&answer, "issues", id).ok_or_else(|| malformed(false))? {
            Some(row) => linear::issue(row).map(Some).ok_or_else(|| malformed(false)),
            None => Ok(None),
        }
    }

    /// What the configured names stand for. Asked for before anything is announced would be better still; names are
    /// cached, and a name that does not exist is a refusal in which nothing was sent.
    async fn target(&self) -> Result<linear::Target, Stop> {
        let key = format!("{}|{}|{}", self.reach.lane, self.team, self.project);
        if let Some(known) = self.reach.app.trackers.target(&key, self.reach.app.now_ms()) {
            return Ok(known);
        }
        let answer = self.reach.ask(linear::target(self.team, self.project)).await?;
        let target = linear::target_of(&answer).map_err(|code| {
            Stop::trouble(code, "the configured team or project does not exist, or is not the only one")
        })?;
        self.reach.app.trackers.target_known(&key, target.clone(), self.reach.app.now_ms());
        Ok(target)
    }

    /// Under an id of our own. A refusal may mean that the id is taken: then the issue is there, and it is ours.
    pub async fn create(&self, key: &str, title: &str, body: &str, risk: Option<&str>) -> Result<Issue, Stop> {
        let target = self.target().await?;
        let id = client_id(key, "issue");
        let request = linear::create(&id, &target, title, body, linear::priority(risk));
        match self.reach.write(request).await {
            Ok(answer) => {
                linear::made(&answer, "issueCreate", "issue").and_then(linear::issue).ok_or_else(|| malformed(true))
            }
            Err(stop) if refused(&stop) => match self.get(&id).await {
                Ok(Some(issue)) => Ok(issue),
                Ok(None) | Err(_) => Err(stop),
            },
            Err(stop) => Err(stop),
        }
    }

    pub async fn comment(&self, key: &str, issue: &IssueRef, body: &str) -> Result<Comment, Stop> {
        let id = client_id(key, "comment");
        match self.reach.write(linear::comment(&id, &issue.id, body)).await {
            Ok(answer) => linear::made(&answer, "commentCreate", "comment")
                .and_then(linear::comment_of)
                .ok_or_else(|| malformed(true)),
            Err(stop) if refused(&stop) => match self.look_for_comment(key).await {
                Ok(Look::Found(comment)) => Ok(comment),
                Ok(Look::Absent | Look::Incomplete) | Err(_) => Err(stop),
            },
            Err(stop) => Err(stop),
        }
    }

    pub async fn reopen(&self, issue: &IssueRef) -> Result<(), Stop> {
        let state = self.target().await?.open_state_id;
        let state =
            state.ok_or_else(|| Stop::trouble("linear_state_unknown", "the team has no state for open issues"))?;
        self.reach.write(linear::reopen(&issue.id, &state)).await.map(drop)
    }

    /// A read by the id that we chose: it proves either.
    pub async fn look_for_issue(&self, key: &str) -> Result<Look<Issue>, Stop> {
        Ok(self.get(&client_id(key, "issue")).await?.map_or(Look::Absent, Look::Found))
    }

    pub async fn look_for_comment(&self, key: &str) -> Result<Look<Comment>, Stop> {
        let id = client_id(key, "comment");
        let answer = self.reach.ask(linear::get_comment(&id)).await?;
        match linear::one(&answer, "comments", &id).ok_or_else(|| malformed(false))? {
            Some(row) => linear::comment_of(row).map(Look::Found).ok_or_else(|| malformed(false)),
            None => Ok(Look::Absent),
        }
    }

    pub async fn changes(&self, cursor: &TrackerCursor) -> Result<Changes, Stop> {
        let mut all = Vec::new();
        let mut after = cursor.place.clone();
        for _ in 0..PAGES {
            let request = linear::changed_since(self.team, self.project, cursor.since_ms, after.as_deref());
            let answer = self.reach.ask(request).await?;
            let (issues, next) = linear::issues(&answer).ok_or_else(|| malformed(false))?;
            all.extend(issues);
            after = next;
            if after.is_none() {
                break;
            }
        }
        Ok(Changes::newest_first(cursor, all, after))
    }
}
