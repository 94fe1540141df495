//! What the fields of a record are called, by the loggers that write them.
//!
//! Names are dotted, whether they were nested or flattened. The number beside a slot is its rank: where several names
//! of one slot occur, the lowest rank wins, and of equal ones the first.

use super::level::Scale;

/// What a field is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    Message,
    Event,
    /// What an error calls its kind: the event of a record that names none.
    ErrorKind,
    Component,
    Process,
    ErrorType,
    ErrorMessage,
    /// A stack, or one line that says what failed: the same names hold both.
    Failure,
    Stack,
    Time,
    Fingerprint,
    Actor,
    Model,
    Tool,
    Action,
    Policy,
    ApprovalState,
    RiskLevel,
    RiskCategory,
    BlastRadius,
    Correlations,
    /// One more of them.
    Correlation,
    Run,
    Session,
    Request,
    /// Which stream a container's line came from: the mark of an envelope.
    Stream,
    /// Of no interest to a reader.
    Noise,
}

/// How many slots there are.
pub const SLOTS: usize = Slot::Noise as usize + 1;

/// Objects that loggers put around their own fields.
const AROUND: [&str; 12] = [
    "context",
    "extra",
    "fields",
    "jsonPayload",
    "attributes",
    "attrs",
    "body",
    "record",
    "data",
    "payload",
    "log",
    "params",
];

/// The scale and the rank of a level's field.
pub fn level(path: &str) -> Option<(Scale, u8)> {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let (scale, rank) = Scale::of_field(name)?;
    match parent {
        "" => Some((scale, rank)),
        "log" => Some((scale, 2)),
        _ => AROUND.contains(&parent).then_some((scale, rank + 20)),
    }
}

/// The slot of a field and its rank.
pub fn slot(path: &str) -> Option<(Slot, u8)> {
    plain(path).or_else(|| {
        let (parent, rest) = path.split_once('.')?;
        let (slot, rank) = AROUND.contains(&parent).then(|| plain(rest))??;
        Some((slot, rank + 40))
    })
}

/// A second slot that the same field fills, and its rank there.
pub fn also(path: &str) -> Option<(Slot, u8)> {
    let (path, later) = match path.split_once('.') {
        Some((parent, rest)) if AROUND.contains(&parent) => (rest, 40),
        _ => (path, 0),
    };
    let (slot, rank) = match path {
        "service" => (Slot::Process, 2),
        "service.name" | "service_name" | "serviceName" => (Slot::Process, 3),
        "error.kind" => (Slot::ErrorKind, 0),
        "exception.type" => (Slot::ErrorKind, 1),
        _ => return None,
    };
    Some((slot, rank + later))
}

/// Whether the name alone says that something failed. The gate in front of the parser knows these words.
pub fn evident(path: &str) -> bool {
    ["err", "Err", "xception", "stack", "Stack", "traceback", "backtrace"].iter().any(|word| path.contains(word))
}

