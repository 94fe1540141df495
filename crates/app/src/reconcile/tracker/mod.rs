//! A delivery to an issue tracker: look for what an earlier attempt left in doubt, look for the failure's issue, decide,
//! announce, send once.
//!
//! The order is what makes it exactly once. Nothing is sent before [`App::intend`] has committed what is about to be
//! sent, and after an outcome that is not known nothing is sent before it has been looked up
//! ([`doubt`](tandem_core::tracker::doubt)). What may be created twice by a lagging search is held apart by that list.

mod adapter;
mod github;
mod linear;
mod reach;
mod tools;

use serde_json::{Value, json};
use tandem_core::{
    config::Config,
    destination::DestinationKind,
    draft::Draft,
    publish::{
        Action, Delivery, Intent, Prepared,
        breaker::Admission,
        digest,
        refusal::{self, Refusal},
        settle::Outcome,
    },
    record::{Column, Expect, Put},
    risk,
    tracker::{
        Comment, Issue, IssueRef, IssueState, Settings, TrackedIssue,
        answer::Trouble,
        body::{self, Composed},
        decide::{self, Asked, Rules, Step},
        doubt::{self, Look, Verdict},
        settings::Problem,
    },
    triage::marker,
};

use super::{
    deliver::{Attempted, Ended, Kept, Work},
    destination::only,
};
use crate::App;

pub(crate) use adapter::{Adapter, Changes};
pub use reach::ApiCall;
pub(crate) use reach::Shared;

/// Why an adapter stopped short of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// A budget is spent: nothing was sent.
    Hold {
        until_ms: u64,
    },
    Trouble(Trouble),
}

impl Stop {
    pub(crate) fn trouble(code: &'static str, text: &str) -> Self {
        Self::Trouble(Trouble::new(code, text))
    }
}

/// How a step towards an outcome ended early.
enum Early {
    Ended(Ended),
    Outcome(Outcome),
}

impl From<Stop> for Early {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Hold { until_ms } => Self::Ended(Ended::Hold { until_ms }),
            Stop::Trouble(trouble) => Self::Outcome(trouble.outcome()),
        }
    }
}

/// What is sent, kept with the delivery so that every attempt sends the same.
#[derive(Default)]
struct Text {
    title: String,
    body: String,
    prepared: Prepared,
}

impl Text {
    fn stored(delivery: &Delivery, operation: &str) -> Option<Self> {
        let kept: Value = serde_json::from_str(delivery.payload.as_deref()?).ok()?;
        let text = |key: &str| kept[key].as_str().map(str::to_owned);
        let prepared = delivery.prepared.clone().unwrap_or_default();
        (kept["operation"] == operation).then_some(Self { title: text("title")?, body: text("body")?, prepared })
    }

    fn kept(&self, operation: &str) -> Kept {
        Kept {
            body: json!({ "operation": operation, "title": self.title, "body": self.body }).to_string(),
            prepared: self.prepared.clone(),
        }
    }

