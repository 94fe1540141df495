//! Triage runs: start, settle, summarise. The phases themselves are pure functions in core; what they need from the
//! world (the workspace, past failures) is fetched here.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tandem_core::{
    actor::OpContext,
    draft::{self, Draft, DraftStatus, Event},
    error::{Code, Failure},
    incident::{Amendment, INCIDENTS, Incident},
    publish::Delivery,
    record::{Column, Commit, Job, JobKind, Put, Versioned, Waiting, Write},
    redaction::{Counts, redactor},
    tenant::TenantKey,
    triage::{
        self, ArtifactRecord, ArtifactType, DuplicateSummary, Inspection, MemoryEntry, MemoryOutcome, Node,
        PastFailure, PastIncident, PhaseStatus, Proposal, Research, RunBrief, SummaryInput, TriageRun, Validation,
        WorkspaceFindings, run,
    },
};

use crate::{App, decide_again, store_failure, wire::Evidence};

/// How long a workspace search may take, and how many past failures are compared.
const SEARCH_BUDGET: Duration = Duration::from_secs(5);
const PAST_CAP: usize = 50;

/// What the four phases found.
pub(crate) struct Findings {
    inspection: Inspection,
    duplicates: DuplicateSummary,
    research: Research,
    validation: Validation,
    proposal: Proposal,
    template: Option<String>,
}

/// A draft with its run after triage was asked for or settled.
pub struct Triaged {
    pub draft: Draft,
    pub run: TriageRun,
    /// A run in progress was used.
    pub deduped: bool,
    pub failure_pattern_memory: Option<MemoryOutcome>,
    pub regression_signal_memory: Option<MemoryOutcome>,
}

impl Triaged {
    pub fn evidence(&self) -> Evidence {
        Evidence::of(Some(&self.run))
    }
}

impl App {
    /// The run of a draft, if it has one.
    pub async fn run_of(&self, tenant: &TenantKey, draft: &Draft) -> Result<Option<Versioned<TriageRun>>, Failure> {
        match &draft.triage_run_id {
            Some(id) => self.load(tenant, id).await,
            None => Ok(None),
        }
    }

    /// What publishing needs of a draft's run.
    pub(crate) async fn run_brief(&self, tenant: &TenantKey, draft: &Draft) -> Result<Option<RunBrief>, Failure> {
        match &draft.triage_run_id {
            Some(id) => self.load_brief(&run::TRIAGE_RUNS, tenant, id).await,
            None => Ok(None),
        }
    }

    /// What an answer shows of a draft's run.
    pub(crate) async fn evidence_of(&self, tenant: &TenantKey, draft: &Draft) -> Result<Evidence, Failure> {
        let stored = match &draft.triage_run_id {
            Some(id) => self.load_brief(&run::TRIAGE_RUNS, tenant, id).await?,
            None => None,
        };
        Ok(Evidence::stored(stored))
    }

    /// Asks for triage. `bypass` lifts the rule that a draft must be approved first under the global switch.
    pub async fn triage_run(&self, ctx: &OpContext, draft_id: &str, bypass: bool) -> Result<Triaged, Failure> {
        let triaged = decide_again(async || {
            let found = self.draft(ctx, draft_id).await?;
            let refused =
                |why: &str| Failure::of(Code::TriageRunCreateFailed).with("draft_id", draft_id).with("detail", why);
            let mut draft = found.value;
            if draft.status == DraftStatus::Denied {
                return Err(refused("the draft was denied; a denial is final"));
            }
            let snapshot = self.snapshot(&ctx.tenant.key()).await?;
            let switch = snapshot.config.require_approval_for_new_issues;
            if !bypass && switch && draft.status == DraftStatus::ApprovalRequired {
                return Err(refused("the draft must be approved before it is triaged"));
            }
            let settled = |draft, run, deduped| Triaged {
                draft,
                run,
                deduped,
                failure_pattern_memory: None,
                regression_signal_memory: None,
            };
            if let Some(run) = self.run_of(&ctx.tenant.key(), &draft).await?
                && run.value.is_reusable(ctx.now_ms)
            {
                return Ok(settled(draft, run.value, true));
            }
            let (commit, run) = self.triage_start(ctx, &mut draft, Commit::new(ctx)).await?;
            let commit = commit.put(Put::update(&draft, found.version));
            self.store().commit(commit).await.map_err(store_failure)?;
            Ok(settled(draft, run, false))
        })
        .await?;
        self.wake.notify_waiters();
        Ok(triaged)
    }

