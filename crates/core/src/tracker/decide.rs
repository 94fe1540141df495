//! What is done about a failure, given the issue that was found for it.
//!
//! | Asked for | Found | Done |
//! |---|---|---|
//! | publish | nothing | create, if creating is on |
//! | publish | open | comment where comments are on and the tracker is GitHub, else recorded as matched |
//! | publish | closed | by the destination: create another one that names it, open it again, or comment |
//! | recurrence, `comment` | open or closed | comment |
//! | recurrence, `reopen` | open | comment |
//! | recurrence, `reopen` | closed | open it again and comment |
//! | recurrence | nothing | nothing: the issue is gone, and a new one was not asked for |

use super::{Issue, IssueState, settings::ClosedPolicy};
use crate::{config::RecurrencePolicy, destination::DestinationKind, publish::Action};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Publish,
    Recurrence(RecurrencePolicy),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub kind: DestinationKind,
    pub comment_on_open: bool,
    pub closed: ClosedPolicy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `previous` is a closed issue of the same failure.
    Create {
        previous: Option<Issue>,
    },
    Comment(Issue),
    /// Opens the issue again and says why in a comment.
    Reopen(Issue),
    /// Nothing is sent: the failure has its issue.
    Matched {
        issue: Issue,
        action: Action,
    },
    /// The issue that was to be told is not there any more.
    Gone,
}

impl Step {
    /// The operation and the action of a step that sends something.
    pub fn operation(&self) -> Option<(&'static str, Action)> {
        match self {
            Self::Create { .. } => Some((CREATE, Action::CreateIssue)),
            Self::Comment(_) => Some((COMMENT, Action::CommentIssue)),
            Self::Reopen(_) => Some((REOPEN, Action::CommentIssue)),
            Self::Matched { .. } | Self::Gone => None,
        }
    }
}

pub const CREATE: &str = "create_issue";
pub const COMMENT: &str = "comment_issue";
/// Kept apart only while it is under way; a receipt says `comment_issue`.
pub const REOPEN: &str = "reopen_issue";
pub const MATCH: &str = "match_issue";

pub fn decide(asked: Asked, found: Option<Issue>, rules: Rules) -> Step {
    match (asked, found) {
        (Asked::Publish, None) => Step::Create { previous: None },
        (Asked::Publish, Some(issue)) => match (issue.state, rules.closed) {
            (IssueState::Open, _) if rules.kind == DestinationKind::LinearIssue => {
                Step::Matched { issue, action: Action::MatchedLinearIssue }
            }
            (IssueState::Open, _) if rules.comment_on_open => Step::Comment(issue),
            (IssueState::Open, _) => Step::Matched { issue, action: Action::MatchedOpenNoComment },
            (IssueState::Closed, ClosedPolicy::NewIssue) => Step::Create { previous: Some(issue) },
            (IssueState::Closed, ClosedPolicy::Reopen) => Step::Reopen(issue),
            (IssueState::Closed, ClosedPolicy::Comment) => Step::Comment(issue),
        },
        (Asked::Recurrence(_), None) => Step::Gone,
        (Asked::Recurrence(policy), Some(issue)) => match (policy, issue.state) {
            (RecurrencePolicy::Reopen, IssueState::Closed) => Step::Reopen(issue),
            (RecurrencePolicy::Reopen, IssueState::Open)
            | (RecurrencePolicy::Comment | RecurrencePolicy::NewDraft | RecurrencePolicy::None, _) => {
                Step::Comment(issue)
            }
        },
    }
}

/// The issue of a failure among those that a search brought: only one whose body holds the whole marker counts. Open
/// ones come before closed ones, newer ones before older ones.
pub fn pick(found: Vec<Issue>, marker: &str) -> Option<Issue> {
    let age = |issue: &Issue| (issue.reference.number, issue.created_at_ms, issue.reference.identifier.clone());
    found
        .into_iter()
        .filter(|issue| issue.carries(marker))
        .max_by(|a, b| (a.state == IssueState::Open, age(a)).cmp(&(b.state == IssueState::Open, age(b))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::IssueRef;

    fn issue(number: u64, state: IssueState, body: &str) -> Issue {
        Issue {
            reference: IssueRef { id: number.to_string(), number: Some(number), ..IssueRef::default() },
            state,
            title: "Same title".into(),
            body: body.into(),
            created_at_ms: None,
            updated_at_ms: None,
            closed_at_ms: None,
        }
    }

    #[test]
    fn the_table() {
        use Asked::{Publish, Recurrence};
        use ClosedPolicy as C;
        use DestinationKind::{GithubIssue as G, LinearIssue as L};
        use IssueState::{Closed, Open};
        use RecurrencePolicy as R;
        let table: [(Asked, Option<IssueState>, DestinationKind, bool, C, &str); 14] = [
            (Publish, None, G, true, C::NewIssue, "create"),
            (Publish, Some(Open), G, true, C::NewIssue, "comment"),
            (Publish, Some(Open), G, false, C::NewIssue, "matched_open_no_comment"),
            (Publish, Some(Open), L, true, C::NewIssue, "matched_linear_issue"),
            (Publish, Some(Closed), G, true, C::NewIssue, "create after 1"),
            (Publish, Some(Closed), G, true, C::Reopen, "reopen"),
            (Publish, Some(Closed), L, true, C::Comment, "comment"),
            (Publish, Some(Closed), L, true, C::NewIssue, "create after 1"),
            (Recurrence(R::Comment), Some(Open), G, false, C::NewIssue, "comment"),
            (Recurrence(R::Comment), Some(Closed), G, true, C::Reopen, "comment"),
            (Recurrence(R::Reopen), Some(Open), L, true, C::NewIssue, "comment"),
            (Recurrence(R::Reopen), Some(Closed), G, true, C::NewIssue, "reopen"),
            (Recurrence(R::Comment), None, G, true, C::NewIssue, "gone"),
            (Recurrence(R::Reopen), None, L, true, C::NewIssue, "gone"),
        ];
        for (asked, state, kind, comment_on_open, closed, expected) in table {
            let found = state.map(|state| issue(1, state, ""));
            let step = decide(asked, found, Rules { kind, comment_on_open, closed });
            let told = match &step {
                Step::Create { previous: None } => "create".to_owned(),
                Step::Create { previous: Some(issue) } => format!("create after {}", issue.reference.id),
                Step::Comment(_) => "comment".into(),
                Step::Reopen(_) => "reopen".into(),
                Step::Matched { action, .. } => action.word().into(),
                Step::Gone => "gone".into(),
            };
            assert_eq!(told, expected, "{asked:?} {state:?} {kind:?}");
        }
    }

    #[test]
    fn only_the_whole_marker_counts() {
        let marker = crate::triage::marker::fingerprint("fp");
        let named = |found: Vec<Issue>| pick(found, &marker).map(|issue| issue.reference.id);
        assert_eq!(named(vec![issue(9, IssueState::Open, "fp tandem:fingerprint:v1:fp")]), None);
        let longer = crate::triage::marker::fingerprint("fp-2");
        assert_eq!(named(vec![issue(9, IssueState::Open, &longer)]), None);
        let ours = vec![
            issue(1, IssueState::Open, &marker),
            issue(2, IssueState::Open, &marker),
            issue(3, IssueState::Closed, &marker),
            issue(4, IssueState::Open, "no marker"),
        ];
        assert_eq!(named(ours), Some("2".into()));
    }
}
