//! Governance as clients ask for it: requests and their decisions, records, spending, agents, limits.
//!
//! What changes anything is a decision of `core::governance`, made inside the write. Lists are reads.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tandem_core::{
    actor::{ActorKind, OpContext},
    automation::Automation,
    error::{Code, Failure},
    governance::{
        agent::Agent,
        agents,
        approval::{APPROVALS, Approval, RequestType, Resource, fold_id},
        approve,
        consume::{Consume, Consumed},
        deletion, grant,
        ledger::RunLedger,
        lifecycle,
        limits::{Base, FIELDS, Limits, LimitsRow, Source},
        limits_change::ChangeLimits,
        policy::PolicyDecision,
        record::{Finding, GovernanceRecord, RECORDS},
        request,
        usage::TenantUsage,
        view::{self, AgentReview, AgentSpend, AgentView, DecisionView, Governance, Lifecycle},
    },
    ports::{Query, StoreError},
    record::{Column, Commit, Record},
    tenant::{TenantContext, TenantKey},
    text::{non_blank, truncate},
};

use crate::{App, Page, PageRequest, load::parse, store_failure, tenant_of};

/// Rows that one answer without pages shows at most.
const MOST: usize = 500;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct RequestInput {
    pub request_type: RequestType,
    pub target: Resource,
    pub new: request::NewRequest,
}

/// Open reviews and what waits for a decision.
#[derive(Clone, Debug)]
pub struct Reviews {
    pub agents: Vec<AgentReview>,
    pub automations: Vec<(Option<String>, Lifecycle)>,
    pub pending: Vec<Approval>,
}

/// All that is known of one automation.
#[derive(Clone, Debug)]
pub struct Governed {
    pub governance: Governance,
    pub agent_review: Option<AgentReview>,
    pub lifecycle: Lifecycle,
    pub limits: Limits,
    pub agents: Vec<AgentSpend>,
}

fn tidy(text: Option<&str>) -> Option<String> {
    non_blank(text).map(request::tidy_text)
}

fn not_found(code: Code, key: &str, id: &str) -> Failure {
    Failure::of(code).with(key, id)
}

fn agent_id(id: &str) -> Result<String, Failure> {
    match non_blank(Some(id)).filter(|id| id.len() <= 200 && !id.chars().any(char::is_control)) {
        Some(id) => Ok(id.to_owned()),
        None => Err(Failure::of(Code::AgentInvalid).with("detail", "the id is blank or longer than 200 bytes")),
    }
}

impl App {
    /// What this server was started with. Before [`App::govern_with`], the defaults.
    pub fn governance_base(&self) -> Arc<Base> {
        Arc::clone(self.governance.get_or_init(Arc::default))
    }

    /// Sets what the environment says of limits. Once, before the first request.
    pub fn govern_with(&self, base: Base) {
        let _ = self.governance.set(Arc::new(base));
    }

    pub async fn limits_row(&self, tenant: &TenantKey) -> Result<LimitsRow, Failure> {
        Ok(self.load::<LimitsRow>(tenant, LimitsRow::ID).await?.map(|row| row.value).unwrap_or_default())
    }

    pub async fn limits(&self, tenant: &TenantKey) -> Result<Limits, Failure> {
        let row = self.limits_row(tenant).await?;
        self.governance_base().with(&row.overrides).map_err(|why| store_failure(StoreError::Corrupt(why)))
    }

    /// Every limit with where its value comes from.
    pub fn limit_sources(&self, row: &LimitsRow) -> Vec<(&'static str, &'static str, Source)> {
        let base = self.governance_base();
        FIELDS.iter().map(|(field, variable)| (*field, *variable, base.source(field, &row.overrides))).collect()
    }

    pub async fn limits_change(
        &self,
        ctx: &OpContext,
        changes: Map<String, Value>,
        approval_id: Option<String>,
    ) -> Result<LimitsRow, Failure> {
        self.decide(ctx, ChangeLimits { base: self.governance_base(), changes, approval_id }).await
    }

