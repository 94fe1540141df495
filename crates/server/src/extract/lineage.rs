//! What a request says of where its author comes from: the agents that led to it and the run it is made in. Claims like
//! any other; governance believes them only where they make an agent's lineage deeper.

use axum::{extract::FromRequestParts, http::request::Parts};
use tandem_core::{
    automation::admission::Claims,
    error::{Code, Failure},
    text::non_blank,
};

use super::{caller::Caller, carriers};
use crate::http::answer::ApiError;

/// Ancestors that are read. A lineage as deep as this is refused by any limit.
const MOST_ANCESTORS: usize = 64;

#[derive(Clone, Debug)]
pub struct Lineage(pub Claims);

impl<S: Sync> FromRequestParts<S> for Lineage {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let ancestors = carriers::long_claim(&parts.headers, "x-tandem-agent-ancestor-ids")?.unwrap_or_default();
        let ancestors: Vec<String> =
            ancestors.split(',').filter_map(|id| non_blank(Some(id))).map(str::to_owned).collect();
        if ancestors.len() > MOST_ANCESTORS {
            let why = "x-tandem-agent-ancestor-ids names more than 64 agents.";
            return Err(ApiError(Failure::new(Code::ValidationFailed, why).status(400)));
        }
        let run_id = carriers::claim(&parts.headers, "x-tandem-run-id")?.map(str::to_owned);
        let person = match parts.extensions.get::<Caller>() {
            Some(caller) => caller.person(parts)?.and_then(|id| non_blank(Some(id))).map(str::to_owned),
            None => None,
        };
        Ok(Self(Claims { ancestors, run_id, person }))
    }
}

/// `Idempotency-Key`, where the caller sends one.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(carriers::claim(&parts.headers, "idempotency-key")?.map(str::to_owned)))
    }
}
