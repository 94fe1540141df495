//! Receipts and deliveries.

use axum::{Json, extract::State};
use serde::Serialize;
use tandem_core::{publish::Delivery, receipt::Post};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::Answer,
    document::ErrorBody,
    lists::{BulkRequest, Deleted, Filters, cursor},
    state::AppState,
};
use crate::extract::{Body, Decider, Operator, Page, Path, Query};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(bulk_delete))
        .routes(routes!(delete))
        .routes(routes!(deliveries))
        .routes(routes!(delivery))
        .routes(routes!(redeliver))
}

#[derive(Serialize, ToSchema)]
pub struct PostList {
    pub posts: Vec<Post>,
    /// Rows in this answer.
    pub count: usize,
    pub next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct DeliveryList {
    pub deliveries: Vec<Delivery>,
    /// Rows in this answer.
    pub count: usize,
    pub next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct DeliveryAnswer {
    pub delivery: Delivery,
}

/// List receipts
///
/// Newest `updated_at_ms` first.
#[utoipa::path(
    get, path = "/incident-monitor/posts", tag = "posts", params(Filters), responses((status = 200, body = PostList))
)]
pub async fn list(
    operator: Operator,
    State(state): State<AppState>,
    page: Page,
    Query(filters): Query<Filters>,
) -> Answer<PostList> {
    let request = filters.request(page, &["status", "destination_id", "draft_id"]);
    let found = state.app.posts(&operator.ctx, &request).await?;
    Ok(Json(PostList { count: found.items.len(), posts: found.items, next_cursor: cursor(found.next) }))
}

/// Delete a receipt
///
/// What was delivered is still known: the same content is not sent twice because its receipt is gone.
#[utoipa::path(
    delete, path = "/incident-monitor/posts/{id}", tag = "posts",
    params(("id" = String, Path, description = "`post_id`")),
    responses(
        (status = 200, body = Deleted),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_POST_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn delete(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<Deleted> {
    state.app.post_delete(&operator.ctx, &id).await?;
    Ok(Json(Deleted::count(1)))
}

/// Delete many receipts
#[utoipa::path(
    post, path = "/incident-monitor/posts/bulk-delete", tag = "posts",
    request_body = BulkRequest,
    responses(
        (status = 200, body = Deleted),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn bulk_delete(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Body(request): Body<BulkRequest>,
) -> Answer<Deleted> {
    Ok(Json(Deleted::count(state.app.posts_delete(&operator.ctx, &request.read()?).await?)))
}

/// List deliveries
///
/// Newest `updated_at_ms` first. `status=failed` lists the dead letters.
#[utoipa::path(
    get, path = "/incident-monitor/deliveries", tag = "posts", params(Filters),
    responses((status = 200, body = DeliveryList))
)]
pub async fn deliveries(
    operator: Operator,
    State(state): State<AppState>,
    page: Page,
    Query(filters): Query<Filters>,
) -> Answer<DeliveryList> {
    let request = filters.request(page, &["state", "destination_id", "draft_id"]);
    let found = state.app.deliveries(&operator.ctx, &request).await?;
    Ok(Json(DeliveryList { count: found.items.len(), deliveries: found.items, next_cursor: cursor(found.next) }))
}

/// Read a delivery with its attempts
#[utoipa::path(
    get, path = "/incident-monitor/deliveries/{id}", tag = "posts",
    params(("id" = String, Path, description = "`delivery_id`")),
    responses(
        (status = 200, body = DeliveryAnswer),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DELIVERY_NOT_FOUND`"),
    )
)]
pub async fn delivery(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<DeliveryAnswer> {
    Ok(Json(DeliveryAnswer { delivery: state.app.delivery(&operator.ctx, &id).await? }))
}

/// Send a dead letter again
///
/// Takes no body. A new delivery of the same content with the same idempotency key; it goes on in the background.
#[utoipa::path(
    post, path = "/incident-monitor/deliveries/{id}/redeliver", tag = "posts",
    params(("id" = String, Path, description = "`delivery_id`")),
    responses(
        (status = 200, body = DeliveryAnswer),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DELIVERY_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`INCIDENT_MONITOR_REDELIVER_FAILED`"),
    )
)]
pub async fn redeliver(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<DeliveryAnswer> {
    Ok(Json(DeliveryAnswer { delivery: state.app.redeliver(&operator.ctx, &id).await? }))
}