    pub async fn approval_file(&self, ctx: &OpContext, input: RequestInput) -> Result<Approval, Failure> {
        let new = input.new.tidy(&input.target, ctx.now_ms)?;
        let base = self.governance_base();
        let filed = self
            .decide(ctx, request::FileRequest { base, request_type: input.request_type, target: input.target, new });
        filed.await.map(|approval| view::approval(&approval))
    }

    pub async fn approval_decide(
        &self,
        ctx: &OpContext,
        approval_id: &str,
        approve: bool,
        notes: Option<&str>,
        pause_agent: bool,
    ) -> Result<Approval, Failure> {
        let decision = approve::Decide {
            base: self.governance_base(),
            approval_id: approval_id.to_owned(),
            approve,
            notes: tidy(notes),
            pause_agent,
        };
        let decided = self.decide(ctx, decision).await;
        if decided.as_ref().is_err_and(|failure| failure.code == Code::ApprovalNotFound) {
            self.note_foreign(ctx, approval_id, approve).await?;
        }
        match decided? {
            Ok(approval) => Ok(view::approval(&approval)),
            Err(failure) => Err(*failure),
        }
    }

    /// Somebody tried to decide what belongs to another tenant. Its own people can read that; who tried learns nothing.
    async fn note_foreign(&self, ctx: &OpContext, approval_id: &str, approve: bool) -> Result<(), Failure> {
        for tenant in self.store().tenants(&APPROVALS).await.map_err(store_failure)? {
            if tenant == ctx.tenant.key() || self.load::<Approval>(&tenant, approval_id).await?.is_none() {
                continue;
            }
            let owner = OpContext { tenant: tenant_of(&tenant), ..ctx.clone() };
            let payload = json!({
                "approvalID": approval_id,
                "operation": if approve { "approve" } else { "deny" },
                "requestTenant": ctx.tenant.key(),
            });
            let kind = "automation.governance.approval.cross_tenant_denied";
            self.store()
                .commit(Commit::new(&owner).audit(self.event_id(), kind, payload))
                .await
                .map_err(store_failure)?;
        }
        Ok(())
    }

    pub async fn approval_cancel(&self, ctx: &OpContext, id: &str, reason: Option<&str>) -> Result<Approval, Failure> {
        let cancel = request::Cancel { base: self.governance_base(), approval_id: id.to_owned(), reason: tidy(reason) };
        self.decide(ctx, cancel).await.map(|approval| view::approval(&approval))
    }

    pub async fn approval_delegate(
        &self,
        ctx: &OpContext,
        id: &str,
        to: &str,
        reason: Option<&str>,
    ) -> Result<Approval, Failure> {
        let Some(to) = non_blank(Some(to)).filter(|to| to.len() <= 200) else {
            return Err(Failure::of(Code::ApprovalCreateFailed).with("detail", "`to` is blank or too long"));
        };
        let delegate = request::Delegate { approval_id: id.to_owned(), to: to.to_owned(), reason: tidy(reason) };
        self.decide(ctx, delegate).await.map(|approval| view::approval(&approval))
    }

    /// Says that what was approved is about to be done.
    pub async fn approval_consume(
        &self,
        ctx: &OpContext,
        id: &str,
        action: &str,
        parameters: Value,
        run_id: Option<String>,
        use_id: Option<&str>,
    ) -> Result<Consumed, Failure> {
        let wrong = |why: &str| Failure::new(Code::ValidationFailed, why.to_owned()).status(400);
        let Some(action) = non_blank(Some(action)) else { return Err(wrong("`action` is blank.")) };
        if use_id.is_some_and(|id| id.trim().is_empty() || id.len() > 200 || id.chars().any(char::is_control)) {
            return Err(wrong("`use_id` is blank or longer than 200 bytes."));
        }
        let consume = Consume {
            approval_id: id.to_owned(),
            action: action.to_owned(),
            parameters,
            run_id,
            use_id: use_id.map(str::to_owned),
        };
        let consumed = self.decide(ctx, consume).await?;
        Ok(Consumed { approval: view::approval(&consumed.approval), ..consumed })
    }

