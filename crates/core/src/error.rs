//! Every error code of the API, in one table: its word, its HTTP status, whether trying again may help, its meaning.

use serde_json::{Map, Value};

macro_rules! codes {
    ($($variant:ident $word:literal $status:literal $retry:literal $meaning:literal;)+) => {
        /// A stable machine code. Clients branch on it; texts may change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($variant),+ }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            pub fn word(self) -> &'static str { match self { $(Self::$variant => $word),+ } }
            pub fn status(self) -> u16 { match self { $(Self::$variant => $status),+ } }
            pub fn retryable(self) -> bool { match self { $(Self::$variant => $retry),+ } }
            pub fn meaning(self) -> &'static str { match self { $(Self::$variant => $meaning),+ } }
        }
    };
}

codes! {
    AuthRequired "AUTH_REQUIRED" 401 false "No full token, or one that is unknown, expired or revoked.";
    TenantContextDenied "TENANT_CONTEXT_DENIED" 403 false "The request names a tenant that its credential may not use.";
    AgentIdRequired "AUTOMATION_V2_AGENT_ID_REQUIRED" 403 false "The request says it comes from an agent but names none.";
    HumanRequired "HUMAN_ACTOR_REQUIRED" 403 false "The operation needs a person; agents may not do it.";
    RateLimited "RATE_LIMITED" 429 true "Too many requests for this key or tenant; see Retry-After.";
    EngineStarting "ENGINE_STARTING" 503 true "The server is opening its store.";
    ValidationFailed "VALIDATION_FAILED" 422 false "The request cannot be read: media type, syntax, shape, size or query.";
    NotFound "NOT_FOUND" 404 false "No such path or object.";
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405 false "The path exists, but not with this method.";
    PreconditionFailed "PRECONDITION_FAILED" 412 false "If-Match names a version that is no longer current.";
    Conflict "CONFLICT" 409 true "Others kept changing the same object; load it and try again.";
    StoreUnavailable "STORE_UNAVAILABLE" 503 true "The store cannot be written or read now; nothing was changed.";
    StoreCorrupt "STORE_CORRUPT" 500 false "A stored row cannot be understood; see the server's log.";
    Internal "INTERNAL" 500 false "A fault of the server; the request id finds it in the log.";
    ConfigRequired "INCIDENT_MONITOR_CONFIG_REQUIRED" 400 false "The body lacks its `incident_monitor` object.";
    ConfigInvalid "INCIDENT_MONITOR_CONFIG_INVALID" 400 false "A field of the configuration breaks a rule; `detail` names it.";
    PauseFailed "INCIDENT_MONITOR_PAUSE_FAILED" 400 false "The monitor could not be paused.";
    ResumeFailed "INCIDENT_MONITOR_RESUME_FAILED" 400 false "The monitor could not be resumed.";
    IncidentNotFound "INCIDENT_MONITOR_INCIDENT_NOT_FOUND" 404 false "No such incident.";
    IncidentNoDraft "INCIDENT_MONITOR_INCIDENT_NO_DRAFT" 409 false "The incident has no draft to replay.";
    IncidentReplayFailed "INCIDENT_MONITOR_INCIDENT_REPLAY_FAILED" 400 false "The incident's draft cannot be triaged.";
    DraftNotFound "INCIDENT_MONITOR_DRAFT_NOT_FOUND" 404 false "No such draft.";
    DraftNotPendingApproval "INCIDENT_MONITOR_DRAFT_NOT_PENDING_APPROVAL" 409 false "The draft does not wait for approval.";
    TriageRunCreateFailed "INCIDENT_MONITOR_TRIAGE_RUN_CREATE_FAILED" 409 false "The draft is denied or must be approved before triage.";
    TriageSummaryRequiresRun "INCIDENT_MONITOR_TRIAGE_SUMMARY_REQUIRES_RUN" 409 false "The draft has no triage run to summarise.";
    TriageSynthesisFailed "INCIDENT_MONITOR_TRIAGE_SYNTHESIS_FAILED" 400 false "No summary can be made of this draft.";
    TriageSummaryIssueDraftFailed "INCIDENT_MONITOR_TRIAGE_SUMMARY_ISSUE_DRAFT_FAILED" 400 false "The summary is stored, but the proposal gate blocks an issue draft.";
    IssueDraftFailed "INCIDENT_MONITOR_ISSUE_DRAFT_FAILED" 400 false "The proposal gate blocks an issue draft.";
    PublishFailed "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED" 400 false "Nothing was published; `detail` says why.";
    RecheckFailed "INCIDENT_MONITOR_DRAFT_RECHECK_FAILED" 400 false "The match could not be looked up.";
    PostNotFound "INCIDENT_MONITOR_POST_NOT_FOUND" 404 false "No such receipt.";
    DeliveryNotFound "INCIDENT_MONITOR_DELIVERY_NOT_FOUND" 404 false "No such delivery.";
    RedeliverFailed "INCIDENT_MONITOR_REDELIVER_FAILED" 409 false "The delivery is still open, or its draft may not be published.";
    ReportInvalid "INCIDENT_MONITOR_REPORT_INVALID" 400 false "The report names no usable repository, or the quality gate blocks it.";
    ReportRequired "INCIDENT_MONITOR_REPORT_REQUIRED" 400 false "The body holds no report.";
    IntakeProjectRequired "INCIDENT_MONITOR_INTAKE_PROJECT_REQUIRED" 400 false "`project_id` is blank.";
    IntakeProjectUnknown "INCIDENT_MONITOR_INTAKE_PROJECT_UNKNOWN" 400 false "No such monitored project.";
    IntakeSourceUnknown "INCIDENT_MONITOR_INTAKE_SOURCE_UNKNOWN" 400 false "The project has log sources and this is none of them.";
    IntakeKeyRequired "INCIDENT_MONITOR_INTAKE_KEY_REQUIRED" 401 false "No scoped intake key was presented.";
    IntakeKeyInvalid "INCIDENT_MONITOR_INTAKE_KEY_INVALID" 401 false "The key is unknown, disabled, expired, or not for this project and scope.";
    IntakeKeyNameRequired "INCIDENT_MONITOR_INTAKE_KEY_NAME_REQUIRED" 400 false "The key's name is blank.";
    IntakeKeyNotFound "INCIDENT_MONITOR_INTAKE_KEY_NOT_FOUND" 404 false "No such intake key.";
    IntakeKeyCreateFailed "INCIDENT_MONITOR_INTAKE_KEY_CREATE_FAILED" 400 false "The key cannot be created as asked.";
    LogSourceNotFound "INCIDENT_MONITOR_LOG_SOURCE_NOT_FOUND" 404 false "No such log source.";
    LogSourceResetFailed "INCIDENT_MONITOR_LOG_SOURCE_RESET_FAILED" 400 false "The log source's path breaks a rule, so its position cannot be reset.";
    LogSourceReplayNotFound "INCIDENT_MONITOR_LOG_SOURCE_REPLAY_NOT_FOUND" 404 false "No incident of this log source knows its lines.";
    LogSourceReplayFailed "INCIDENT_MONITOR_LOG_SOURCE_REPLAY_FAILED" 400 false "The lines cannot be read again, or hold another failure now.";
    LogEvidenceNotFound "INCIDENT_MONITOR_LOG_EVIDENCE_NOT_FOUND" 404 false "No such evidence of this log source.";
    IdempotencyKeyReused "IDEMPOTENCY_KEY_REUSED" 409 false "The idempotency key was used for another report.";
    TokenNotFound "API_TOKEN_NOT_FOUND" 404 false "No such full token.";
    TokenLimit "API_TOKEN_LIMIT" 409 false "Sixteen full tokens are active; revoke one first.";
    McpServerNotFound "MCP_SERVER_NOT_FOUND" 404 false "No MCP server of this name is registered.";
    McpToolNotFound "MCP_TOOL_NOT_FOUND" 404 false "The MCP server has no such tool.";
    McpToolMoved "MCP_TOOL_CHANGED_AGAIN" 409 false "The tool is not the one that was looked at; `schema_hash` is its hash now.";
    McpRequestDenied "MCP_REQUEST_DENIED" 400 false "The MCP server cannot be registered or used like this; `detail` says why.";
    McpStdioDenied "MCP_STDIO_TRANSPORT_DENIED" 403 false "Commands come from the operator's own file, by name; none can be given over HTTP.";
    McpRefreshFailed "MCP_REFRESH_FAILED" 400 true "The MCP server did not say what it offers; `detail` says why.";
    McpOauthFailed "MCP_OAUTH_FAILED" 400 false "The authorisation could not be begun or finished; `detail` says why.";
    McpCatalogUnavailable "MCP_CATALOG_ENTRY_NOT_FOUND" 404 false "This server keeps no catalogue of MCP servers.";
    McpOriginDenied "MCP_ORIGIN_DENIED" 403 false "`Host` or `Origin` is not one that this MCP endpoint answers to.";
    SecurityAdminRequired "INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED" 403 false "The route needs a full token; a scoped intake key may not come along.";
    FindingNotFound "INCIDENT_MONITOR_FINDING_NOT_FOUND" 404 false "No such finding: neither recorded nor found now.";
    ReachObjectNotFound "INCIDENT_MONITOR_REACH_OBJECT_NOT_FOUND" 404 false "Nothing of this kind has this id.";
    AssessmentProbesAdminRequired "INCIDENT_MONITOR_ASSESSMENT_PROBES_ADMIN_REQUIRED" 403 false "Assessment probes need a full token; a scoped intake key may not come along.";
    AssessmentReportAdminRequired "INCIDENT_MONITOR_ASSESSMENT_REPORT_ADMIN_REQUIRED" 403 false "Assessment reports need a full token; a scoped intake key may not come along.";
    DeploymentCardsAdminRequired "INCIDENT_MONITOR_DEPLOYMENT_CARDS_ADMIN_REQUIRED" 403 false "Deployment cards need a full token; a scoped intake key may not come along.";
    ScenarioPacksAdminRequired "INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED" 403 false "Scenario packs, governance metrics and reassessments need a full token; a scoped intake key may not come along.";
    DeploymentCardNotFound "INCIDENT_MONITOR_DEPLOYMENT_CARD_NOT_FOUND" 404 false "No such automation, workflow or source, or nothing is stored of its card.";
    DeploymentCardChanged "INCIDENT_MONITOR_DEPLOYMENT_CARD_CHANGED" 409 false "The card is not the version that was looked at; `version` is the one in force.";
    ContextRunNotFound "CONTEXT_RUN_NOT_FOUND" 404 false "No such run.";
    EvidenceArtifactNotFound "EVIDENCE_ARTIFACT_NOT_FOUND" 404 false "The run has no such artifact, or its body was dropped.";
    EvidenceTampered "EVIDENCE_ARTIFACT_TAMPERED" 409 false "The stored artifact is not what was recorded; its digest does not fit.";
    DeclarationNotFound "AUTHORITY_DECLARATION_NOT_FOUND" 404 false "Nothing of this kind and id is declared.";
    DeclarationInvalid "AUTHORITY_DECLARATION_INVALID" 400 false "The declaration breaks a bound; `detail` says which.";
    DeclarationForbidden "AUTHORITY_DECLARATION_FORBIDDEN" 403 false "An agent declares itself and what it declared before, and nothing of others.";
    DeclarationLimit "AUTHORITY_DECLARATION_LIMIT" 409 false "The tenant has as many declarations as it may; remove some first.";
    AuditAdminRequired "AUDIT_ADMIN_REQUIRED" 403 false "The audit log needs a full token or the control panel.";
    LegalHoldNotFound "AUDIT_HOLD_NOT_FOUND" 404 false "No such hold.";
    LegalHoldLimit "AUDIT_HOLD_LIMIT" 409 false "The tenant has as many holds as it may; release some first.";
    ExportConfigInvalid "AUDIT_EXPORT_CONFIG_INVALID" 400 false "The setting of exports breaks a rule; `detail` says which.";
    CreationDisabled "AUTOMATION_V2_CREATION_DISABLED" 403 false "Creation of automations is switched off.";
    AgentCreationPaused "AUTOMATION_V2_AGENT_CREATION_PAUSED" 403 false "A person has paused this agent.";
    AgentSpendCapExceeded "AUTOMATION_V2_AGENT_SPEND_CAP_EXCEEDED" 429 true "The agent has reached a spend cap; an approved quota override lifts it.";
    AgentReviewRequired "AUTOMATION_V2_AGENT_REVIEW_REQUIRED" 429 true "The agent has created enough for a review; it waits for a person.";
    AgentSponsorRequired "AUTOMATION_V2_AGENT_SPONSOR_REQUIRED" 403 false "No person answers for this agent; register it with a sponsor first.";
    CapabilityEscalationForbidden "AUTOMATION_V2_CAPABILITY_ESCALATION_FORBIDDEN" 403 false "A declared capability needs an approved request.";
    LineageDepthExceeded "AUTOMATION_V2_LINEAGE_DEPTH_EXCEEDED" 403 false "The line of agents that create agents is too deep.";
    AgentDailyQuotaExceeded "AUTOMATION_V2_AGENT_DAILY_QUOTA_EXCEEDED" 429 true "The agent has created as many automations as it may in 24 hours.";
    AgentCapExceeded "AUTOMATION_V2_AGENT_CAP_EXCEEDED" 429 true "There are as many automations of agents as there may be.";
    AutomationAlreadyExists "AUTOMATION_V2_ALREADY_EXISTS" 409 false "The id is taken; nothing is written over it.";
    RunNotFound "AUTOMATION_V2_RUN_NOT_FOUND" 404 false "No such run.";
    AutomationCreateFailed "AUTOMATION_V2_CREATE_FAILED" 400 false "The body is no automation; `detail` says why.";
    AutomationReviewPending "AUTOMATION_V2_REVIEW_PENDING" 409 false "A review of the automation is open; it has to be decided first.";
    RunBlocked "AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED" 409 false "Governance holds the automation or its agent back; `detail` says why.";
    ModelUnpriced "AUTOMATION_V2_MODEL_UNPRICED" 422 false "Usage of a model without a price; name the cost, or set a price.";
    GovernanceMissing "AUTOMATION_V2_GOVERNANCE_MISSING" 403 false "The automation has no governance record, so nothing may be done with it.";
    TenantMismatch "AUTOMATION_V2_TENANT_MISMATCH" 403 false "The automation's governance record belongs to another tenant.";
    TenantQuarantined "AUTOMATION_V2_TENANT_QUARANTINED" 403 false "The automation is quarantined until an independent review is approved.";
    AutomationRetired "AUTOMATION_V2_RETIRED" 403 false "The automation is retired; extend it first.";
    AutomationExpired "AUTOMATION_V2_EXPIRED" 403 false "The automation has expired; extend it first.";
    AutomationLifecyclePaused "AUTOMATION_V2_LIFECYCLE_PAUSED" 403 false "The automation is paused by governance.";
    AutomationAccessDenied "AUTOMATION_V2_ACCESS_DENIED" 403 false "The automation is kept from you; ask its owner to share it.";
    AutomationNotOwner "AUTOMATION_V2_NOT_OWNER" 403 false "Another person made the automation.";
    DeleteHumanCreatedDenied "AUTOMATION_V2_DELETE_HUMAN_CREATED_DENIED" 403 false "An agent may not remove what a person created.";
    DeleteNotOwner "AUTOMATION_V2_DELETE_NOT_OWNER" 403 false "An agent may not remove what another agent created.";
    ModifyForbidden "AUTOMATION_V2_MODIFY_FORBIDDEN" 403 false "The agent neither created the automation nor holds a grant to change it.";
    GovernanceNotFound "AUTOMATION_GOVERNANCE_NOT_FOUND" 404 false "No such automation.";
    GrantForbidden "AUTOMATION_GOVERNANCE_GRANT_FORBIDDEN" 403 false "Grants are given and revoked by a person.";
    GrantNotFound "AUTOMATION_GOVERNANCE_GRANT_NOT_FOUND" 404 false "No such grant.";
    GrantCreateFailed "AUTOMATION_GOVERNANCE_GRANT_CREATE_FAILED" 400 false "The grant cannot be made as asked.";
    GrantRevokeFailed "AUTOMATION_GOVERNANCE_GRANT_REVOKE_FAILED" 400 false "The grant cannot be revoked as asked.";
    RestoreForbidden "AUTOMATION_GOVERNANCE_RESTORE_FORBIDDEN" 403 false "Automations are restored by a person.";
    RestoreNotFound "AUTOMATION_GOVERNANCE_RESTORE_NOT_FOUND" 404 false "No such deleted automation.";
    RestoreFailed "AUTOMATION_GOVERNANCE_RESTORE_FAILED" 400 false "The automation cannot be restored.";
    RestoreExpired "AUTOMATION_GOVERNANCE_RESTORE_EXPIRED" 410 false "The time in which the automation could be restored is over.";
    RetireForbidden "AUTOMATION_GOVERNANCE_RETIRE_FORBIDDEN" 403 false "Automations are retired by a person.";
    RetireFailed "AUTOMATION_GOVERNANCE_RETIRE_FAILED" 400 false "The automation cannot be retired.";
    ExtendForbidden "AUTOMATION_GOVERNANCE_EXTEND_FORBIDDEN" 403 false "Automations are extended by a person.";
    ExtendFailed "AUTOMATION_GOVERNANCE_EXTEND_FAILED" 400 false "The new end lies in the past or too far ahead.";
    GovernanceApprovalRequired "AUTOMATION_GOVERNANCE_APPROVAL_REQUIRED" 403 false "The action needs an approval by a second person.";
    MutationApprovalNotFound "AUTOMATION_GOVERNANCE_APPROVAL_NOT_FOUND" 404 false "No such approval.";
    GovernanceActorRequired "AUTOMATION_GOVERNANCE_ACTOR_REQUIRED" 403 false "The caller must be named, so that two persons can be told apart.";
    GovernanceApprovalInvalid "AUTOMATION_GOVERNANCE_APPROVAL_INVALID" 403 false "The approval is not for exactly this action by this caller now.";
    ApprovalCreateFailed "GOVERNANCE_APPROVAL_CREATE_FAILED" 400 false "The request cannot be filed as described; `detail` says why.";
    ApprovalTriggerStale "GOVERNANCE_APPROVAL_TRIGGER_STALE" 409 false "No review of that kind is due for the automation.";
    ApprovalNotFound "GOVERNANCE_APPROVAL_NOT_FOUND" 404 false "No such request.";
    ApprovalRequiresHuman "GOVERNANCE_APPROVAL_REQUIRES_HUMAN" 403 false "Requests are decided by a person.";
    ApprovalSelfReview "GOVERNANCE_APPROVAL_SELF_REVIEW" 403 false "Who asked may not decide.";
    ApprovalReviewerForbidden "GOVERNANCE_APPROVAL_REVIEWER_FORBIDDEN" 403 false "This person is not among the reviewers of the request.";
    ApprovalAlreadyDecided "GOVERNANCE_APPROVAL_ALREADY_DECIDED" 409 false "The request was decided otherwise; the body shows how.";
    ApprovalExpired "GOVERNANCE_APPROVAL_EXPIRED" 409 false "The request was not decided in time.";
    ApprovalSuperseded "GOVERNANCE_APPROVAL_SUPERSEDED" 409 false "Something newer took the place of the request.";
    ApprovalCancelForbidden "GOVERNANCE_APPROVAL_CANCEL_FORBIDDEN" 403 false "A request is taken back by who filed it.";
    AgentNotFound "GOVERNANCE_AGENT_NOT_FOUND" 404 false "No such agent.";
    AgentInvalid "GOVERNANCE_AGENT_INVALID" 400 false "The agent cannot be entered as described; `detail` says why.";
    AgentPauseDisabled "GOVERNANCE_AGENT_PAUSE_DISABLED" 409 false "Pausing a single agent is switched off by `per_agent_pause_enabled`.";
    AgentSpendNotFound "AGENT_SPEND_NOT_FOUND" 404 false "Nothing is known of spending by this agent.";
    LimitsInvalid "GOVERNANCE_LIMITS_INVALID" 400 false "A limit breaks a rule; `detail` names it.";
    AutomationNotFound "AUTOMATION_V2_NOT_FOUND" 404 false "No such automation.";
    AutomationUpdateFailed "AUTOMATION_V2_UPDATE_FAILED" 400 false "The change would leave no valid automation; `detail` says why.";
    AutomationInvalidVisibility "AUTOMATION_V2_INVALID_VISIBILITY" 400 false "`visibility` is none of `private`, `group`, `org`.";
    AutomationInvalidMetadata "AUTOMATION_V2_INVALID_METADATA" 400 false "`metadata` must be an object when `capabilities` are given.";
    RunNotPausable "AUTOMATION_V2_RUN_NOT_PAUSABLE" 409 false "Only a queued or running run can be paused.";
    RunNotPaused "AUTOMATION_V2_RUN_NOT_PAUSED" 409 false "Only a paused run can be resumed.";
    RunNotRecoverable "AUTOMATION_V2_RUN_NOT_RECOVERABLE" 409 false "Only a failed, blocked or paused run, or a completed one with blocked nodes, can be recovered.";
    RunFailureContextMissing "AUTOMATION_V2_RUN_FAILURE_CONTEXT_MISSING" 409 false "No node is known to have failed, so there is nothing to do again.";
    RunBlockedContextMissing "AUTOMATION_V2_RUN_BLOCKED_CONTEXT_MISSING" 409 false "No node is known to be blocked, so there is nothing to do again.";
    RunUpdateFailed "AUTOMATION_V2_RUN_UPDATE_FAILED" 409 false "The run cannot be changed like this now.";
    RunNotAwaitingApproval "AUTOMATION_V2_RUN_NOT_AWAITING_APPROVAL" 409 false "The run waits at no gate, or at another one; `winningDecision` is the latest that counted.";
    RunGateMissing "AUTOMATION_V2_RUN_GATE_MISSING" 409 false "The run waits, but no gate is stored.";
    GateExpired "AUTOMATION_V2_GATE_EXPIRED" 409 false "The gate could be decided until its deadline, and that has passed.";
    GateNodeNotFound "AUTOMATION_V2_GATE_NODE_NOT_FOUND" 404 false "The run waits at a node that its automation does not have (any more).";
    GateInvalidDecision "AUTOMATION_V2_GATE_INVALID_DECISION" 400 false "`decision` is none of `approve`, `rework`, `cancel`.";
    GateRequiresHuman "AUTOMATION_V2_GATE_REQUIRES_HUMAN" 403 false "Only a person may decide at a gate.";
    GateSelfApproval "AUTOMATION_V2_GATE_SELF_APPROVAL_FORBIDDEN" 403 false "Whoever asked for the run may not approve what has effects outside.";
    RunNotClaimable "AUTOMATION_V2_RUN_NOT_CLAIMABLE" 409 false "Only a queued run can be claimed.";
    RunClaimLost "AUTOMATION_V2_RUN_CLAIM_LOST" 409 false "The run is not lent under this claim (any more): stop working on it.";
    RunNotActive "AUTOMATION_V2_RUN_NOT_ACTIVE" 409 false "The run is paused or waits for a person; no progress can be reported.";
    RunAlreadyTerminal "AUTOMATION_V2_RUN_ALREADY_TERMINAL" 409 false "The run has ended; only what it used can still be reported.";
    RunReportInvalid "AUTOMATION_V2_RUN_REPORT_INVALID" 400 false "The report cannot be taken in; `detail` says why.";
    RunReportConflict "AUTOMATION_V2_RUN_REPORT_CONFLICT" 409 false "Another report was taken in under this `report_id`.";
    FeatureUnavailable "FEATURE_UNAVAILABLE" 501 false "This server does not offer the feature.";
}

