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
    TriageRunDraftNotFound "INCIDENT_MONITOR_TRIAGE_RUN_CREATE_FAILED" 404 false "No such draft to triage.";
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
    TokenNotFound "API_TOKEN_NOT_FOUND" 404 false "No such full token.";
    TokenLimit "API_TOKEN_LIMIT" 409 false "Sixteen full tokens are active; revoke one first.";
    AuditAdminRequired "AUDIT_ADMIN_REQUIRED" 403 false "The audit log needs a full token or the control panel.";
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