    /// Adds a new run to a commit that also writes the draft.
    pub(crate) async fn triage_start(
        &self,
        ctx: &OpContext,
        draft: &mut Draft,
        commit: Commit,
    ) -> Result<(Commit, TriageRun), Failure> {
        let snapshot = self.snapshot(&ctx.tenant.key()).await?;
        let deadline = snapshot.config.triage_timeout_ms.map(|timeout| ctx.now_ms.saturating_add(timeout));
        let run = TriageRun::new(
            &self.ports.ids.uuid(),
            &draft.draft_id,
            draft.incident_id.as_deref(),
            &draft.repo,
            deadline,
            ctx.now_ms,
        );
        draft::transition(draft, Event::TriageQueued { run_id: run.run_id.clone() }, ctx.now_ms)
            .map_err(|_| Failure::of(Code::TriageRunCreateFailed).with("draft_id", draft.draft_id.clone()))?;
        let mut commit = commit.put(Put::insert(&run)).write(Write::Job(Job {
            job_id: format!("triage-{}", run.run_id),
            kind: JobKind::Triage,
            lane: ctx.tenant.key().0,
            subject: run.run_id.clone(),
            due_at_ms: ctx.now_ms,
        }));
        if let Some(incident_id) = draft.incident_id.clone() {
            let amendment = Amendment::TriageQueued { run_id: run.run_id.clone() };
            commit = commit.write(Write::Amend { incident_id, amendment });
        }
        let payload = json!({
            "draft_id": draft.draft_id,
            "incident_id": draft.incident_id,
            "run_id": run.run_id,
            "deadline_ms": run.deadline_ms,
        });
        Ok((commit.audit(self.event_id(), "incident_monitor.triage_run.created", payload), run))
    }

    /// Replays an incident: makes sure its draft is triaged again, and counts and publishes nothing.
    pub async fn incident_replay(&self, ctx: &OpContext, incident_id: &str) -> Result<(Incident, Triaged), Failure> {
        let incident = self.incident(ctx, incident_id).await?.value;
        let Some(draft_id) = &incident.draft_id else {
            return Err(Failure::of(Code::IncidentNoDraft).with("incident_id", incident_id));
        };
        let triaged = self.triage_run(ctx, draft_id, true).await.map_err(|cause| {
            let detail = cause.extra.get("detail").cloned().unwrap_or_else(|| cause.message.clone().into());
            match cause.code {
                Code::DraftNotFound => {
                    Failure::of(Code::IncidentNoDraft).with("incident_id", incident_id).with("detail", detail)
                }
                Code::TriageRunCreateFailed => {
                    Failure::of(Code::IncidentReplayFailed).with("incident_id", incident_id).with("detail", detail)
                }
                _ => cause,
            }
        })?;
        let payload = json!({ "incident_id": incident_id, "draft_id": draft_id, "run_id": triaged.run.run_id });
        let commit = Commit::new(ctx).audit(self.event_id(), "incident_monitor.incident.replayed", payload);
        self.store().commit(commit).await.map_err(store_failure)?;
        let incident = self.incident(ctx, incident_id).await?.value;
        Ok((incident, triaged))
    }

