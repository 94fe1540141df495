//! Query strings. One that does not fit is 400; NUL is refused, because no stored text may hold it.

use axum::{
    extract::{FromRequestParts, Query as Plain},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::shape::scrubbed;
use crate::http::answer::ApiError;

#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse(parts).map(Self)
    }
}

pub fn parse<T: DeserializeOwned>(parts: &Parts) -> Result<T, ApiError> {
    if parts.uri.query().is_some_and(|query| query.contains("%00")) {
        return Err(ApiError::unreadable(400, "The query contains a NUL character."));
    }
    Plain::<T>::try_from_uri(&parts.uri)
        .map(|Plain(value)| value)
        .map_err(|error| ApiError::unreadable(400, scrubbed(&error.body_text())))
}
