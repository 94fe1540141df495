//! Following automations and runs: server-sent events, made from the rows of the audit log.

use std::{convert::Infallible, fmt::Write as _, time::Duration};

use axum::{
    body::Body as Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tandem_core::automation::event::{self, Follow};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{answer::ApiError, state::AppState};
use crate::extract::{Operator, Query};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(events))
}

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// How often the log is looked at, and how often a silent stream says that it is alive.
const LOOK: Duration = Duration::from_millis(150);
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Rows of the log looked at in one go.
const ROWS: usize = 256;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only events of this automation and its runs.
    #[serde(alias = "automationId", alias = "automationID")]
    pub automation_id: Option<String>,
    /// Only events of this run.
    #[serde(alias = "runId", alias = "runID")]
    pub run_id: Option<String>,
    /// Start after this place; 0 is the beginning. `Last-Event-ID` wins. Absent starts now.
    pub cursor: Option<u64>,
}

/// Follow automations and runs
///
/// Never ends. The first frame says `ready`; then one frame for each event, with its `type` and `properties`. The id of an
/// event is a place in a durable log: a follower that comes back with `Last-Event-ID` has missed nothing.
#[utoipa::path(
    get, path = "/automations/v2/events", tag = "automations",
    params(
        EventsQuery,
        ("last-event-id" = Option<String>, Header, description = "The id of the last event that was seen."),
    ),
    responses((status = 200, body = String, content_type = "text/event-stream"))
)]
pub async fn events(
    operator: Operator,
    State(state): State<AppState>,
    headers: HeaderMap,
    Query(query): Query<EventsQuery>,
) -> Result<Response, ApiError> {
    let ctx = operator.ctx;
    let seen = match headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?").trim().to_owned()) {
        None => None,
        Some(id) if id.is_empty() => None,
        Some(id) => {
            Some(id.parse::<u64>().map_err(|_| ApiError::unreadable(400, "`Last-Event-ID` is not one of ours."))?)
        }
    };
    let at = match seen.or(query.cursor) {
        Some(at) => at,
        None => state.store.audit_size(&ctx.tenant.key()).await?,
    };
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let follow = Follow { automation_id: given(query.automation_id), run_id: given(query.run_id) };
    let ready =
        serde_json::json!({ "status": "ready", "stream": "automations_v2", "timestamp_ms": state.app.now_ms() });
    let start = Stream {
        state: state.clone(),
        ctx,
        follow,
        at,
        stopping: state.gate.stopping(),
        greeting: Some(format!("id: {at}\ndata: {ready}\n\n")),
        told: tokio::time::Instant::now(),
    };
    let frames = futures_util::stream::unfold(start, |mut stream| async move {
        let text = stream.next().await?;
        Some((Ok::<_, Infallible>(text), stream))
    });
    let mut response = Bytes::from_stream(frames).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, EVENT_STREAM);
    Ok(response)
}

struct Stream {
    state: AppState,
    ctx: tandem_core::actor::OpContext,
    follow: Follow,
    at: u64,
    stopping: tokio::sync::watch::Receiver<bool>,
    greeting: Option<String>,
    told: tokio::time::Instant,
}

impl Stream {
    /// The next piece of the answer; whole frames only, because clients exist that lose one which is cut in two.
    async fn next(&mut self) -> Option<String> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        loop {
            // A read that fails is tried again; the place has not moved.
            let found = self.state.app.automation_events(&self.ctx, self.at, &self.follow, ROWS).await;
            let (text, moved) = match found {
                Ok(found) => {
                    let moved = found.at != self.at;
                    self.at = found.at;
                    (written(&found.frames), moved)
                }
                Err(_) => (String::new(), false),
            };
            if !text.is_empty() {
                self.told = tokio::time::Instant::now();
                return Some(text);
            }
            if self.told.elapsed() >= HEARTBEAT {
                self.told = tokio::time::Instant::now();
                // The place goes along, so that a follower of little does not read much again when it comes back.
                return Some(format!(": alive\nid: {}\n\n", self.at));
            }
            if *self.stopping.borrow() {
                return None;
            }
            if !moved {
                let _ = tokio::time::timeout(LOOK, self.stopping.changed()).await;
            }
        }
    }
}

/// Several frames of one row have its place only on the last: whoever breaks off before has not seen the row.
fn written(rows: &[(u64, Vec<event::Frame>)]) -> String {
    let mut out = String::new();
    for (seq, frames) in rows {
        for (n, frame) in frames.iter().enumerate() {
            if n + 1 == frames.len() {
                let _ = writeln!(out, "id: {seq}");
            }
            let _ = write!(out, "data: {}\n\n", event::data(frame, *seq));
        }
    }
    out
}