    /// Stores a summary: the posted one, or a synthesised one when it has no substance.
    pub async fn triage_summary(
        &self,
        ctx: &OpContext,
        draft_id: &str,
        posted: SummaryInput,
    ) -> Result<Triaged, Failure> {
        let draft = self.draft(ctx, draft_id).await?.value;
        if self.run_of(&ctx.tenant.key(), &draft).await?.is_none() {
            return Err(Failure::of(Code::TriageSummaryRequiresRun).with("draft_id", draft_id));
        }
        let triaged = self.triage_settle(ctx, draft_id, &posted, &[]).await?;
        if triaged.run.issue_draft.is_none() {
            let mut failure = Failure::of(Code::TriageSummaryIssueDraftFailed)
                .with("draft_id", draft_id)
                .with("draft", json!(triaged.draft))
                .with("triage_summary", json!(triaged.run.summary))
                .with("triage_summary_artifact", json!(triaged.run.summary_artifact))
                .with("failure_pattern_memory", json!(triaged.failure_pattern_memory))
                .with("regression_signal_memory", json!(triaged.regression_signal_memory))
                .with("duplicate_matches_artifact", json!(triaged.run.duplicate_matches_artifact));
            failure.extra.extend(gate_facts(Some(&triaged.run)));
            return Err(failure.with("detail", blocked_reason(&triaged.run)));
        }
        Ok(triaged)
    }

    /// Renders the issue draft again from what is stored.
    pub async fn issue_draft(&self, ctx: &OpContext, draft_id: &str) -> Result<Triaged, Failure> {
        let blocked = |draft: &Draft, run: Option<&TriageRun>, detail: String| {
            let mut failure = Failure::of(Code::IssueDraftFailed)
                .with("draft_id", draft_id)
                .with("draft", json!(draft))
                .with("detail", detail);
            failure.extra.extend(gate_facts(run));
            failure
        };
        let triaged = decide_again(async || {
            let found = self.draft(ctx, draft_id).await?;
            let tenant = ctx.tenant.key();
            let Some(read) = self.run_of(&tenant, &found.value).await? else {
                return Err(blocked(&found.value, None, "the draft has no triage run".into()));
            };
            let incident = self.incident_of(&tenant, &found.value).await?.map(|row| row.value);
            let template = self.template(ctx, &found.value, incident.as_ref()).await;
            let (mut draft, mut run) = (found.value, read.value);
            let mut commit = Commit::new(ctx);
            commit = self.render_issue_draft(ctx, &mut draft, incident.as_ref(), &mut run, template.as_deref(), commit);
            let payload = json!({ "draft_id": draft_id, "run_id": run.run_id, "rendered": run.issue_draft.is_some() });
            let commit = commit.put(Put::update(&draft, found.version)).put(Put::update(&run, read.version)).audit(
                self.event_id(),
                "incident_monitor.issue_draft.rendered",
                payload,
            );
            self.store().commit(commit).await.map_err(store_failure)?;
            Ok(Triaged { draft, run, deduped: true, failure_pattern_memory: None, regression_signal_memory: None })
        })
        .await?;
        if triaged.run.issue_draft.is_none() {
            return Err(blocked(&triaged.draft, Some(&triaged.run), blocked_reason(&triaged.run)));
        }
        Ok(triaged)
    }

    /// Runs the phases and commits what they found, together with `more` (the end of the job that asked for it).
    pub(crate) async fn triage_settle(
        &self,
        ctx: &OpContext,
        draft_id: &str,
        posted: &SummaryInput,
        more: &[Write],
    ) -> Result<Triaged, Failure> {
        let draft = self.draft(ctx, draft_id).await?.value;
        let incident = self.incident_of(&ctx.tenant.key(), &draft).await?.map(|row| row.value);
        let findings = self.findings(ctx, &draft, incident.as_ref()).await?;
        decide_again(async || self.settle_once(ctx, draft_id, posted, &findings, more).await).await
    }