fn plain(path: &str) -> Option<(Slot, u8)> {
    Some(match path {
        "message" => (Slot::Message, 0),
        "msg" => (Slot::Message, 1),
        "Message" | "MESSAGE" | "@m" | "full_message" | "short_message" | "text" | "textPayload" => (Slot::Message, 2),
        "@mt" | "body" | "Body" | "body.stringValue" | "log" | "RenderedMessage" | "MessageTemplate" => {
            (Slot::Message, 3)
        }

        "event" => (Slot::Event, 0),
        "event.name" => (Slot::Event, 1),
        "event_name" | "eventName" | "event_type" | "eventType" => (Slot::Event, 2),
        "event.action" => (Slot::Event, 3),
        "error.code" | "err.code" | "error_code" | "errorCode" => (Slot::ErrorKind, 2),

        "component" => (Slot::Component, 0),
        "service" | "service.name" | "service_name" | "serviceName" => (Slot::Component, 1),
        "logger"
        | "logger_name"
        | "loggerName"
        | "log.logger"
        | "name"
        | "SourceContext"
        | "Properties.SourceContext" => (Slot::Component, 2),
        "target" => (Slot::Component, 3),
        "module" => (Slot::Component, 4),
        "channel" | "context" | "Category" | "app" | "application" => (Slot::Component, 5),

        "process" => (Slot::Process, 0),
        "process.name" | "SYSLOG_IDENTIFIER" | "_SYSTEMD_UNIT" | "processName" => (Slot::Process, 1),

        "error.type" | "err.type" | "exception.type" | "exception.class" | "error.name" | "err.name"
        | "exception.name" | "thrown.name" | "exc.type" => (Slot::ErrorType, 0),
        "error.kind" | "error.class" | "err.class" | "exception_class" | "exceptionClass" | "exception_type"
        | "exceptionType" | "exc_type" | "error_type" | "errorType" | "error_class" | "errorName" => {
            (Slot::ErrorType, 1)
        }

        "error.message" | "err.message" | "exception.message" | "thrown.message" | "error.msg" | "exc.message" => {
            (Slot::ErrorMessage, 0)
        }
        "exception.value"
        | "exc_value"
        | "error_message"
        | "errorMessage"
        | "err_msg"
        | "exception_message"
        | "exceptionMessage"
        | "thrown.localizedMessage" => (Slot::ErrorMessage, 1),

        "error" | "err" | "exception" | "exc" | "@x" | "Exception" => (Slot::Failure, 0),
        "error.cause" | "err.cause" | "cause" | "panic" | "reason" => (Slot::Failure, 1),

        "stack" | "error.stack" | "err.stack" | "exception.stacktrace" | "error.stack_trace" | "exception.stack" => {
            (Slot::Stack, 0)
        }
        "stacktrace"
        | "stack_trace"
        | "stackTrace"
        | "error.stacktrace"
        | "error.stackTrace"
        | "err.stacktrace"
        | "exception.stack_trace"
        | "exception.stackTrace"
        | "exc_info"
        | "traceback"
        | "backtrace"
        | "error.backtrace"
        | "exception.backtrace"
        | "exception.traceback"
        | "error.traceback"
        | "thrown.extendedStackTrace"
        | "thrown.stackTrace"
        | "errorVerbose"
        | "error_stack"
        | "StackTrace"
        | "exception.extendedStackTrace" => (Slot::Stack, 1),

        "@timestamp" | "timestamp" | "time" | "ts" | "@t" => (Slot::Time, 0),
        "t"
        | "datetime"
        | "date"
        | "asctime"
        | "Timestamp"
        | "eventTime"
        | "event_time"
        | "event.created"
        | "timeMillis"
        | "time_iso8601"
        | "timeUnixNano"
        | "__REALTIME_TIMESTAMP" => (Slot::Time, 1),
        "instant.epochSecond" | "observedTimeUnixNano" | "receiveTimestamp" | "created" => (Slot::Time, 2),

        "fingerprint" | "error.fingerprint" => (Slot::Fingerprint, 0),

        "actor" => (Slot::Actor, 0),
        "actor_id" => (Slot::Actor, 1),
        "actorID" | "actorId" => (Slot::Actor, 2),
        "principal" => (Slot::Actor, 3),
        "principal_id" => (Slot::Actor, 4),
        "agent" => (Slot::Actor, 5),
        "agent_id" => (Slot::Actor, 6),
        "agentID" | "agentId" => (Slot::Actor, 7),
        "user_id" => (Slot::Actor, 8),
        "userID" | "userId" => (Slot::Actor, 9),
        "model" => (Slot::Model, 0),
        "model_id" => (Slot::Model, 1),
        "modelID" | "modelId" => (Slot::Model, 2),
        "model.name" => (Slot::Model, 3),
        "llm.model" => (Slot::Model, 4),
        "tool" => (Slot::Tool, 0),
        "tool_name" => (Slot::Tool, 1),
        "toolName" => (Slot::Tool, 2),
        "mcp_tool" => (Slot::Tool, 3),
        "mcpTool" => (Slot::Tool, 4),
        "action.tool" => (Slot::Tool, 5),
        "action" => (Slot::Action, 0),
        "operation" => (Slot::Action, 1),
        "tool_action" => (Slot::Action, 2),
        "toolAction" => (Slot::Action, 3),
        "intent" => (Slot::Action, 4),
        "policy" => (Slot::Policy, 0),
        "policy_id" => (Slot::Policy, 1),
        "policyID" | "policyId" => (Slot::Policy, 2),
        "policy.name" => (Slot::Policy, 3),
        "approval_policy" => (Slot::Policy, 4),
        "approvalPolicy" => (Slot::Policy, 5),
        "approval.policy" => (Slot::Policy, 6),
        "approval_state" => (Slot::ApprovalState, 0),
        "approvalState" => (Slot::ApprovalState, 1),
        "approval_status" => (Slot::ApprovalState, 2),
        "approvalStatus" => (Slot::ApprovalState, 3),
        "approval.status" => (Slot::ApprovalState, 4),
        "risk_level" | "riskLevel" => (Slot::RiskLevel, 0),
        "risk.level" | "risk" => (Slot::RiskLevel, 1),
        "risk_category" => (Slot::RiskCategory, 0),
        "riskCategory" => (Slot::RiskCategory, 1),
        "risk_type" => (Slot::RiskCategory, 2),
        "riskType" => (Slot::RiskCategory, 3),
        "risk.category" => (Slot::RiskCategory, 4),
        "category" => (Slot::RiskCategory, 5),
        "blast_radius" => (Slot::BlastRadius, 0),
        "blastRadius" => (Slot::BlastRadius, 1),
        "blast.radius" => (Slot::BlastRadius, 2),
        "impact" => (Slot::BlastRadius, 3),
        "scope" => (Slot::BlastRadius, 4),
        "external_correlation_ids" => (Slot::Correlations, 0),
        "externalCorrelationIds" => (Slot::Correlations, 1),
        "external_ids" => (Slot::Correlations, 2),
        "externalIds" => (Slot::Correlations, 3),
        "external.correlation_ids" => (Slot::Correlations, 4),
        "external.correlationIds" => (Slot::Correlations, 5),
        "external_correlation_id" => (Slot::Correlation, 0),
        "externalCorrelationId" => (Slot::Correlation, 1),
        "external_id" => (Slot::Correlation, 2),
        "externalId" => (Slot::Correlation, 3),
        "external.correlation_id" => (Slot::Correlation, 4),

        "run_id" | "runId" | "runID" => (Slot::Run, 0),
        "session_id" | "sessionId" | "sessionID" => (Slot::Session, 0),
        "correlation_id" | "correlationId" | "correlationID" => (Slot::Request, 0),
        "trace_id" | "traceId" | "traceID" | "trace.id" => (Slot::Request, 1),
        "request_id" | "requestId" | "requestID" | "req_id" | "req.id" | "reqId" => (Slot::Request, 2),

        "stream" => (Slot::Stream, 0),
        "v" | "pid" | "hostname" | "@version" | "ecs.version" | "thread_name" | "instant.nanoOfSecond" => {
            (Slot::Noise, 0)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_follow_the_order_in_which_names_are_asked() {
        assert_eq!(slot("message"), Some((Slot::Message, 0)));
        assert_eq!(slot("fields.message"), Some((Slot::Message, 40)));
        assert_eq!(slot("fields.fields.message"), None);
        assert_eq!(slot("category"), Some((Slot::RiskCategory, 5)));
        assert_eq!(also("fields.service.name"), Some((Slot::Process, 43)));
        assert_eq!(also("message"), None);
        assert_eq!(level("log.level").map(|l| l.1), Some(2));
        assert_eq!(level("lvl").map(|l| l.1), Some(3));
        assert_eq!(level("user.level"), None);
        assert_eq!(level("error.severity"), None);
    }
}