    /// What a receipt says of it.
    fn told(&self) -> [(&'static str, Value); 4] {
        [
            ("payload_bytes", json!(self.body.len())),
            ("payload_sha256", json!(tandem_core::text::sha256_hex(&self.body))),
            ("redactions", json!(self.prepared.redactions)),
            ("truncated_fields", json!(self.prepared.truncated_fields)),
        ]
    }
}

impl App {
    pub(super) async fn attempt_tracker(&self, work: &mut Work) -> Ended {
        let config = std::sync::Arc::clone(&work.snapshot);
        // Nothing was sent in this attempt; what an earlier one left in doubt is in doubt still.
        let in_doubt = work.delivery.value.intent.is_some();
        let unsent = |outcome: Outcome| Ended::Attempted(only(Outcome { in_doubt, ..outcome }));
        let settings = match Settings::of(&config.config, &work.destination) {
            Ok(settings) => settings,
            Err(problem) => {
                let outcome = Outcome::blocked(problem_word(problem), "the tracker's settings cannot be used");
                return unsent(outcome);
            }
        };
        let lane = work.claim.job.lane.clone();
        let tenant = work.claim.tenant.clone();
        let target = work.delivery.value.target_ref.clone();
        let destination = work.destination.clone();
        let adapter = match self.adapter(&tenant, &destination, &settings, &lane, &target) {
            Ok(adapter) => adapter,
            Err(trouble) => return unsent(trouble.outcome()),
        };
        if let Admission::Wait { until_ms } = self.breaker(&lane, |breaker| breaker.ask(self.now_ms())) {
            return Ended::Hold { until_ms };
        }
        let ended = match self.tracker_step(work, &config.config, &settings, &adapter).await {
            Ok(attempted) => Ended::Attempted(attempted),
            Err(Early::Ended(ended)) => ended,
            Err(Early::Outcome(outcome)) => {
                let in_doubt = work.delivery.value.intent.is_some();
                Ended::Attempted(only(Outcome { in_doubt, ..outcome }))
            }
        };
        match ended {
            Ended::Attempted(mut attempted) => {
                let outcome = &mut attempted.outcome;
                // A limit is the tracker at work, not out of order; a budget waits for it.
                let limited = outcome.error_code.as_deref() == Some("rate_limited");
                // And so is one that says why it refuses.
                let failed = outcome.retryable && !limited && outcome.refusal != Some(Refusal::Final);
                if limited || outcome.accepted || outcome.status_code.is_some() || outcome.retryable {
                    self.breaker(&lane, |breaker| breaker.settle(!failed, self.now_ms()));
                }
                outcome.error = outcome.error.as_deref().map(|error| adapter.clean(error));
                Ended::Attempted(attempted)
            }
            other => other,
        }
    }

    async fn tracker_step(
        &self,
        work: &mut Work,
        config: &Config,
        settings: &Settings,
        adapter: &Adapter<'_>,
    ) -> Result<Attempted, Early> {
        if let Some(intent) = work.delivery.value.intent.clone() {
            match self.tracker_doubt(work, settings, adapter, &intent).await {
                Ok(Verdict::Settled(attempted)) => return Ok(attempted),
                Ok(Verdict::LookAgainAt(until_ms)) => return Err(Early::Ended(Ended::Hold { until_ms })),
                // Proven not to have happened: from here on it is a first time.
                Ok(Verdict::SendAgain) => {
                    work.delivery.value.intent = None;
                    if let Some(why) = intent.refused.filter(|why| refusal::confirmed(&work.delivery.value, why)) {
                        return Err(unsent(Trouble::new("tracker_refused", why)));
                    }
                }
                Ok(Verdict::Undecided) => {
                    let text = match &intent.refused {
                        Some(why) => format!("the tracker could not be looked through to the end; it had said: {why}"),
                        None => "the tracker could not be looked through to the end".to_owned(),
                    };
                    return Err(unsent(Trouble {
                        retryable: true,
                        refusal: Some(Refusal::Untold),
                        ..Trouble::new("outcome_unknown", text)
                    }));
                }
                Err(Stop::Hold { until_ms }) => return Err(Early::Ended(Ended::Hold { until_ms })),
                Err(Stop::Trouble(trouble)) => return Err(unsent(trouble)),
            }
        }
        let asked = match work.delivery.value.recurrence {
            None => Asked::Publish,
            Some(_) => Asked::Recurrence(config.recurrence.policy),
        };
        let found = self.tracker_match(work, adapter, asked).await.map_err(looked)?;
        let rules = Rules {
            kind: work.destination.kind,
            comment_on_open: config.auto_comment_on_matched_open_issues,
            closed: settings.closed_issues,
        };
        let step = decide::decide(asked, found, rules);
        let Some((operation, action)) = step.operation() else {
            return match step {
                Step::Matched { issue, action } => Ok(self.tracker_matched(work, &issue, action)),
                Step::Create { .. } | Step::Comment(_) | Step::Reopen(_) | Step::Gone => Err(Early::Outcome(
                    Outcome::blocked("issue_gone", "the issue of this failure is not there any more"),
                )),
            };
        };
        let (effect, evidence) = effect(work, &step);
        let text = self.tracker_text(work, &step, operation, &effect, evidence.as_deref());
        // Before the announcement, so that a delivery that waits for its turn is in no doubt.
        let turn = adapter.turn().await.map_err(Early::from)?;
        let issue = match &step {
            Step::Comment(issue) | Step::Reopen(issue) => Some(issue.reference.clone()),
            Step::Create { .. } | Step::Matched { .. } | Step::Gone => None,
        };
        let named = Some(effect.clone()).filter(|effect| *effect != work.delivery.value.idempotency_key);
        let intent = Intent {
            operation: operation.to_owned(),
            action,
            at_ms: self.now_ms(),
            issue,
            effect: named,
            refused: None,
        };
        self.intend(work, intent, Some(text.kept(operation))).await.map_err(Early::Ended)?;
        let sent = match &step {
            Step::Create { .. } => {
                let level = work.draft.classification.risk_level.as_deref();
                let level = level.map(|level| risk::raise(level, config.safety_defaults.minimum_risk_level.as_deref()));
                adapter.create(&effect, &text.title, &text.body, level).await.map(|issue| (issue, None))
            }
            Step::Comment(issue) => adapter
                .comment(&effect, &issue.reference, &text.body)
                .await
                .map(|comment| (issue.clone(), Some(comment))),
            Step::Reopen(issue) => {
                async {
                    adapter.reopen(&issue.reference).await?;
                    let comment = adapter.comment(&effect, &issue.reference, &text.body).await?;
                    Ok((Issue { state: IssueState::Open, ..issue.clone() }, Some(comment)))
                }
                .await
            }
            Step::Matched { .. } | Step::Gone => Err(Stop::trouble("internal", "nothing was to be sent")),
        };
        drop(turn);
        match sent {
            Ok((issue, comment)) => {
                let mut done = self.tracker_done(work, &issue, comment.as_ref(), action, &text);
                done.outcome.evidence_digest = evidence;
                Ok(done)
            }
            // Between the two halves of a reopening a budget ran out: what was done may be done again.
            Err(Stop::Hold { until_ms }) => Err(Early::Ended(Ended::Hold { until_ms })),
            Err(Stop::Trouble(trouble)) => {
                let mut outcome = trouble.outcome();
                outcome.receipt.extend(text.told().map(|(key, value)| (key.to_owned(), value)));
                Ok(only(outcome))
            }
        }
    }