    async fn settle_once(
        &self,
        ctx: &OpContext,
        draft_id: &str,
        posted: &SummaryInput,
        findings: &Findings,
        more: &[Write],
    ) -> Result<Triaged, Failure> {
        let tenant = ctx.tenant.key();
        let found = self.draft(ctx, draft_id).await?;
        let Some(read) = self.run_of(&tenant, &found.value).await? else {
            return Err(Failure::of(Code::TriageSummaryRequiresRun).with("draft_id", draft_id));
        };
        let incident = self.incident_of(&tenant, &found.value).await?;
        let (mut draft, mut run) = (found.value, read.value);
        let mut commit = Commit::new(ctx);
        let of_worker = !more.is_empty();
        if of_worker && run.status.is_terminal() {
            // Somebody posted a summary while the phases ran. It is not written over with what the phases found.
            commit.writes.extend_from_slice(more);
            self.store().commit(commit).await.map_err(store_failure)?;
            return Ok(Triaged {
                deduped: true,
                draft,
                run,
                failure_pattern_memory: None,
                regression_signal_memory: None,
            });
        }
        run.duplicates = findings.duplicates.clone();
        commit = self.phase_artifacts(ctx, &mut run, findings, commit);

        let synthesise = || {
            triage::synthesise(
                &draft,
                &findings.inspection,
                &findings.research,
                &findings.validation,
                &findings.proposal,
            )
        };
        let input = redacted_input(posted);
        let summary = triage::summary::settle(input, synthesise, &draft, &run, &findings.duplicates, ctx.now_ms);
        let memories = triage::memory::of_summary(
            &draft,
            &run,
            &findings.inspection,
            &summary,
            [self.id("memory-"), self.id("memory-")],
            ctx.now_ms,
        );
        for memory in &memories {
            commit = commit.put(Put::insert(memory));
        }
        let body = json!(summary);
        let (artifact, next) = self.artifact(ctx, &run, ArtifactType::TriageSummary, body, commit);
        run.summary_artifact = Some(artifact);
        let matches = json!(run.duplicates);
        let (artifact, next) = self.artifact(ctx, &run, ArtifactType::DuplicateMatches, matches, next);
        run.duplicate_matches_artifact = Some(artifact);
        run.summary = Some(summary);
        commit = next;
        if !run.status.is_terminal() {
            run::transition(&mut run, run::Event::Completed, ctx.now_ms)
                .map_err(|refusal| Failure::of(Code::TriageSynthesisFailed).with("detail", format!("{refusal:?}")))?;
        }
        let plain = incident.as_ref().map(|row| &row.value);
        let template = findings.template.as_deref();
        commit = self.render_issue_draft(ctx, &mut draft, plain, &mut run, template, commit);

        if let Some(incident_id) = draft.incident_id.clone() {
            let amendment = Amendment::TriageSettled {
                duplicate_summary: json!(run.duplicates),
                duplicate_matches: json!(run.duplicates.matches).as_array().cloned().unwrap_or_default(),
            };
            commit = commit.write(Write::Amend { incident_id, amendment });
        }
        for delivery in self.open_deliveries(&tenant, draft_id).await? {
            commit = commit.write(Write::JobsWake {
                kind: JobKind::Deliver,
                of: Waiting::Subject(delivery.delivery_id),
                due_at_ms: ctx.now_ms,
            });
        }
        let payload = json!({
            "draft_id": draft_id,
            "incident_id": draft.incident_id,
            "run_id": run.run_id,
            "status": run.status,
            "synthesised": run.summary.as_ref().map(|s| s.synthesised),
            "root_cause_confidence": run.summary.as_ref().map(|s| &s.fields.root_cause_confidence),
            "issue_draft": run.issue_draft.is_some(),
            "duplicate_matches": run.duplicates.match_count,
        });
        let mut commit = commit.put(Put::update(&draft, found.version)).put(Put::update(&run, read.version)).audit(
            self.event_id(),
            "incident_monitor.triage_summary.stored",
            payload,
        );
        commit.writes.extend_from_slice(more);
        self.store().commit(commit).await.map_err(store_failure)?;
        self.wake.notify_waiters();
        let [pattern, signal] = memories;
        Ok(Triaged {
            failure_pattern_memory: Some(MemoryOutcome::stored(&pattern, &run.duplicates)),
            regression_signal_memory: Some(MemoryOutcome::stored(&signal, &run.duplicates)),
            deduped: true,
            draft,
            run,
        })
    }

