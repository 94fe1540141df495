//! Deployment cards: generated, stored in versions, and signed off by people.

use std::collections::BTreeMap;

use axum::{Json, extract::State, response::Response};
use serde::{Deserialize, Serialize};
use tandem_app::{
    PageRequest,
    assess::{CardDetail, CardFilter, Signing},
};
use tandem_core::text::non_blank;
use tandem_posture::cards::{CardKind, CardMetadata, CardStatus, DeploymentCards, Options, ReviewOutcome, StoredCard};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::without_intake_key;
use crate::{
    extract::{Body, Decider, Operator, OptionalBody, Page, PageParams, Path, Query, body::MIB, page},
    http::{
        answer::{Answer, ApiError, assessed},
        document::ErrorBody,
        state::AppState,
    },
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, generate)).routes(routes!(card, store)).routes(routes!(sign))
}

/// Metadata for hundreds of cards may come along.
const LIMIT: usize = 10 * MIB;

#[derive(Deserialize, ToSchema)]
#[schema(as = DeploymentCardsRequest)]
pub struct Request {
    /// For every card that `metadata` says nothing of.
    #[serde(default)]
    defaults: CardMetadata,
    /// By card id, or by the id of the target.
    #[serde(default)]
    metadata: BTreeMap<String, CardMetadata>,
    /// Default true.
    #[serde(alias = "includeMarkdown")]
    include_markdown: Option<bool>,
    /// Never honoured; `scope.raw_inventory_request_ignored` says that it was asked.
    #[serde(alias = "includeRawInventory")]
    include_raw_inventory: Option<bool>,
}

/// Generate the deployment cards
///
/// One for the monitor, each automation, each declared workflow and each source. A text comes from `metadata`, else from
/// `defaults`, else from what is stored of the card, else from the inventory. Required fields that are missing are
/// findings. That cards were generated is a row of the audit log; nothing else is changed.
#[utoipa::path(
    post, path = "/incident-monitor/security/deployment-cards", tag = "assessment",
    request_body = Request,
    responses(
        (status = 200, body = DeploymentCards),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_DEPLOYMENT_CARDS_ADMIN_REQUIRED`: a scoped intake key came along."),
    )
)]
pub async fn generate(
    operator: Operator,
    State(state): State<AppState>,
    Body(request): Body<Request, LIMIT>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    let options = Options {
        defaults: request.defaults.tidy(),
        metadata: request.metadata.into_iter().map(|(id, metadata)| (id, metadata.tidy())).collect(),
        include_markdown: request.include_markdown.unwrap_or(true),
        include_raw_inventory: request.include_raw_inventory.unwrap_or(false),
    };
    assessed(&state, &operator, async move |app, turn, ctx| app.deployment_cards(turn, ctx, &options).await).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CardFilters {
    /// `tandem_self_monitoring`, `automation`, `workflow` or `monitored_source`.
    kind: Option<String>,
    /// `unsigned`, `rejected`, `stale` or `current`.
    status: Option<String>,
}

/// A stored card and how it stands.
#[derive(Serialize, ToSchema)]
#[schema(as = StoredDeploymentCardRow)]
pub struct CardRow {
    #[serde(flatten)]
    card: StoredCard,
    /// By signature and time. Whether its subject reaches further than when it was signed, the card itself says.
    status: CardStatus,
    review_due_at_ms: Option<u64>,
}

impl CardRow {
    fn of(card: StoredCard, now_ms: u64) -> Self {
        Self { status: card.status(now_ms, None), review_due_at_ms: card.due_at_ms(), card }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = StoredDeploymentCardList)]
pub struct CardList {
    /// The latest change first; `stale` and `current` cards by when they are due.
    cards: Vec<CardRow>,
    /// Rows in this answer.
    count: usize,
    next_cursor: Option<String>,
}

/// List the stored deployment cards
#[utoipa::path(
    get, path = "/incident-monitor/security/deployment-cards", tag = "assessment",
    params(CardFilters, PageParams),
    responses(
        (status = 200, body = CardList),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_DEPLOYMENT_CARDS_ADMIN_REQUIRED`: a scoped intake key came along."),
    )
)]
pub async fn list(
    operator: Operator,
    State(state): State<AppState>,
    Query(filters): Query<CardFilters>,
    page: Page,
) -> Answer<CardList> {
    without_intake_key(&operator)?;
    let unknown = |name: &str| ApiError::unreadable(400, format!("`{name}` is none of the known words."));
    let kind = non_blank(filters.kind.as_deref());
    let status = non_blank(filters.status.as_deref());
    let filter = CardFilter {
        kind: kind.map(|word| CardKind::from_word(word).ok_or_else(|| unknown("kind"))).transpose()?,
        status: status.map(|word| CardStatus::from_word(word).ok_or_else(|| unknown("status"))).transpose()?,
    };
    let request = PageRequest { limit: page.limit(), after: page.after, ..PageRequest::default() };
    let found = state.app.deployment_card_list(&operator.ctx, &filter, request).await?;
    let cards: Vec<CardRow> = found.items.into_iter().map(|card| CardRow::of(card, operator.ctx.now_ms)).collect();
    let next_cursor = found.next.map(|(order, id)| page::encode(order, &id));
    Ok(Json(CardList { count: cards.len(), cards, next_cursor }))
}

