//! Path parameters. An id that cannot be decoded, or that no record can have, names nothing: 404.

use axum::{
    extract::{FromRequestParts, Path as Plain, RawPathParams},
    http::request::Parts,
};
use serde::de::DeserializeOwned;
use tandem_core::error::Code;

use crate::http::answer::ApiError;

/// Longer than any id that is stored.
const MAX_BYTES: usize = 512;

#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let nothing = || ApiError::of(Code::NotFound);
        let raw = RawPathParams::from_request_parts(parts, state).await.map_err(|_| nothing())?;
        if raw.iter().any(|(_, value)| value.len() > MAX_BYTES || value.chars().any(char::is_control)) {
            return Err(nothing());
        }
        Plain::<T>::from_request_parts(parts, state).await.map(|Plain(value)| Self(value)).map_err(|_| nothing())
    }
}