    pub(crate) async fn open_deliveries(&self, tenant: &TenantKey, draft_id: &str) -> Result<Vec<Delivery>, Failure> {
        let by_draft = vec![("draft_id", Column::text(draft_id))];
        let all = self.every::<Delivery>(tenant, "updated_at_ms", by_draft).await?;
        Ok(all.into_iter().filter(|delivery| delivery.state.is_open()).collect())
    }

    /// Reads what the phases need, and runs them.
    async fn findings(&self, ctx: &OpContext, draft: &Draft, incident: Option<&Incident>) -> Result<Findings, Failure> {
        let inspection = triage::inspect(draft, incident);
        let past = self.past_failures(ctx, draft).await?;
        let duplicates = triage::duplicate::find(&inspection, draft, &past);
        let plan = triage::plan_research(&inspection);
        let (findings, template) = match self.workspace_root(ctx, draft, incident).await {
            Some(root) => {
                let (workspace, searched) = (Arc::clone(&self.ports.workspace), plan.clone());
                tokio::task::spawn_blocking(move || {
                    (workspace.search(&root, &searched, SEARCH_BUDGET), workspace.template(&root))
                })
                .await
                .unwrap_or_default()
            }
            None => (WorkspaceFindings::default(), None),
        };
        let research = triage::conclude_research(plan, &inspection, redacted_findings(findings), &duplicates);
        let validation = triage::validate(draft, incident, &inspection, &research);
        let proposal = triage::propose(draft, &inspection, &research, &validation);
        Ok(Findings { inspection, duplicates, research, validation, proposal, template })
    }

    async fn template(&self, ctx: &OpContext, draft: &Draft, incident: Option<&Incident>) -> Option<String> {
        let root = self.workspace_root(ctx, draft, incident).await?;
        let workspace = Arc::clone(&self.ports.workspace);
        tokio::task::spawn_blocking(move || workspace.template(&root)).await.ok().flatten()
    }

    /// Where to search: only a root that an operator configured. A report may name any path of this machine, so its
    /// own word is taken only when it is inside a configured root.
    async fn workspace_root(&self, ctx: &OpContext, draft: &Draft, incident: Option<&Incident>) -> Option<PathBuf> {
        let snapshot = self.snapshot(&ctx.tenant.key()).await.ok()?;
        let config = &snapshot.config;
        let project = draft.project_id.as_deref().and_then(|id| config.project(id));
        let configured = match project {
            Some(project) => Some(project.workspace_root.as_str()),
            None => config.workspace_root.as_deref(),
        }?;
        let configured = PathBuf::from(configured);
        let named = incident.map(|i| PathBuf::from(&i.workspace_root)).filter(|named| {
            named.starts_with(&configured)
                && !named.components().any(|part| matches!(part, std::path::Component::ParentDir))
        });
        Some(named.unwrap_or(configured)).filter(|root| root.is_absolute())
    }

    /// The newest incidents and memories of the repository.
    async fn past_failures(&self, ctx: &OpContext, draft: &Draft) -> Result<Vec<PastFailure>, Failure> {
        let tenant = ctx.tenant.key();
        let by_repo = vec![("repo", Column::text(&draft.repo))];
        let memories = self.all::<MemoryEntry>(&tenant, "created_at_ms", by_repo, PAST_CAP).await?;
        let mut past: Vec<PastFailure> = memories.iter().map(|row| PastFailure::of_memory(&row.value)).collect();
        let incidents: Vec<PastIncident> = self.all_brief(&INCIDENTS, &tenant, "updated_at_ms", PAST_CAP).await?;
        let same_repo = incidents.iter().filter(|incident| incident.repo == draft.repo);
        past.extend(same_repo.map(|incident| PastFailure::of_incident(incident, None)));
        Ok(past)
    }