/// Read one deployment card
///
/// As it would be generated from what is stored, with its versions and signatures, and as a Markdown document.
#[utoipa::path(
    get, path = "/incident-monitor/security/deployment-cards/{card_id}", tag = "assessment",
    params(("card_id" = String, Path, description = "`card_id`")),
    responses(
        (status = 200, body = CardDetail),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_DEPLOYMENT_CARDS_ADMIN_REQUIRED`: a scoped intake key came along."),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DEPLOYMENT_CARD_NOT_FOUND`"),
    )
)]
pub async fn card(
    operator: Operator,
    State(state): State<AppState>,
    Path(card_id): Path<String>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    assessed(&state, &operator, async move |app, turn, ctx| app.deployment_card(turn, ctx, &card_id).await).await
}

#[derive(Deserialize, ToSchema)]
#[schema(as = StoreDeploymentCard)]
pub struct StoreRequest {
    /// All that is said of the card; what is left out is no longer said.
    metadata: CardMetadata,
    /// The version that it was made on, 0 for none. Another one in force is a refusal.
    #[serde(alias = "baseVersion")]
    base_version: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeploymentCardAnswer)]
pub struct CardAnswer {
    card: CardRow,
}

/// Store a deployment card
///
/// Keeps what operators say of it. A change is a new version, and no signature carries over to it; saying the same again
/// changes nothing. Secrets in texts are redacted before they are kept.
#[utoipa::path(
    put, path = "/incident-monitor/security/deployment-cards/{card_id}", tag = "assessment",
    params(("card_id" = String, Path, description = "`card_id`")),
    request_body = StoreRequest,
    responses(
        (status = 200, body = CardAnswer),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_DEPLOYMENT_CARDS_ADMIN_REQUIRED`: a scoped intake key came along. `HUMAN_ACTOR_REQUIRED`: an agent may not."),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DEPLOYMENT_CARD_NOT_FOUND`: there is nothing that it would be about."),
        (status = 409, body = ErrorBody, description = "`INCIDENT_MONITOR_DEPLOYMENT_CARD_CHANGED`: `base_version` is not the one in force."),
    )
)]
pub async fn store(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(card_id): Path<String>,
    Body(request): Body<StoreRequest>,
) -> Answer<CardAnswer> {
    without_intake_key(&operator)?;
    let StoreRequest { metadata, base_version } = request;
    let card = state.app.deployment_card_store(&operator.ctx, &card_id, metadata, base_version).await?;
    Ok(Json(CardAnswer { card: CardRow::of(card, operator.ctx.now_ms) }))
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = SignDeploymentCard)]
pub struct SignRequest {
    /// Of what was looked at. Another one in force is a refusal.
    digest: Option<String>,
    /// The same, by number.
    version: Option<u64>,
    /// Default `approved`.
    outcome: Option<ReviewOutcome>,
    note: Option<String>,
    /// When to look at it again; default the card's own cadence, else 90 days.
    #[serde(alias = "reviewCadenceDays")]
    review_cadence_days: Option<u64>,
}

/// Sign a deployment card off
///
/// A person's word on the version in force, bound to its digest and to what its subject can use and reach now. The card
/// is due for review after its cadence, and when its subject reaches something else.
#[utoipa::path(
    post, path = "/incident-monitor/security/deployment-cards/{card_id}/sign-off", tag = "assessment",
    params(("card_id" = String, Path, description = "`card_id`")),
    request_body = SignRequest,
    responses(
        (status = 200, body = CardAnswer),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_DEPLOYMENT_CARDS_ADMIN_REQUIRED`: a scoped intake key came along. `HUMAN_ACTOR_REQUIRED`: only a person signs."),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DEPLOYMENT_CARD_NOT_FOUND`: nothing is stored that could be signed."),
        (status = 409, body = ErrorBody, description = "`INCIDENT_MONITOR_DEPLOYMENT_CARD_CHANGED`: it is not the version that was looked at."),
    )
)]
pub async fn sign(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(card_id): Path<String>,
    OptionalBody(request): OptionalBody<SignRequest>,
) -> Answer<CardAnswer> {
    without_intake_key(&operator)?;
    let signing = Signing {
        digest: request.digest,
        version: request.version,
        outcome: request.outcome.unwrap_or_default(),
        note: request.note,
        review_cadence_days: request.review_cadence_days,
    };
    let signed = state.app.assess(&operator.ctx, async move |app, turn, ctx| {
        app.deployment_card_sign(turn, ctx, &card_id, signing).await
    });
    let card = signed.await?;
    Ok(Json(CardAnswer { card: CardRow::of(card, operator.ctx.now_ms) }))
}