    /// Looks for what an attempt left behind whose outcome is not known.
    async fn tracker_doubt(
        &self,
        work: &Work,
        settings: &Settings,
        adapter: &Adapter<'_>,
        intent: &Intent,
    ) -> Result<Verdict<Attempted>, Stop> {
        let key = intent.effect.as_ref().unwrap_or(&work.delivery.value.idempotency_key);
        let since = intent.at_ms.saturating_sub(doubt::SKEW_MS);
        let stored = Text::stored(&work.delivery.value, &intent.operation).unwrap_or_default();
        let look = match (&intent.issue, intent.operation.as_str()) {
            (None, _) => match adapter.look_for_issue(key, since).await? {
                Look::Found(issue) => Look::Found(self.tracker_done(work, &issue, None, Action::CreateIssue, &stored)),
                Look::Absent => Look::Absent,
                Look::Incomplete => Look::Incomplete,
            },
            (Some(reference), _) => match adapter.look_for_comment(key, reference, since).await? {
                Look::Found(comment) => {
                    let issue = known(reference);
                    Look::Found(self.tracker_done(work, &issue, Some(&comment), Action::CommentIssue, &stored))
                }
                Look::Absent => Look::Absent,
                Look::Incomplete => Look::Incomplete,
            },
        };
        Ok(doubt::judge(look, intent.at_ms, settings.settle_ms, self.now_ms()))
    }

    /// The issue of this failure: the one that an earlier delivery names, else one that carries the failure's marker.
    async fn tracker_match(&self, work: &Work, adapter: &Adapter<'_>, asked: Asked) -> Result<Option<Issue>, Stop> {
        if let Some(reference) = &work.delivery.value.issue {
            return adapter.get(reference).await;
        }
        if let Some(reference) = self.tracker_predecessor(work).await?
            && let Some(issue) = adapter.read(&reference).await?
        {
            return Ok(Some(issue));
        }
        match asked {
            Asked::Publish => {
                let marker = marker::fingerprint(&work.draft.fingerprint);
                Ok(decide::pick(adapter.find(&marker).await?, &marker))
            }
            Asked::Recurrence(_) => Ok(None),
        }
    }

