//! How a handler answers: a JSON value, or a [`Failure`] in the one error envelope.
//!
//! An [`ApiError`] travels as a response extension and becomes a body in the outermost layer, which knows the request
//! id. So no error of ours can leave without one, whichever layer refused.

use std::sync::Arc;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tandem_app::{App, assess::Turn};
use tandem_core::{
    actor::OpContext,
    error::{Code, Failure},
    ports::StoreError,
};

use super::state::AppState;
use crate::extract::Operator;

/// What handlers return.
pub type Answer<T = serde_json::Value> = Result<Json<T>, ApiError>;

/// What a handler answers that assesses: made and written down by `work` on a thread for that, so that no other request
/// waits for either.
pub async fn assessed<T, F>(state: &AppState, operator: &Operator, work: F) -> Result<Response, ApiError>
where
    T: Serialize,
    F: AsyncFnOnce(&Arc<App>, &Turn, &OpContext) -> Result<T, Failure> + Send + 'static,
{
    let written = state.app.assess(&operator.ctx, async move |app, turn, ctx| {
        let found = work(app, turn, ctx).await?;
        serde_json::to_vec(&found).map_err(|error| Failure::new(Code::Internal, error.to_string()))
    });
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], written.await?).into_response())
}

#[derive(Clone, Debug)]
pub struct ApiError(pub Failure);

impl ApiError {
    pub fn of(code: Code) -> Self {
        Self(Failure::of(code))
    }

    /// A request that cannot be read, with the status of the framework error it stands for.
    pub fn unreadable(status: u16, message: impl Into<String>) -> Self {
        Self(Failure::new(Code::ValidationFailed, message).status(status))
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        // The answer is deliberately vague; the log holds what the driver said.
        tracing::warn!(target: "tandem::store", %error, "the store refused");
        Self(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Arc::new(self.0));
        response
    }
}

/// Gives a refusal its body and headers. Other responses pass unchanged.
pub fn settle(mut response: Response, request_id: &str) -> Response {
    let Some(failure) = response.extensions_mut().remove::<Arc<Failure>>() else { return response };
    let mut body = failure.body();
    body["request_id"] = request_id.into();
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = failure.retry_after_s {
        parts.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if parts.status == StatusCode::UNAUTHORIZED {
        parts.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    Response::from_parts(parts, body.to_string().into())
}