/// A refused operation, as the wire tells it.
#[derive(Clone, Debug)]
pub struct Failure {
    pub code: Code,
    /// For people. Holds no secret and no internal detail.
    pub message: String,
    /// Further keys of the error body (`draft_id`, `detail`, …).
    pub extra: Map<String, Value>,
    /// Overrides the table's status where one code answers with several (framework errors).
    pub status: Option<u16>,
    pub retry_after_s: Option<u64>,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), extra: Map::new(), status: None, retry_after_s: None }
    }

    /// A failure whose text is the code's meaning.
    pub fn of(code: Code) -> Self {
        Self::new(code, code.meaning())
    }

    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub fn http_status(&self) -> u16 {
        self.status.unwrap_or_else(|| self.code.status())
    }

    /// The JSON body, without the request id that the server adds.
    pub fn body(&self) -> Value {
        let mut body = self.extra.clone();
        body.insert("error".into(), self.message.clone().into());
        body.insert("code".into(), self.code.word().into());
        body.insert("retryable".into(), self.code.retryable().into());
        Value::Object(body)
    }
}

impl From<crate::ports::StoreError> for Failure {
    fn from(error: crate::ports::StoreError) -> Self {
        use crate::ports::StoreError as E;
        match error {
            E::Conflict => Self::of(Code::Conflict),
            // The driver's words may name paths and hosts; they belong in the log, not in an answer.
            E::Unavailable(_) => Self::of(Code::StoreUnavailable),
            E::Corrupt(_) => Self::of(Code::StoreCorrupt),
        }
    }
}