    /// The issue of the published draft that this one follows, at the same destination.
    async fn tracker_predecessor(&self, work: &Work) -> Result<Option<IssueRef>, Stop> {
        let Some(previous) = work.draft.recurrence_of.as_deref() else { return Ok(None) };
        let mine = &work.delivery.value;
        let by_draft = vec![("draft_id", Column::text(previous))];
        let rows: Vec<Delivery> =
            self.every(&work.claim.tenant, "updated_at_ms", by_draft).await.map_err(|failure| {
                Stop::Trouble(Trouble { retryable: true, ..Trouble::new("store_unavailable", failure.message) })
            })?;
        let here = |delivery: &Delivery| {
            delivery.destination_id == mine.destination_id && delivery.target_ref == mine.target_ref
        };
        Ok(rows.into_iter().filter(here).find_map(|delivery| delivery.issue))
    }

    fn tracker_text(&self, work: &Work, step: &Step, operation: &str, effect: &str, evidence: Option<&str>) -> Text {
        // A text that names another effect belongs to another decision.
        let named = |text: &Text| text.body.contains(&marker::effect(effect));
        if let Some(text) = Text::stored(&work.delivery.value, operation).filter(named) {
            return text;
        }
        let stored = work.run.as_ref().and_then(|run| run.issue_draft.as_ref());
        let issue_draft = stored.and_then(|issue| serde_json::from_str::<Value>(issue.get()).ok());
        let facts = body::Facts {
            kind: work.destination.kind,
            draft: &work.draft,
            incident: work.incident.as_ref(),
            issue_draft: issue_draft.as_ref(),
            effect,
            evidence_digest: evidence.unwrap_or(&work.delivery.value.evidence_digest),
        };
        let Composed { title, body, redactions, truncated } = match step {
            Step::Create { previous } => body::issue(&facts, previous.as_ref()),
            Step::Comment(_) => body::comment(&facts, work.delivery.value.recurrence, false),
            Step::Reopen(_) => body::comment(&facts, work.delivery.value.recurrence, true),
            Step::Matched { .. } | Step::Gone => Composed::default(),
        };
        let truncated_fields = if truncated { vec!["body".to_owned()] } else { Vec::new() };
        Text { title, body, prepared: Prepared { redactions, truncated_fields } }
    }

    /// The failure has its issue: nothing was sent.
    fn tracker_matched(&self, work: &Work, issue: &Issue, action: Action) -> Attempted {
        let mut attempted = self.tracker_done(work, issue, None, action, &Text::default());
        attempted.outcome.done = Some((decide::MATCH, action));
        attempted
    }