    /// People see every request, and so does the local system; everybody else what they asked for themselves.
    fn sees(ctx: &OpContext) -> Option<(&'static str, Column)> {
        let own = ("requester", Column::opt(ctx.actor.actor_id.as_deref().map(fold_id).as_deref()));
        match ctx.actor.kind {
            ActorKind::Human => None,
            ActorKind::System if ctx.tenant.is_local_implicit() => None,
            ActorKind::System | ActorKind::Agent => Some(own),
        }
    }

    pub async fn approvals(&self, ctx: &OpContext, mut request: PageRequest) -> Result<Page<Approval>, Failure> {
        request.equals.extend(Self::sees(ctx));
        let mut page = self.page::<Approval>(&ctx.tenant.key(), "updated_at_ms", &request).await?;
        page.items = page.items.iter().map(view::approval).collect();
        Ok(page)
    }

    pub async fn approval(&self, ctx: &OpContext, id: &str) -> Result<Approval, Failure> {
        let found = self.load::<Approval>(&ctx.tenant.key(), id).await?.map(|row| row.value);
        let own = Self::sees(ctx).map(|(_, requester)| requester);
        let visible = found.filter(|approval| {
            let asked = Column::opt(approval.requested_by.actor_id.as_deref().map(fold_id).as_deref());
            own.as_ref().is_none_or(|own| *own == asked)
        });
        let approval = visible.ok_or_else(|| not_found(Code::ApprovalNotFound, "approvalID", id))?;
        Ok(view::approval(&approval))
    }

    pub async fn reviews(&self, ctx: &OpContext) -> Result<Reviews, Failure> {
        let tenant = ctx.tenant.key();
        let required = || vec![("review", Column::text("required"))];
        let mut agents: Vec<AgentReview> = Vec::new();
        for row in self.all::<Agent>(&tenant, "updated_at_ms", required(), MOST).await? {
            agents.extend(AgentReview::of(&row.value));
        }
        if agents.len() < MOST {
            for row in self.all::<Agent>(&tenant, "updated_at_ms", vec![("review", Column::Null)], MOST).await? {
                agents.extend(AgentReview::of(&row.value));
            }
        }
        let mut automations = Vec::new();
        for row in self.all::<GovernanceRecord>(&tenant, "updated_at_ms", required(), MOST).await? {
            if !row.value.is_deleted() {
                let automation = self.load::<Automation>(&tenant, &row.value.automation_id).await?;
                let known = automation.map(|automation| automation.value.creator_id.clone());
                let creator_id = known.or_else(|| row.value.provenance.creator.actor_id.clone());
                automations.push((creator_id, Lifecycle::of(&row.value)));
            }
        }
        let mut equals = vec![("status", Column::text("pending"))];
        equals.extend(Self::sees(ctx));
        let pending = self.all::<Approval>(&tenant, "updated_at_ms", equals, MOST).await?;
        Ok(Reviews { agents, automations, pending: pending.iter().map(|row| view::approval(&row.value)).collect() })
    }

    pub async fn spend(&self, ctx: &OpContext, request: &PageRequest) -> Result<Page<AgentSpend>, Failure> {
        let tenant = ctx.tenant.key();
        let limits = self.limits(&tenant).await?;
        let mut request = request.clone();
        let mut items = Vec::new();
        // Agents that pay for nothing are passed over, and others take their place on the page.
        loop {
            let page = self.page::<Agent>(&tenant, "updated_at_ms", &request).await?;
            request.limit -= page.items.iter().filter(|agent| agent.is_payer()).count();
            let payers = page.items.iter().filter(|agent| agent.is_payer());
            items.extend(payers.map(|agent| AgentSpend::of(agent, &limits, ctx.now_ms)));
            if request.limit == 0 || page.next.is_none() {
                return Ok(Page { items, next: page.next });
            }
            request.after = page.next;
        }
    }

    pub async fn agent_spend(&self, ctx: &OpContext, id: &str) -> Result<AgentSpend, Failure> {
        let tenant = ctx.tenant.key();
        let limits = self.limits(&tenant).await?;
        match self.load::<Agent>(&tenant, id).await? {
            Some(row) if row.value.is_payer() => Ok(AgentSpend::of(&row.value, &limits, ctx.now_ms)),
            Some(_) | None => Err(not_found(Code::AgentSpendNotFound, "agentID", id)),
        }
    }