    /// Completes the phases that have not left their artifact yet.
    fn phase_artifacts(&self, ctx: &OpContext, run: &mut TriageRun, findings: &Findings, commit: Commit) -> Commit {
        let mut commit = commit;
        for &node in Node::ALL {
            if run.phases.iter().any(|phase| phase.node_id == node && phase.status == PhaseStatus::Completed) {
                continue;
            }
            let body = match node {
                Node::Inspect => json!(findings.inspection),
                Node::Research => json!(findings.research),
                Node::Validate => json!(findings.validation),
                Node::Propose => json!(findings.proposal),
            };
            let (artifact, next) = self.artifact(ctx, run, node.artifact_type(), body, commit);
            commit = next;
            // The nodes come in order, so this cannot be out of order.
            let _ = run::transition(run, run::Event::PhaseCompleted { node, artifact }, ctx.now_ms);
        }
        commit
    }

    fn artifact(
        &self,
        ctx: &OpContext,
        run: &TriageRun,
        kind: ArtifactType,
        body: Value,
        commit: Commit,
    ) -> (triage::Artifact, Commit) {
        let record = ArtifactRecord::new(run, kind, self.id("artifact-"), body, ctx.now_ms);
        let commit = commit.put(Put::insert(&record));
        (record.artifact, commit)
    }

    fn render_issue_draft(
        &self,
        ctx: &OpContext,
        draft: &mut Draft,
        incident: Option<&Incident>,
        run: &mut TriageRun,
        template: Option<&str>,
        commit: Commit,
    ) -> Commit {
        let (marker, blocked, commit) = match triage::issue_draft(draft, incident, run, template, ctx.now_ms) {
            Ok(issue) => {
                let (artifact, commit) = self.artifact(ctx, run, ArtifactType::IssueDraft, json!(issue), commit);
                run.proposal_quality_gate = Some(issue.proposal_quality_gate.clone());
                run.issue_draft = Some(issue);
                run.issue_draft_artifact = Some(artifact);
                ("issue_draft_ready", None, commit)
            }
            Err(gate) => {
                let (artifact, commit) =
                    self.artifact(ctx, run, ArtifactType::ProposalQualityGate, json!(gate), commit);
                let why = gate.blocked_reason.clone();
                run.proposal_quality_gate = Some(gate);
                run.proposal_quality_gate_artifact = Some(artifact);
                // An issue draft of an earlier summary does not say what the present one says.
                run.issue_draft = None;
                run.issue_draft_artifact = None;
                ("proposal_blocked", why, commit)
            }
        };
        // A denied draft keeps its state; the artifacts are still evidence.
        let _ = draft::transition(draft, Event::TriageSettled { marker, blocked }, ctx.now_ms);
        commit
    }
}

/// What a refusal says about the proposal gate. Without a run the gate is judged on nothing, and has no artifact.
fn gate_facts(run: Option<&TriageRun>) -> serde_json::Map<String, Value> {
    let gate =
        run.and_then(|run| run.proposal_quality_gate.clone()).unwrap_or_else(|| triage::gate::proposal(None, None));
    let artifact = run.and_then(|run| run.proposal_quality_gate_artifact.as_ref());
    let mut facts = serde_json::Map::new();
    facts.insert("proposal_quality_gate".into(), json!(gate));
    facts.insert("proposal_quality_gate_artifact".into(), json!(artifact));
    facts
}

fn blocked_reason(run: &TriageRun) -> String {
    run.proposal_quality_gate.as_ref().and_then(|gate| gate.blocked_reason.clone()).unwrap_or_default()
}

/// A posted summary comes from outside and passes the same engine as a report.
fn redacted_input(input: &SummaryInput) -> SummaryInput {
    let mut value = json!(input);
    redactor(None).json(&mut value, &mut Counts::new());
    // Redaction replaces strings by strings, so the shape still fits; if it ever did not, nothing is better than a leak.
    serde_json::from_value(value).unwrap_or_default()
}

/// Source lines may hold secrets too.
fn redacted_findings(mut findings: WorkspaceFindings) -> WorkspaceFindings {
    let (engine, mut counts) = (redactor(None), Counts::new());
    for hit in &mut findings.hits {
        hit.snippet = engine.text(&hit.snippet, &mut counts).into_owned();
    }
    for commit in &mut findings.commits {
        commit.subject = engine.text(&commit.subject, &mut counts).into_owned();
    }
    findings
}