    fn tracker_done(
        &self,
        work: &Work,
        issue: &Issue,
        comment: Option<&Comment>,
        action: Action,
        text: &Text,
    ) -> Attempted {
        let delivery = &work.delivery.value;
        let operation = if action == Action::CreateIssue { decide::CREATE } else { decide::COMMENT };
        let kind = match work.destination.kind {
            DestinationKind::LinearIssue => "Linear",
            DestinationKind::GithubIssue
            | DestinationKind::Webhook
            | DestinationKind::Telemetry
            | DestinationKind::InternalMemory
            | DestinationKind::McpTool => "GitHub",
        };
        let title = Issue::title_of(kind, &issue.reference);
        let mut outcome = Outcome {
            accepted: true,
            done: Some((operation, action)),
            external_id: Some(issue.reference.identifier.clone().unwrap_or_else(|| issue.reference.id.clone())),
            external_url: issue.reference.url.clone(),
            external_title: Some(if comment.is_some() { format!("{title} comment") } else { title }),
            issue: Some(issue.reference.clone()),
            issue_state: Some(issue.state.word()),
            comment_id: comment.map(|comment| comment.id.clone()),
            comment_url: comment.and_then(|comment| comment.url.clone()),
            response_excerpt: Some(tandem_core::text::truncate(&text.body, 400)).filter(|text| !text.is_empty()),
            ..Outcome::default()
        };
        for (key, value) in [
            ("issue_number", json!(issue.reference.number)),
            ("issue_id", json!(issue.reference.id)),
            ("identifier", json!(issue.reference.identifier)),
            ("issue_url", json!(issue.reference.url)),
            ("comment_id", json!(outcome.comment_id)),
            ("team", json!(work.destination.linear_team)),
            ("project", json!(work.destination.linear_project)),
        ]
        .into_iter()
        .chain(text.told())
        {
            if !value.is_null() {
                outcome.receipt.insert(key.to_owned(), value);
            }
        }
        let row = TrackedIssue::of(delivery, &issue.reference, issue.state, self.now_ms());
        Attempted { puts: vec![Put::of(&row, Expect::Any)], ..only(outcome) }
    }
}

/// What the effect of a step is found by, and the digest of what is sent where it is not the delivery's. The same at
/// every attempt of the same step. An issue that follows a closed one is not that one, and a comment belongs to one
/// draft: neither may be taken for an earlier effect of the same content.
fn effect(work: &Work, step: &Step) -> (String, Option<String>) {
    let delivery = &work.delivery.value;
    match step {
        Step::Create { previous: Some(issue) } => {
            let anchor = issue.reference.identifier.as_deref().unwrap_or(&issue.reference.id);
            let digest = digest::recurrence(&delivery.evidence_digest, anchor);
            let key = digest::idempotency_key(
                &delivery.destination_id,
                delivery.destination_kind,
                &delivery.target_ref,
                &work.draft.fingerprint,
                decide::CREATE,
                &digest,
            );
            (key, Some(digest))
        }
        Step::Comment(_) | Step::Reopen(_) => {
            (digest::h(["tandem_comment_effect_v1", &delivery.idempotency_key, &delivery.draft_id]), None)
        }
        Step::Create { previous: None } | Step::Matched { .. } | Step::Gone => (delivery.idempotency_key.clone(), None),
    }
}

/// An issue of which only its name is known.
fn known(reference: &IssueRef) -> Issue {
    Issue {
        reference: reference.clone(),
        state: IssueState::Open,
        title: String::new(),
        body: String::new(),
        created_at_ms: None,
        updated_at_ms: None,
        closed_at_ms: None,
    }
}

/// A failure before anything was sent in this attempt.
fn unsent(trouble: Trouble) -> Early {
    Early::Outcome(trouble.outcome())
}

/// Looking changes nothing, so a look that failed is a failure and never a doubt.
fn looked(stop: Stop) -> Early {
    match stop {
        Stop::Hold { until_ms } => Early::Ended(Ended::Hold { until_ms }),
        Stop::Trouble(trouble) => unsent(Trouble { may_have_acted: false, ..trouble }),
    }
}

pub(crate) fn problem_word(problem: Problem) -> &'static str {
    match problem {
        Problem::Setting(_) => "config_invalid",
        Problem::NoTransport => "mcp_server_missing",
        Problem::TokenMissing | Problem::TokenMalformed => "secret_unavailable",
        Problem::Base(problem) => problem.word(),
    }
}

/// What a recheck says of a found issue.
pub(crate) fn recheck_action(kind: DestinationKind, found: Option<&Issue>) -> Action {
    match (kind, found.map(|issue| issue.state)) {
        (_, None) => Action::NoMatch,
        (DestinationKind::LinearIssue, Some(_)) => Action::MatchedLinearIssue,
        (_, Some(IssueState::Open)) => Action::MatchedOpen,
        (_, Some(IssueState::Closed)) => Action::MatchedClosed,
    }
}

impl App {
    /// The issue that a draft has at a destination, as the tracker tells it now. Sends nothing that changes anything.
    pub(crate) async fn tracker_recheck(
        &self,
        tenant: &tandem_core::tenant::TenantKey,
        config: &Config,
        destination: &tandem_core::destination::Destination,
        draft: &Draft,
        known: Option<&IssueRef>,
    ) -> Result<Option<Issue>, Stop> {
        let settings = Settings::of(config, destination)
            .map_err(|problem| Stop::trouble(problem_word(problem), "the tracker's settings cannot be used"))?;
        let lane = crate::publish::lane(tenant, &destination.destination_id);
        let target = tandem_core::publish::target::target_ref(config, destination);
        let adapter = self.adapter(tenant, destination, &settings, &lane, &target).map_err(Stop::Trouble)?;
        let asked = async {
            if let Some(reference) = known
                && let Some(issue) = adapter.read(reference).await?
            {
                return Ok(Some(issue));
            }
            let marker = marker::fingerprint(&draft.fingerprint);
            Ok(decide::pick(adapter.find(&marker).await?, &marker))
        };
        asked.await.map_err(|stop| match stop {
            Stop::Trouble(trouble) => Stop::Trouble(Trouble { text: adapter.clean(&trouble.text), ..trouble }),
            hold @ Stop::Hold { .. } => hold,
        })
    }
}