    pub async fn policy_decisions(
        &self,
        ctx: &OpContext,
        request: &PageRequest,
    ) -> Result<Page<DecisionView>, Failure> {
        let page = self.page::<PolicyDecision>(&ctx.tenant.key(), "created_at_ms", request).await?;
        let items = page.items.into_iter().map(|decision| DecisionView::of(decision, &ctx.tenant)).collect();
        Ok(Page { items, next: page.next })
    }

    async fn record(&self, ctx: &OpContext, id: &str) -> Result<GovernanceRecord, Failure> {
        let found = self.load::<GovernanceRecord>(&ctx.tenant.key(), id).await?.map(|row| row.value);
        found
            .filter(|record| !record.is_deleted())
            .ok_or_else(|| not_found(Code::GovernanceNotFound, "automationID", id))
    }

    pub async fn governance(&self, ctx: &OpContext, id: &str) -> Result<Governed, Failure> {
        let tenant = ctx.tenant.key();
        let record = self.record(ctx, id).await?;
        let limits = self.limits(&tenant).await?;
        let mut agents = Vec::new();
        let mut agent_review = None;
        for payer in record.provenance.lineage() {
            let Some(row) = self.load::<Agent>(&tenant, &payer).await? else { continue };
            if record.provenance.creator_agent() == Some(payer.as_str()) {
                agent_review = AgentReview::of(&row.value);
            }
            agents.push(AgentSpend::of(&row.value, &limits, ctx.now_ms));
        }
        Ok(Governed {
            governance: Governance::of(&record),
            agent_review,
            lifecycle: Lifecycle::of(&record),
            limits,
            agents,
        })
    }

    pub async fn governance_findings(
        &self,
        ctx: &OpContext,
        id: &str,
        request: PageRequest,
    ) -> Result<Page<Finding>, Failure> {
        self.record(ctx, id).await?;
        let request = PageRequest { equals: vec![("automation_id", Column::text(id))], ..request };
        self.page(&ctx.tenant.key(), "observed_at_ms", &request).await
    }

    pub async fn grant(
        &self,
        ctx: &OpContext,
        id: &str,
        agent_id: &str,
        reason: Option<&str>,
        approval_id: Option<String>,
    ) -> Result<Value, Failure> {
        let (base, agent_id) = (self.governance_base(), agent_id.to_owned());
        let give = grant::Give { base, automation_id: id.to_owned(), agent_id, reason: tidy(reason), approval_id };
        self.decide(ctx, give).await
    }

    pub async fn grant_revoke(
        &self,
        ctx: &OpContext,
        id: &str,
        grant_id: &str,
        reason: Option<&str>,
        approval_id: Option<String>,
    ) -> Result<Value, Failure> {
        let revoke = grant::Revoke {
            base: self.governance_base(),
            automation_id: id.to_owned(),
            grant_id: grant_id.to_owned(),
            reason: tidy(reason),
            approval_id,
        };
        self.decide(ctx, revoke).await
    }

    pub async fn restore(&self, ctx: &OpContext, id: &str, approval_id: Option<String>) -> Result<Value, Failure> {
        let base = self.governance_base();
        self.decide(ctx, deletion::Restore { base, automation_id: id.to_owned(), approval_id }).await
    }

    pub async fn retire(
        &self,
        ctx: &OpContext,
        id: &str,
        reason: Option<&str>,
        approval_id: Option<String>,
    ) -> Result<Value, Failure> {
        let base = self.governance_base();
        self.decide(ctx, lifecycle::Retire { base, automation_id: id.to_owned(), reason: tidy(reason), approval_id })
            .await
    }

    pub async fn extend(
        &self,
        ctx: &OpContext,
        id: &str,
        expires_at_ms: Option<u64>,
        reason: Option<&str>,
        approval_id: Option<String>,
    ) -> Result<Value, Failure> {
        let extend = lifecycle::Extend {
            base: self.governance_base(),
            automation_id: id.to_owned(),
            expires_at_ms,
            reason: tidy(reason),
            approval_id,
        };
        self.decide(ctx, extend).await
    }

    pub async fn agents(&self, ctx: &OpContext, request: &PageRequest) -> Result<Page<AgentView>, Failure> {
        let page = self.page::<Agent>(&ctx.tenant.key(), "updated_at_ms", request).await?;
        Ok(Page { items: page.items.iter().map(AgentView::of).collect(), next: page.next })
    }

    pub async fn agent(&self, ctx: &OpContext, id: &str) -> Result<AgentView, Failure> {
        let found = self.load::<Agent>(&ctx.tenant.key(), id).await?;
        found.map(|row| AgentView::of(&row.value)).ok_or_else(|| not_found(Code::AgentNotFound, "agentID", id))
    }

    pub async fn agent_register(
        &self,
        ctx: &OpContext,
        id: &str,
        display_name: Option<&str>,
        owner: Option<&str>,
        sponsor: Option<&str>,
    ) -> Result<AgentView, Failure> {
        let short = |text: Option<&str>| tidy(text).map(|text| truncate(&text, 200));
        let register = agents::Register {
            agent_id: agent_id(id)?,
            display_name: short(display_name),
            owner: short(owner),
            sponsor: short(sponsor),
        };
        self.decide(ctx, register).await.map(|agent| AgentView::of(&agent))
    }

    pub async fn agent_pause(&self, ctx: &OpContext, id: &str, reason: Option<&str>) -> Result<AgentView, Failure> {
        let pause = agents::Pause { base: self.governance_base(), agent_id: agent_id(id)?, reason: tidy(reason) };
        self.decide(ctx, pause).await.map(|agent| AgentView::of(&agent))
    }

    pub async fn agent_resume(&self, ctx: &OpContext, id: &str) -> Result<AgentView, Failure> {
        self.decide(ctx, agents::Resume { agent_id: id.to_owned() }).await.map(|agent| AgentView::of(&agent))
    }

    /// Reads every governed row once, before the server is ready. One that cannot be understood would be an error in
    /// every decision that needs it; it is better named now, by a server that does not start.
    pub async fn governance_check(&self) -> Result<(), StoreError> {
        let tenants = self.store().tenants(&RECORDS).await?;
        let mut all: std::collections::BTreeSet<TenantKey> = tenants.into_iter().collect();
        all.insert(TenantContext::local().key());
        for collection in [LimitsRow::COLLECTION, TenantUsage::COLLECTION, Agent::COLLECTION, Approval::COLLECTION] {
            all.extend(self.store().tenants(collection).await?);
        }
        for tenant in &all {
            if let Some(row) = self.store().get(LimitsRow::COLLECTION, tenant, LimitsRow::ID).await? {
                let limits = parse::<LimitsRow>(&row)?;
                self.governance_base().with(&limits.value.overrides).map_err(StoreError::Corrupt)?;
            }
            if let Some(row) = self.store().get(TenantUsage::COLLECTION, tenant, TenantUsage::ID).await? {
                parse::<TenantUsage>(&row)?;
            }
            self.check_rows::<GovernanceRecord>(tenant, "updated_at_ms", Vec::new()).await?;
            self.check_rows::<Agent>(tenant, "updated_at_ms", Vec::new()).await?;
            self.check_rows::<Approval>(tenant, "updated_at_ms", Vec::new()).await?;
            let active = vec![("active", Column::text(RunLedger::ACTIVE))];
            self.check_rows::<RunLedger>(tenant, "created_at_ms", active).await?;
        }
        Ok(())
    }

    async fn check_rows<R: Record>(
        &self,
        tenant: &TenantKey,
        order: &'static str,
        equals: Vec<(&'static str, Column)>,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let query = Query {
                collection: R::COLLECTION,
                tenant: tenant.clone(),
                equals: equals.clone(),
                order,
                since: None,
                after: after.clone(),
                limit: 1000,
            };
            let rows = self.store().page(query).await?;
            for found in &rows {
                parse::<R>(&found.row)?;
            }
            match rows.last() {
                Some(last) if rows.len() == 1000 => after = Some((last.order, last.row.id.clone())),
                Some(_) | None => return Ok(()),
            }
        }
    }
}
